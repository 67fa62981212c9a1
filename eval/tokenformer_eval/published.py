"""The zero-shot table of the TokenFormer paper, measured in the browser.

    python -m tokenformer_eval.published --models 150M,450M --quantizations q4,q8 --output published
    python -m tokenformer_eval.published --join --output published

It needs the hub, for models (up to 6.35 GB each, downloaded once and kept quantized) and for the tasks' data. The
perplexity on the Pile, which the paper has as well, is left out: the Pile is not distributed any more.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.api.registry import get_model
from lm_eval.utils import setup_logging, simple_parse_args_string

from . import cache, lm  # noqa: F401 (importing lm registers the models)
from .errors import EvaluationError, told

#: Task, metric, and heading. The paper does not say which accuracies it gives. This is inferred from its figures for
#: Pythia, which are those of Mamba's paper (arXiv 2312.00752), where "accuracy normalized by sequence length" is given
#: for HellaSwag and ARC-challenge, and plain accuracy for the rest: 40.6 for Pythia-410M on HellaSwag is the normalized
#: one, the plain one being about 34.
COLUMNS = (
    ("lambada_openai", "perplexity", "LAMBADA ppl"),
    ("lambada_openai", "acc", "LAMBADA acc"),
    ("hellaswag", "acc_norm", "HellaSwag"),
    ("piqa", "acc", "PIQA"),
    ("arc_easy", "acc", "ARC-E"),
    ("arc_challenge", "acc_norm", "ARC-C"),
    ("winogrande", "acc", "WinoGrande"),
)
TASKS = list(dict.fromkeys(task for task, _, _ in COLUMNS))

#: Table 1 of arXiv 2410.23168, in the order of COLUMNS; accuracies in percent.
PAPER = {
    "150M": (16.38, 45.0, 35.5, 64.9, 47.3, 24.9, 50.4),
    "450M": (7.69, 57.3, 47.5, 69.5, 56.2, 26.7, 54.6),
    "900M": (5.46, 64.0, 55.3, 72.4, 59.9, 30.6, 56.4),
    "1-5B": (5.24, 64.7, 60.0, 74.8, 64.8, 32.0, 59.7),
}
PAPER_PRECISION = "paper"
QUANTIZATIONS = ("q4", "q8", "f16")

#: What a run gives for each column: the value, and its standard error where the harness has one.
Measured = list[tuple[float, float | None]]


def evaluate(model: str, quantization: str, options: argparse.Namespace) -> dict:
    """The row's file: what was measured, of what, and on how many documents."""
    args = {"model": model, "quantization": quantization, **simple_parse_args_string(options.web_args)}
    # The harness takes no model that has a cache already, and makes the same one of a path.
    loaded = get_model("tokenformer-web").create_from_arg_obj({**args, "cache": False})
    info = loaded.session.info
    try:
        results = simple_evaluate(
            loaded,
            tasks=TASKS,
            num_fewshot=0,
            limit=options.limit,
            use_cache=str(cache.file_for(info, cache.answers_folder())),
            log_samples=False,
        )
    finally:
        # The next row's browser wants the same profile.
        loaded.session.close()
    row = [measured(results["results"][task], metric) for task, metric, _ in COLUMNS]
    return {"model": asdict(info), "limit": options.limit, "measured": row}


def measured(result: dict, metric: str) -> tuple[float, float | None]:
    """The harness's value; accuracies in percent."""
    scale = 1 if metric == "perplexity" else 100
    error = result.get(f"{metric}_stderr,none")
    return result[f"{metric},none"] * scale, error * scale if isinstance(error, float) else None


def average(values: list[float]) -> float:
    """Of the accuracies, as in the paper."""
    accuracies = [value for value, (_, metric, _) in zip(values, COLUMNS, strict=True) if metric != "perplexity"]
    return sum(accuracies) / len(accuracies)


def markdown(rows: dict[tuple[str, str], dict]) -> str:
    """For each model that was measured the paper's numbers and then its own; a trial is marked as one."""
    headings = ["model", "precision", *(heading for _, _, heading in COLUMNS), "average"]
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for model in PAPER:
        own = {label(precision, row): row["measured"] for (m, precision), row in rows.items() if m == model}
        if own:
            paper = [(value, None) for value in PAPER[model]]
            lines += [line(model, precision, row) for precision, row in {PAPER_PRECISION: paper, **own}.items()]
    return "\n".join(lines)


def label(precision: str, row: dict) -> str:
    return precision if row["limit"] is None else f"{precision}, TRIAL on {row['limit']} documents of each task"


def line(model: str, precision: str, row: Measured) -> str:
    # The paper has a decimal of accuracies and two of perplexities.
    digits = [2 if metric == "perplexity" or precision != PAPER_PRECISION else 1 for _, metric, _ in COLUMNS]
    cells = [
        f"{value:.{n}f}" + (f" ± {error:.{n}f}" if error is not None else "")
        for (value, error), n in zip(row, digits, strict=True)
    ]
    return f"| {model} | {precision} | {' | '.join(cells)} | {average([value for value, _ in row]):.1f} |"


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tokenformer_eval.published", description=__doc__.split("\n")[0])
    parser.add_argument("--models", default=",".join(PAPER), help="separated by commas; default: %(default)s")
    parser.add_argument("--quantizations", default="q4", help="of q4, q8 and f16; default: %(default)s")
    parser.add_argument("--output", type=Path, default=Path("published"), help="folder of what was measured")
    parser.add_argument("--join", action="store_true", help="run nothing, print what the folder has")
    parser.add_argument("--limit", type=int, help="documents of each task, to try it out; the table marks it")
    parser.add_argument("--web-args", default="", help="more of tokenformer-web: gpu=native,backend=webgpu")
    options = parser.parse_args(given)
    options.models, options.quantizations = options.models.split(","), options.quantizations.split(",")
    for name, chosen, known in (
        ("model", options.models, list(PAPER)),
        ("quantization", options.quantizations, QUANTIZATIONS),
    ):
        if wrong := [value for value in chosen if value not in known]:
            parser.error(f"there is no {name} {wrong[0]}; known are {', '.join(known)}")
    return options


def stored(folder: Path) -> dict[tuple[str, str], dict]:
    files = {(m, q): folder / f"{m}-{q}.json" for m in PAPER for q in QUANTIZATIONS}
    rows = {key: json.loads(path.read_text(encoding="utf-8")) for key, path in files.items() if path.is_file()}
    for key, row in rows.items():
        if not isinstance(row, dict) or not {"model", "limit", "measured"} <= set(row):
            hint = "Run it again: answers that were kept are not asked for again."
            raise EvaluationError("setup", f"{files[key]} does not say of what and how much it was measured.", hint)
    if not rows:
        raise EvaluationError("setup", f"Nothing was measured yet in {folder}.", "Name its folder with --output.")
    return rows


def main(evaluate: Callable[[str, str, argparse.Namespace], dict] = evaluate) -> None:
    setup_logging()
    options = arguments()
    with told():
        for model in [] if options.join else options.models:
            for quantization in options.quantizations:
                row = evaluate(f"Haiyang-W/TokenFormer-{model}", quantization, options)
                options.output.mkdir(parents=True, exist_ok=True)
                file = options.output / f"{model}-{quantization}.json"
                file.write_text(json.dumps(row, indent=1), encoding="utf-8")
        print(markdown(stored(options.output)))


if __name__ == "__main__":
    main()
