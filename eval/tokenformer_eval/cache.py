"""Keeps the answers of different models apart.

The harness's cache of answers (`CachingLM`, `--use_cache`) has keys of the request alone, not of the model: two models
with one file would answer for each other. So the file of an own cache is named after everything that could change an
answer, and each file, also one that `--use_cache` names, notes whose answers it holds.
"""

import hashlib
import json
import os
import re
from dataclasses import asdict
from pathlib import Path

from lm_eval.api.model import CacheHook, CachingLM

from .errors import EvaluationError
from .session import ModelInfo

#: Beside the answers, whose keys are hexadecimal.
OWNER = "model of these answers"


def default_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tokenformer-eval"


def answers_folder() -> Path:
    return default_folder() / "answers"


def identity(info: ModelInfo) -> str:
    """Everything that could change an answer, as text."""
    facts = asdict(info)
    del facts["notes"], facts["vocabulary"]  # The latter follows from the rest.
    return json.dumps(facts, sort_keys=True)


def file_for(info: ModelInfo, folder: Path) -> Path:
    """One file for each model, revision, quantization, backend, context length, GPU and build.

    The harness adds `_rank0.db` to what `use_cache` names.
    """
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{info.id}-{info.quantization}-{info.backend}").strip("_")
    return folder / f"{name[-80:]}-{hashlib.sha256(identity(info).encode()).hexdigest()[:16]}"


def check_owner(hook: CacheHook, info: ModelInfo) -> None:
    """Refuses a cache that holds another model's answers, and marks a new one as this model's."""
    if hook.dbdict is None:
        return
    mine = identity(info)
    owner = hook.dbdict.get(OWNER)
    if owner is None and len(hook.dbdict) > 0:
        owner = "one that is not known"
    if owner is not None and owner != mine:
        raise EvaluationError(
            "cache",
            f"The cache {hook.dbdict.filename} has the answers of another model, build or GPU: {owner}, not {mine}.",
            "Name another file with --use_cache, delete that one, or leave --use_cache out: by default every model has"
            " a file of its own.",
        )
    if owner is None:
        hook.dbdict[OWNER] = mine
        hook.dbdict.commit()


def with_cache(lm, info: ModelInfo, setting: bool | str):
    """The model with its own cache. `setting`: False for none, True for the default folder, or a folder."""
    if setting is False:
        return lm
    folder = answers_folder() if setting is True else Path(setting).expanduser()
    return CachingLM(lm, f"{file_for(info, folder)}_rank0.db")
