"""Random weights, written piece by piece, and the tokens of vocabularies that mean nothing."""

import random
import struct

PIECE = 1 << 22
SCALE = 0.02 / 4.6  # of a group of 32 random 4-bit numbers: a deviation of about 0.02

_random = random.Random(1)


def noise(size):
    """`size` random bytes, in pieces."""
    for at in range(0, size, PIECE):
        yield _random.randbytes(min(PIECE, size - at))


def f16(value, count):
    """`count` times one number in half precision."""
    return struct.pack("<e", value) * count


def f32(value, count):
    return struct.pack("<f", value) * count


def _byte_letters():
    """The letters by which byte-level tokenizers write the bytes of ASCII, printable ones first: the others alone would
    be no UTF-8, and a random model writes them."""
    printable = range(33, 127)
    others = [
        byte
        for byte in range(256)
        if byte not in printable and byte not in range(161, 173) and byte not in range(174, 256)
    ]
    return [*map(chr, printable), *(chr(256 + i) for i, byte in enumerate(others) if byte < 128)]


MERGES = ["q q"]  # some readers want one
END = "<|endoftext|>"


def vocabulary(size):
    """A token for each of these, the one that MERGES makes, fillers, and the end of a text last."""
    tokens = [*_byte_letters(), "qq"]
    return [*tokens, *(f"w{i}x" for i in range(len(tokens), size - 1)), END]
