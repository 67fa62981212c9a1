"""From texts to token ids: documents in text files, a tokenizer made of them, and files of ids.

A text file holds documents with `<|endoftext|>` between them. A file of ids (`.u16`, little-endian) has each document's
ids and id 0, which ends it.
"""

import multiprocessing
import os
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

END = "<|endoftext|>"
PADDING = "<|padding|>"
PIECE = 4000  # characters of a document that the tokenizer's training takes at a time
MOST_OF_ONE = 120_000  # characters of one document that it takes


def documents(path: Path) -> list[str]:
    """A file's documents, or those of all `.txt` files of a folder."""
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    texts = [text for file in files for text in file.read_text("utf-8").split(END)]
    return [text.strip() for text in texts if text.strip()]


def make_tokenizer(paths: list[Path], size: int, most: int) -> Tokenizer:
    """A byte-level BPE in the form of GPT-NeoX-20B's tokenizer.json, from `most` characters of each path."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)

    def pieces() -> Iterator[str]:
        for path in paths:
            texts, taken = documents(path), 0
            random.Random(1).shuffle(texts)
            for text in texts:
                for at in range(0, min(len(text), MOST_OF_ONE), PIECE):
                    yield text[at : at + PIECE]
                    taken += PIECE
                if taken > most:
                    break

    tokenizer.train_from_iterator(
        pieces(),
        trainers.BpeTrainer(
            vocab_size=size,
            special_tokens=[END, PADDING],  # ids 0 and 1
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return tokenizer


def encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


_tokenizer: Tokenizer | None = None


def _open(path: str):
    global _tokenizer
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _tokenizer = Tokenizer.from_file(path)


def _ids(text: str) -> np.ndarray:
    return np.array([*encode(_tokenizer, text), 0], np.uint16)


def write_ids(tokenizer: Path, texts: list[str], output: Path, processes: int) -> int:
    """Writes documents as ids and says how many ids they are."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _open, (str(tokenizer),)) as pool:
        parts = pool.map(_ids, texts, chunksize=4)
    ids = np.concatenate(parts)
    temporary = output.with_suffix(".tmp")
    ids.tofile(temporary)
    temporary.rename(output)
    return len(ids)


def token_bytes(tokenizer: Tokenizer) -> np.ndarray:
    """How many bytes of text each id stands for; none for `<|endoftext|>`."""
    sizes = np.zeros(tokenizer.get_vocab_size(), np.int64)
    for token, i in tokenizer.get_vocab().items():
        # In the byte-level alphabet a character is a byte.
        sizes[i] = 0 if token in (END, PADDING) else len(token)
    return sizes
