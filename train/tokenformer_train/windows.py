"""Windows of token ids for training, in a new order in each pass."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch


class Source:
    """Windows of one file of ids.

    A share `aligned` of them begins where a document begins, so that a text that begins with nothing before it, as
    readers type it, is well trained; the others begin anywhere.
    """

    def __init__(self, path: Path, length: int, aligned: float, device: str, seed: int):
        ids = np.fromfile(path, np.uint16).astype(np.int32)
        if len(ids) < length + 2:
            raise ValueError(f"{path} has {len(ids)} ids; a window needs {length + 2}.")
        self.name, self.length, self.aligned, self.seed = path.name, length, aligned, seed
        self.ids = torch.from_numpy(ids).to(device)
        starts = np.concatenate([[0], np.flatnonzero(ids == 0) + 1])
        self.starts = starts[starts < len(ids) - length - 1]
        self.within = torch.arange(length + 1, device=device)
        self.passes, self.at = 0, 0
        self.offsets = self.order(0)

    def order(self, number: int) -> np.ndarray:
        random = np.random.default_rng([self.seed, number])
        phase = int(random.integers(0, min(self.length, len(self.ids) - self.length - 1)))
        offsets = np.arange(phase, len(self.ids) - self.length - 1, self.length)
        following = self.starts[np.searchsorted(self.starts, offsets).clip(max=len(self.starts) - 1)]
        offsets = np.where(random.random(len(offsets)) < self.aligned, following, offsets)
        return random.permutation(offsets)

    def take(self, count: int) -> np.ndarray:
        """Where the next windows begin."""
        parts = []
        while count:
            if self.at >= len(self.offsets):
                self.passes, self.at = self.passes + 1, 0
                self.offsets = self.order(self.passes)
            parts.append(self.offsets[self.at : self.at + count])
            self.at += len(parts[-1])
            count -= len(parts[-1])
        return np.concatenate(parts)

    def windows(self, offsets: np.ndarray) -> torch.Tensor:
        return self.ids[torch.from_numpy(offsets).to(self.ids.device)[:, None] + self.within].long()

    def seen(self) -> float:
        """Passes over the file so far."""
        return self.passes + self.at / len(self.offsets)


@dataclass
class Weighted:
    source: Source
    weight: float
    late_weight: float


class Mix:
    """Batches of windows from several sources; each process takes its part of the same batch."""

    def __init__(self, sources: list[Weighted], batch: int, rank: int, world: int):
        self.sources, self.batch, self.rank, self.world = sources, batch, rank, world
        self.owed = [0.0] * len(sources)

    def next(self, late: bool) -> torch.Tensor:
        weights = [s.late_weight if late else s.weight for s in self.sources]
        left, chosen = self.batch, []
        for i, (weighted, weight) in enumerate(zip(self.sources, weights, strict=True)):
            self.owed[i] += self.batch * weight / sum(weights)
            count = min(left, int(self.owed[i] + 1e-9)) if i < len(weights) - 1 else left
            self.owed[i] -= count
            left -= count
            if count:
                chosen += [(weighted.source, offset) for offset in weighted.source.take(count)]
        mine = chosen[self.rank :: self.world]
        parts = []
        for weighted in self.sources:
            offsets = [offset for source, offset in mine if source is weighted.source]
            if offsets:
                parts.append(weighted.source.windows(np.array(offsets)))
        return torch.cat(parts)

    def state(self) -> dict:
        return {s.source.name: (s.source.passes, s.source.at, len(s.source.ids)) for s in self.sources}

    def load(self, state: dict):
        for s in self.sources:
            passes, at, size = state.get(s.source.name, (0, 0, 0))
            if size == len(s.source.ids):  # the same file as then
                s.source.passes, s.source.at, s.source.offsets = passes, at, s.source.order(passes)


def evenly(path: Path, length: int, count: int) -> torch.Tensor:
    """Windows spread evenly over a file of ids."""
    ids = np.fromfile(path, np.uint16).astype(np.int64)
    if len(ids) < length + 2:
        raise ValueError(f"{path} has {len(ids)} ids; a window needs {length + 2}.")
    offsets = np.linspace(0, len(ids) - length - 1, count).astype(int)
    return torch.from_numpy(np.stack([ids[i : i + length + 1] for i in offsets]))
