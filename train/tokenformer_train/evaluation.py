"""How well a model knows texts."""

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer

from .sampling import at_bits
from .tokens import encode, token_bytes

WINDOW = 512


def window_of(model) -> int:
    return min(WINDOW, model.shape.context)


@torch.no_grad()
def nats(model, ids: list[int]) -> tuple[float, int]:
    """The negative log-likelihood in windows of at most 512 ids, each scored alone from its second id on."""
    total, count, width = 0.0, 0, window_of(model)
    for at in range(0, len(ids), width):
        window = torch.tensor([ids[at : at + width]])
        if window.shape[1] > 1:
            logits = model(window)[0, :-1]
            total += F.cross_entropy(logits, window[0, 1:], reduction="sum").item()
            count += window.shape[1] - 1
    return total, count


@torch.no_grad()
def last_words(model, tokenizer, path: Path) -> float:
    """The share of passages whose last word the model writes, greedily."""
    right, passages = 0, [json.loads(line)["text"] for line in path.read_text("utf-8").splitlines() if line]
    for text in passages:
        context, all_ = encode(tokenizer, text.rsplit(" ", 1)[0]), encode(tokenizer, text)
        guessed = model(torch.tensor([all_]))[0, len(context) - 1 : -1].argmax(-1)
        right += guessed.tolist() == all_[len(context) :]
    return right / len(passages)


def measure(folder: Path, texts: list[Path], bits: int, most: int, passages: Path | None) -> dict:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model, sizes, out = at_bits(folder, bits), token_bytes(tokenizer), {}
    for path in texts:
        ids = encode(tokenizer, path.read_text("utf-8"))[:most]
        total, count = nats(model, ids)
        width = window_of(model)
        size = int(sum(sizes[i] for at in range(0, len(ids), width) for i in ids[at + 1 : at + width]))
        out[path.name] = {
            "ids": count,
            "nats": round(total / count, 4),
            "perplexity": round(math.exp(total / count), 3),
            "bits_per_byte": round(total / math.log(2) / size, 4),
        }
    if passages:
        out["last_words"] = last_words(model, tokenizer, passages)
    return out
