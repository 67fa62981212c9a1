#!/usr/bin/env python3
"""Makes models with random weights: speed does not depend on their values. Python 3.9 or newer, no packages.

    models/make.py OUT [--tiny] [NAME ...]

NAME is one of those below; left out, all. --tiny makes small models under the same names, to try the pages with.
What is there already stays as it is.
"""

import argparse
import os
import shutil
import sys
import time

import gguf_model
import onnx_model
import tokenformer_model


def tokenformer(layers, hidden, heads):
    return tokenformer_model, {"layers": layers, "hidden": hidden, "heads": heads, "vocabulary": 50304}


MODELS = {
    # The shape of Pythia-410M: of those that others run, the closest to TokenFormer-450M.
    "pythia-410m.gguf": (gguf_model, {"layers": 24, "hidden": 1024, "heads": 16, "vocabulary": 50304}),
    # The shape of Qwen2-0.5B, with and without half precision.
    "qwen2-0.5b": (
        onnx_model,
        {"layers": 24, "hidden": 896, "heads": 14, "kv_heads": 2, "inner": 4864, "vocabulary": 151936},
    ),
    "tokenformer-150m": tokenformer(12, 768, 12),
    "tokenformer-450m": tokenformer(24, 1024, 16),
    "tokenformer-900m": tokenformer(32, 1280, 16),
    "tokenformer-1.5b": tokenformer(40, 1536, 16),
}
TINY = {"layers": 2, "hidden": 256, "heads": 4, "kv_heads": 2, "inner": 512, "vocabulary": 1024}


def size_of(path):
    if os.path.isfile(path):
        return os.path.getsize(path)
    return sum(os.path.getsize(os.path.join(folder, name)) for folder, _, names in os.walk(path) for name in names)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, epilog="NAME: " + ", ".join(MODELS)
    )
    parser.add_argument("out")
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--tiny", action="store_true")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in MODELS]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}")
    os.makedirs(given.out, exist_ok=True)
    for name in given.names or MODELS:
        path = os.path.join(given.out, name)
        if not os.path.exists(path):
            start, unfinished = time.monotonic(), path + ".unfinished"
            shutil.rmtree(unfinished, ignore_errors=True)
            module, shape = MODELS[name]
            module.write({**shape, **TINY} if given.tiny else shape, unfinished)
            os.replace(unfinished, path)
            print(f"{name}: {size_of(path) / 1e6:.0f} MB in {time.monotonic() - start:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
