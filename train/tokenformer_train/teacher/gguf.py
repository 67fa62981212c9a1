"""Reads GGUF files: their values and their tensors, as far as the teacher's file needs it."""

import struct
from pathlib import Path

import numpy as np
import torch

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
F32, Q4_1, Q8_0 = 0, 3, 8


class Reader:
    def __init__(self, path: Path):
        self.bytes = np.memmap(path, dtype=np.uint8, mode="r")
        self.at = 0

    def number(self, code: str):
        size = struct.calcsize("<" + code)
        (value,) = struct.unpack("<" + code, self.bytes[self.at : self.at + size].tobytes())
        self.at += size
        return value

    def string(self) -> str:
        length = self.number("Q")
        text = self.bytes[self.at : self.at + length].tobytes()
        self.at += length
        return text.decode("utf8", "replace")

    def value(self, kind: int):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            element = self.number("I")
            return [self.value(element) for _ in range(self.number("Q"))]
        return self.number(SCALARS[kind])


def dequantize(data: np.ndarray, kind: int, count: int) -> np.ndarray:
    if kind == F32:
        return data[: 4 * count].view(np.float32).copy()
    if kind == Q8_0:  # a float16 scale and 32 int8
        rows = data[: count // 32 * 34].reshape(-1, 34)
        scale = rows[:, :2].copy().view(np.float16).astype(np.float32)
        return rows[:, 2:].view(np.int8).astype(np.float32) * scale
    if kind == Q4_1:  # a float16 scale and minimum, and 16 bytes: low halves are elements 0 to 15, high ones the rest
        rows = data[: count // 32 * 20].reshape(-1, 20)
        scale = rows[:, :4].copy().view(np.float16).astype(np.float32)
        packed = rows[:, 4:]
        elements = np.concatenate([packed & 15, packed >> 4], 1).astype(np.float32)
        return elements * scale[:, :1] + scale[:, 1:]
    raise ValueError(f"This GGUF file has tensors of type {kind}; F32 (0), Q4_1 (3) and Q8_0 (8) can be read.")


def read_values(path: Path) -> tuple[dict, Reader, int]:
    reader = Reader(path)
    if reader.bytes[:4].tobytes() != b"GGUF":
        raise ValueError(f"{path} is no GGUF file.")
    reader.at = 8
    tensors, values = reader.number("Q"), reader.number("Q")
    return {reader.string(): reader.value(reader.number("I")) for _ in range(values)}, reader, tensors


def read_gguf(path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    """The file's values, and its tensors in float32 (dimensions in PyTorch's order)."""
    values, reader, tensors = read_values(path)
    entries = []
    for _ in range(tensors):
        name = reader.string()
        shape = [reader.number("Q") for _ in range(reader.number("I"))]
        entries.append((name, shape, reader.number("I"), reader.number("Q")))
    base = (reader.at + 31) // 32 * 32
    out = {}
    for name, shape, kind, offset in entries:
        weights = dequantize(reader.bytes[base + offset :], kind, int(np.prod(shape)))
        out[name] = torch.from_numpy(np.ascontiguousarray(weights).reshape(shape[::-1]))
    return values, out
