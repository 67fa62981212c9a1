"""Lets the teacher answer prompts: as many at a time as fit, each slot with a new prompt as soon as it is free.

Reads `prompts-*.npz` of a work folder and writes `answers-*.npz`. On a GPU one CUDA graph holds a step of all slots.
"""

import math
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from .gguf import read_gguf
from .smollm import END_OF_TURN, PREFIX, Teacher, tokenizer

LENGTH = 384  # ids of a prompt and its answer
PROMPT = 144  # most ids of a prompt
TEMPERATURES, MIN_P, PENALTIES = (0.35, 0.45, 0.55), 0.1, (1.04, 1.06)
STEPS = 12  # between two looks at which slots are free
ANSWERS_IN_A_FILE = 8192
PATIENCE = 60  # seconds to wait for the first prompts


def prompts(work: Path, part: int, parts: int) -> Iterator[tuple]:
    """(ids, their count, the longest and the fitting length, number), again from the first when all are used."""
    used: set[Path] = set()
    since = time.time()
    while True:
        files = sorted(work.glob("prompts-*.npz"))[part::parts]
        new = [f for f in files if f not in used]
        if not new:
            if not files and time.time() - since > PATIENCE:
                raise ValueError(
                    f"There are no prompts for part {part} of {parts} in {work}; run teacher-prompts first."
                )
            used = set()
            time.sleep(0.1)
            continue
        used.add(new[0])
        d = np.load(new[0])
        yield from zip(d["ids"], d["given"], d["limit"], d["enough"], d["number"], strict=True)


class Writer:
    def __init__(self, model: Path, work: Path, slots: int, part: int, parts: int):
        cuda = torch.cuda.is_available()
        values, weights = read_gguf(model)
        self.teacher = Teacher(values, weights, "cuda" if cuda else "cpu", torch.bfloat16 if cuda else torch.float32)
        self.teacher.allocate(slots, LENGTH)
        self.work, self.part, self.cuda = work, part, cuda
        self.prompts = prompts(work, part, parts)
        self.random = np.random.default_rng([int(time.time()), part])
        torch.manual_seed(int(self.random.integers(1 << 31)))
        self.teacher.draws.fill_(int(self.random.integers(1 << 20)))
        self.number = np.zeros(slots, np.int64)
        self.answers, self.files, self.written = [], 0, 0
        self.shared = len(tokenizer(values).encode(PREFIX, add_special_tokens=False).ids)
        if cuda:
            from .kernels import use_kernels

            use_kernels(self.teacher)

    def fill(self, slots: np.ndarray, at: int):
        """Gives slots new prompts, of which `at` ids are read already."""
        t, count = self.teacher, len(slots)
        if not count:
            return
        ids = np.zeros((count, PROMPT), np.int64)
        numbers = np.zeros((3, count), np.int64)
        for i, slot in enumerate(slots):
            row, *numbers[:, i], self.number[slot] = next(self.prompts)
            ids[i] = row
        where = torch.as_tensor(slots, device=t.device)

        def put(x, dtype=torch.long):
            return torch.as_tensor(x, dtype=dtype).to(t.device)

        def draw(choices):
            return put(self.random.choice(choices, (count, 1)), torch.float32)

        t.tokens[where, :PROMPT] = put(ids)
        t.given[where], t.limit[where], t.enough[where] = put(numbers[0]), put(numbers[1]), put(numbers[2])
        t.temperature[where], t.penalty[where] = draw(TEMPERATURES), draw(PENALTIES)
        t.log_min_p[where] = math.log(MIN_P)
        t.position[where] = at
        t.log_prob[where] = 0
        t.done[where] = False

    def begin(self):
        """Reads what all prompts have in common, once; its keys and values stay in each slot."""
        t = self.teacher
        everything = np.arange(t.slots)
        self.fill(everything, 0)
        if not self.cuda:
            for _ in range(self.shared - 1):
                t.step()
            self.steps = t.step
            return
        stream = torch.cuda.Stream()  # what a graph is to hold must have run on a stream of its own before
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(self.shared - 1):
                t.step()
        torch.cuda.current_stream().wait_stream(stream)
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            t.step()
        torch.cuda.synchronize()
        self.steps = graph.replay

    def collect(self):
        t = self.teacher
        free = t.done.nonzero()[:, 0]
        if not len(free):
            return
        rows, slots = t.tokens[free].cpu().numpy(), free.cpu().numpy()
        ends, begins = t.position[free].cpu().numpy(), t.given[free].cpu().numpy()
        odds = t.log_prob[free].cpu().numpy()
        for row, slot, end, begin, odd in zip(rows, slots, ends, begins, odds, strict=True):
            answer = row[begin : end + 1].astype(np.uint16)
            ended = row[end + 1] <= END_OF_TURN
            self.answers.append((answer, self.number[slot], ended, odd / max(1, len(answer))))
            self.written += len(answer)
        self.fill(slots, self.shared - 1)

    def flush(self):
        if not self.answers:
            return
        ids, numbers, ended, odds = zip(*self.answers, strict=True)
        temporary = self.work / f"writing-{self.part}.npz"
        np.savez(
            temporary,
            ids=np.concatenate(ids),
            lengths=np.array([len(x) for x in ids]),
            number=np.array(numbers),
            ended=np.array(ended),
            odds=np.array(odds, np.float32),
        )
        os.rename(temporary, self.work / f"answers-{self.part}-{self.files:05d}.npz")
        self.files += 1
        self.answers = []


@torch.no_grad()
def write(model: Path, work: Path, seconds: float, slots: int, part: int, parts: int):
    begun = time.time()
    writer = Writer(model, work, slots, part, parts)
    writer.begin()
    first = said = time.time()
    print(f"ready after {first - begun:.0f} s; {writer.shared} ids of each prompt are shared", flush=True)
    steps = 0
    while time.time() - begun < seconds:
        for _ in range(STEPS):
            writer.steps()
        steps += STEPS
        writer.collect()
        if len(writer.answers) >= min(ANSWERS_IN_A_FILE, 2 * slots):
            writer.flush()
        if time.time() - said > 20:
            said = time.time()
            spent = said - first
            print(f"{spent:.0f} s: {steps * slots / spent / 1e3:.0f}k steps/s, {writer.written / 1e6:.1f}M ids written"
                  f" ({writer.written / spent / 1e3:.0f}k/s)", flush=True)  # fmt: skip
    writer.flush()
    (work / f"written-{part}-of-{parts}").write_text(f"{writer.written} ids in {time.time() - first:.0f} s\n")
    print(f"end: {writer.written} ids", flush=True)
