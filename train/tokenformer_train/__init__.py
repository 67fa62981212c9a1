"""Trains small TokenFormer language models in the published format."""
