"""golden.json: what a model computes in float32, for implementations to compare with."""

import json
import math
from pathlib import Path

import torch
from tokenizers import Tokenizer

from .evaluation import nats, window_of
from .publish import read_model
from .sampling import openings
from .tokens import encode

WRITTEN = 48


@torch.no_grad()
def greedy(model, ids: list[int], real_ids: int) -> tuple[list[int], list[float]]:
    """The likeliest ids one after the other, and by how much each one's logit leads."""
    past, new, chosen, margins = model.memory(), torch.tensor([ids]), [], []
    while len(chosen) < min(WRITTEN, model.shape.context - len(ids)) and 0 not in chosen:
        best = model(new, past)[0, -1, :real_ids].topk(2)
        chosen.append(int(best.indices[0]))
        margins.append(round(float(best.values[0] - best.values[1]), 4))
        new = torch.tensor([chosen[-1:]])
    return chosen, margins


def write(folder: Path, prompts: Path, text: Path, characters: int):
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    model, cases = read_model(folder), []
    for _, prompt in openings(prompts):
        ids = encode(tokenizer, prompt)
        chosen, margins = greedy(model, ids, tokenizer.get_vocab_size())
        written = tokenizer.decode(chosen, skip_special_tokens=False)
        cases.append({"prompt": prompt, "prompt_ids": ids, "greedy": chosen, "margins": margins, "text": written})
    total, count = nats(model, encode(tokenizer, text.read_text("utf-8")[:characters]))
    golden = {
        "about": "float32 PyTorch on the float16 weights as stored; greedy over real ids only; margins are top-1 minus"
        " top-2 logits",
        "cases": cases,
        "perplexity": {
            "text": f"first {characters:,} characters of {text.name}",
            "window": window_of(model),
            "note": f"consecutive windows of {window_of(model)} tokens, each scored alone from its second token on; exp"
            " of the mean negative log-likelihood over all padded_vocab_size logits",
            "tokens_scored": count,
            "value": math.exp(total / count),
        },
    }
    (folder / "golden.json").write_text(json.dumps(golden, indent=1) + "\n", "utf-8")
    print(f"{folder / 'golden.json'}: {len(cases)} continuations, perplexity {golden['perplexity']['value']:.3f}")
