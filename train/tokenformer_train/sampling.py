"""Writes texts with a model."""

from pathlib import Path

import torch
from tokenizers import Tokenizer

from .grid import quantized
from .model import TokenFormer
from .publish import read_model
from .tokens import encode


def openings(path: Path) -> list[tuple[str, str]]:
    """(kind, opening) of each line `kind<TAB>opening`, where `\\n` is a line break."""
    lines = [line.split("\t", 1) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [(kind, text.replace("\\n", "\n")) for kind, text in lines]


def at_bits(folder: Path, bits: int) -> TokenFormer:
    """A folder's model with the weights that it has after a conversion to so many bits."""
    if bits == 16:
        return read_model(folder)
    return read_model(folder, lambda state: quantized(state, bits, 8))


@torch.no_grad()
def continuations(model, prompt: list[int], real_ids: int, most: int, seeds: list[int], settings) -> list[list[int]]:
    """What the model writes, once for each seed; a text that ended by itself has id 0 as its last."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    past, new = model.memory(len(seeds)), torch.tensor([prompt] * len(seeds))
    written: list[list[int]] = [[] for _ in seeds]
    seen = torch.zeros(len(seeds), real_ids, dtype=torch.bool)
    seen[:, prompt] = True
    for _ in range(min(most, model.shape.context - len(prompt))):
        logits = model(new, past)[:, -1, :real_ids]
        lower = torch.where(logits > 0, logits / settings["penalty"], logits * settings["penalty"])
        logits = torch.where(seen, lower, logits)
        for row, (text, generator) in enumerate(zip(written, generators, strict=True)):
            if 0 not in text:
                text.append(draw(logits[row], generator, settings))
                seen[row, text[-1]] = True
        if all(0 in text for text in written):
            break
        new = torch.tensor([text[-1:] for text in written])
    return written


def draw(logits, generator, settings) -> int:
    if settings["temperature"] == 0:
        return int(logits.argmax())
    odds, ids = (logits / settings["temperature"]).softmax(-1).sort(descending=True)
    keep = (odds.cumsum(-1) - odds <= settings["top_p"]) & (odds >= settings["min_p"] * odds[0])
    return int(ids[torch.multinomial(odds * keep, 1, generator=generator)])


def texts(a):
    """The lines that the command `sample` prints."""
    tokenizer = Tokenizer.from_file(str(a.folder / "tokenizer.json"))
    model, real_ids = at_bits(a.folder, a.bits), tokenizer.get_vocab_size()
    settings = {"temperature": a.temperature, "top_p": a.top_p, "min_p": a.min_p, "penalty": a.penalty}
    ended = count = 0
    for number, (kind, opening) in enumerate(openings(a.prompts)):
        written = continuations(model, encode(tokenizer, opening), real_ids, a.most, a.seeds, settings)
        for seed, ids in zip(a.seeds, written, strict=True):
            end, count = ids[-1:] == [0], count + 1
            ended += end
            yield f"## {number + 1} ({kind}), seed {seed}: {len(ids)} ids, {'ended' if end else 'did not end'}\n"
            yield f"**{opening}**{tokenizer.decode(ids[:-1] if end else ids, skip_special_tokens=False)}\n"
    yield f"{ended} of {count} ended within {a.most} ids."
