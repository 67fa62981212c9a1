"""What quantizing costs: the same texts read in float32 and in each precision.

    python -m tokenformer_eval.quality --checkpoint pytorch_model.bin --rows f32,q8,q4 --output quality
    python -m tokenformer_eval.quality --join --output quality

f32 is the reference on the CPU, everything else the module in a browser. Each row becomes a file of sums for each
document in the output folder, so that rows can be run on different machines and joined later.
"""

import argparse
import json
from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.api.registry import get_model
from lm_eval.tasks import TaskManager
from lm_eval.utils import setup_logging, simple_parse_args_string

from . import TASKS, cache, embedded_model, lm  # noqa: F401 (importing lm registers the models)
from .errors import EvaluationError, told
from .paired import Document
from .table import BASELINE, markdown

ROWS = (BASELINE, "f16", "q8", "q4")
SAME_NAME = "If they are the same model, run them again with the same --name; else give each an --output of its own."
OWN_TASKS = ["northanger_rolling", "northanger_last_word"]


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tokenformer_eval.quality", description=__doc__.split("\n")[0])
    parser.add_argument("--rows", default=",".join(ROWS), help="precisions, separated by commas; default: %(default)s")
    parser.add_argument("--checkpoint", help="pytorch_model.bin with config.json and tokenizer.json beside it")
    parser.add_argument(
        "--folder",
        action="append",
        default=[],
        metavar="ROW=FOLDER",
        help="what `convert` wrote, instead of the checkpoint; nothing behind the = is the embedded model",
    )
    parser.add_argument("--name", help="of the model, the same for all rows; default: its folder's name")
    parser.add_argument("--output", type=Path, default=Path("quality"), help="folder of the rows; default: %(default)s")
    parser.add_argument("--join", action="store_true", help="run nothing, print what the folder has")
    parser.add_argument("--lambada", help="LAMBADA, as JSON lines or a passage a line: adds lambada_file")
    parser.add_argument("--wikitext", help="a file of WikiText: adds wikitext_file")
    parser.add_argument("--context-length", type=int, help="in tokens; take 1024 for the embedded model")
    parser.add_argument("--limit", type=int, help="documents of each task, to try it out")
    parser.add_argument("--web-args", default="", help="more of tokenformer-web: gpu=native,backend=webgpu")
    parser.add_argument("--reference-args", default="", help="more of tokenformer-reference: processes=2")
    return parser.parse_args(given)


def model_of(row: str, options: argparse.Namespace) -> tuple[str, dict]:
    """The harness's name of the model and its arguments."""
    folders = dict(folder.partition("=")[::2] for folder in options.folder)
    if unknown := [name for name in (row, *folders) if name not in ROWS]:
        raise EvaluationError("invalid-argument", f"There is no row {unknown[0]}.", f"Known are {', '.join(ROWS)}.")
    if row not in folders and not options.checkpoint:
        raise EvaluationError("invalid-argument", f"{row} has no model.", f"Give --checkpoint or --folder {row}=….")
    model = folders.get(row, options.checkpoint)
    if row == BASELINE:
        name, args = "tokenformer-reference", {"model": model, **simple_parse_args_string(options.reference_args)}
    else:
        name, args = "tokenformer-web", {"model": model, **simple_parse_args_string(options.web_args)}
        if row not in folders:
            args["quantization"] = row
    if options.context_length:
        args["context_length"] = options.context_length
    return name, args


def name_of(row: str, options: argparse.Namespace) -> str:
    """What tells this row's model from others, which share the tokenizer and thus the documents."""
    if options.name:
        return options.name
    model = model_of(row, options)[1]["model"]
    if not model:
        return embedded_model().name
    path = Path(model).expanduser().absolute()
    return path.parent.name if path.is_file() else path.name


def check_same(what: str, values: dict, hint: str) -> None:
    """`values`: of each row."""
    if len(set(values.values())) > 1:
        raise EvaluationError("invalid-argument", f"The rows have different {what}: {values}.", hint)


def run(row: str, options: argparse.Namespace) -> dict:
    """The row's file."""
    name, args = model_of(row, options)
    tasks = [*OWN_TASKS, *(["lambada_file"] * bool(options.lambada)), *(["wikitext_file"] * bool(options.wikitext))]
    paths = {"lambada_path": options.lambada, "wikitext_path": options.wikitext}
    manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata=paths)
    # The harness takes no model that has a cache already, and makes the same one of a path.
    model = get_model(name).create_from_arg_obj({**args, "cache": False})
    info = model.session.info
    if info.quantization != row:
        model.session.close()
        hint = "Give the folder of this precision, or a checkpoint that is not quantized."
        raise EvaluationError("invalid-argument", f"The model of the row {row} is {info.quantization}.", hint)
    try:
        results = simple_evaluate(
            model,
            tasks=tasks,
            task_manager=manager,
            limit=options.limit,
            use_cache=str(cache.file_for(info, cache.answers_folder())),
            bootstrap_iters=0,
        )
        documents = {task: documents_of(model, results["samples"][task]) for task in tasks}
    finally:
        model.session.close()
    return {
        "row": row,
        "name": name_of(row, options),
        "limit": options.limit,
        "model": model.get_model_info()["tokenformer"],
        "tasks": {task: [document.as_json() for document in of_task] for task, of_task in documents.items()},
    }


def documents_of(model, samples: list[dict]) -> list[Document]:
    """The harness's samples as documents, with the numbers of tokens that it does not count."""
    samples = sorted(samples, key=lambda sample: sample["doc_id"])
    if "bits_per_byte" in samples[0]:
        counts = [len(ids) for ids in model.session.encode([s["arguments"][0][0] for s in samples])]
    else:
        counts = [len(text) for _, text in model.encode_pairs([s["arguments"][0] for s in samples])]
    return [document_of(sample, count) for sample, count in zip(samples, counts, strict=True)]


def document_of(sample: dict, tokens: int) -> Document:
    if "bits_per_byte" not in sample:
        return Document(sample["doc_hash"], sample["perplexity"], tokens, correct=bool(sample["acc"]))
    loglikelihood, words = sample["word_perplexity"]
    return Document(sample["doc_hash"], loglikelihood, tokens, bytes=sample["byte_perplexity"][1], words=words)


def joined(folder: Path) -> dict[str, dict[str, list[Document]]]:
    """The documents of each row and task in the folder, the most precise first."""
    files = {row: folder / f"{row}.json" for row in ROWS}
    found = {row: json.loads(path.read_text(encoding="utf-8")) for row, path in files.items() if path.is_file()}
    if not found:
        hint = "Run some rows first, or name their folder with --output."
        raise EvaluationError("setup", f"{folder} has no rows ({', '.join(p.name for p in files.values())}).", hint)
    check_same("models", {row: file.get("name") for row, file in found.items()}, SAME_NAME)
    vocabularies = {row: file["model"].get("vocabulary") for row, file in found.items()}
    check_same("vocabularies", vocabularies, "They are not the same model: give each an --output of its own.")
    lengths = {row: file["model"]["context_length"] for row, file in found.items()}
    check_same("context lengths", lengths, "Run them again with the same --context-length.")
    limits = {row: file.get("limit") for row, file in found.items()}
    check_same("limits", limits, "Run them again with the same --limit, or all without.")
    return {
        row: {task: [Document(**document) for document in documents] for task, documents in file["tasks"].items()}
        for row, file in found.items()
    }


def main() -> None:
    setup_logging()
    options = arguments()
    with told():
        if not options.join:
            options.output.mkdir(parents=True, exist_ok=True)
            rows = options.rows.split(",")
            # All mistakes come before the first hour.
            for row in rows:
                model_of(row, options)
            check_same("models", {row: name_of(row, options) for row in rows}, SAME_NAME)
            for row in rows:
                file = json.dumps(run(row, options), indent=1, ensure_ascii=False)
                (options.output / f"{row}.json").write_text(file + "\n", encoding="utf-8")
        print(markdown(joined(options.output)))


if __name__ == "__main__":
    main()
