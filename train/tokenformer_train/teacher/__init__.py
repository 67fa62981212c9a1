"""Synthetic text: a small instruction-tuned model writes answers to prompts that are put together at random, and a
filter keeps the good ones."""
