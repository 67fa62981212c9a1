"""Documents of this package's tasks, and what scores them. The files in tasks/ name these functions.

Files come from a path that the harness's `--metadata` tells (`lambada_path`, `wikitext_path`), which it hands to the
functions that load documents. One file for each task, since the metadata is the same for all tasks of a run.
"""

import json
import re
from pathlib import Path

from datasets import Dataset
from lm_eval.tasks.wikitext.preprocess_wikitext import process_results, wikitext_detokenizer

from . import book, last_word
from .errors import EvaluationError

__all__ = ["process_results", "wikitext_detokenizer"]


def northanger_chapters(northanger_words: int | None = None, **_) -> dict[str, Dataset]:
    """One document a chapter, in `page`, where the harness's wikitext has its text and counts words and bytes.

    `northanger_words`: of each chapter only so many words, for a quick look.
    """
    pages = ("\n\n".join(paragraphs) for paragraphs in book.chapters())
    if northanger_words is not None:
        pages = (" ".join(page.split()[: int(northanger_words)]) for page in pages)
    return {"test": Dataset.from_list([{"chapter": i, "page": page} for i, page in enumerate(pages, 1)])}


def northanger_last_words(**_) -> dict[str, Dataset]:
    return {"test": jsonl(last_word.PATH)}


def lambada(lambada_path: str | None = None, **_) -> dict[str, Dataset]:
    """JSON lines, or LAMBADA's original form for a file whose name does not end in .jsonl or .json."""
    path = given("lambada_file", "lambada_path", lambada_path)
    return {"test": jsonl(path) if path.suffix.lower() in (".jsonl", ".json") else plain(path)}


def wikitext(wikitext_path: str | None = None, **_) -> dict[str, Dataset]:
    text = given("wikitext_file", "wikitext_path", wikitext_path).read_text(encoding="utf-8")
    return {"test": Dataset.from_list([{"page": page} for page in articles(text)])}


def given(task: str, key: str, path: str | None) -> Path:
    hint = f"Name the file: --metadata '{json.dumps({key: '/path/to/file'})}'."
    if not path:
        raise EvaluationError("setup", f"The task {task} has no file.", hint)
    file = Path(str(path)).expanduser()
    if not file.is_file():
        raise EvaluationError("setup", f"The file of the task {task}, {file}, is not there.", hint)
    return file


def lines(path: Path) -> list[tuple[int, str]]:
    """Those that are not blank, with their numbers.

    Only at "\\n": `str.splitlines` also cuts at U+2028 and U+0085, which may stand in the texts.
    """
    numbered = enumerate(path.read_bytes().decode("utf-8").split("\n"), 1)
    return [(number, line) for number, line in numbered if line.strip()]


def jsonl(path: Path) -> Dataset:
    """Lines of JSON objects with a `text` whose last word, behind the last space, is to be guessed."""
    rows = []
    for number, line in lines(path):
        try:
            row = json.loads(line)
            row["text"]
        except (ValueError, KeyError, TypeError) as e:
            hint = 'Each line should be like {"text": "some words and the last"}.'
            raise EvaluationError("setup", f"Line {number} of {path} has no text: {e!r}.", hint) from e
        rows.append((number, row))
    return passages(path, rows)


def plain(path: Path) -> Dataset:
    """Each line is such a `text`."""
    return passages(path, [(number, {"text": line.strip()}) for number, line in lines(path)])


def passages(path: Path, rows: list[tuple[int, dict]]) -> Dataset:
    for number, row in rows:
        if not isinstance(row["text"], str) or " " not in row["text"]:
            raise EvaluationError("setup", f"Line {number} of {path} has fewer than two words.", "Leave it out.")
    if not rows:
        raise EvaluationError("setup", f"{path} is empty.", "Name another file.")
    return Dataset.from_list([row for _, row in rows])


def articles(text: str) -> list[str]:
    """WikiText's articles, each with its heading ` = Title = `.

    The rule, with its effects on headings of sections, is the one by which the harness's own wikitext was cut.
    """
    found: list[list[str]] = [[]]
    for line in text.split("\n"):
        heading = re.sub(r"= =( =)?", lambda m: m[0].replace(" ", ""), line).strip()
        if heading.startswith("= ") and heading.endswith(" ="):
            found.append([])
        found[-1].append(line)
    return [page for page in ("\n".join(lines) for lines in found) if page.strip()]
