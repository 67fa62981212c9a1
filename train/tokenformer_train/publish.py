"""Model folders in the published format."""

import json
import shutil
from pathlib import Path

import torch

from .model import Shape, TokenFormer


def write_model(folder: Path, model: TokenFormer, tokenizer: Path, facts: dict):
    """The checkpoint in float16 with config.json, tokenizer.json, and training.json, which says how it was made."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: p.detach().to("cpu", torch.float16).clone() for name, p in model.published_names().items()}
    temporary = folder / "pytorch_model.tmp"
    torch.save(state, temporary)
    temporary.rename(folder / "pytorch_model.bin")
    if tokenizer.resolve() != (folder / "tokenizer.json").resolve():
        shutil.copyfile(tokenizer, folder / "tokenizer.json")
    for name, value in (("config.json", model.shape.to_config()), ("training.json", facts)):
        (folder / name).write_text(json.dumps(value, indent=2) + "\n", "utf-8")


def read_state(folder: Path) -> tuple[Shape, dict[str, torch.Tensor]]:
    shape = Shape.from_config(json.loads((folder / "config.json").read_text("utf-8")))
    return shape, torch.load(folder / "pytorch_model.bin", map_location="cpu")


def read_model(folder: Path, change=None) -> TokenFormer:
    """The model of a folder in float32; `change` may change its tensors first."""
    shape, state = read_state(folder)
    model = TokenFormer(shape).eval()
    model.load_published(change(state) if change else {name: t.float() for name, t in state.items()})
    return model
