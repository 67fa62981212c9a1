"""The quality table in Markdown."""

import math

from .errors import EvaluationError
from .paired import (
    Difference,
    Document,
    accuracy,
    accuracy_difference,
    log_perplexity,
    log_perplexity_difference,
)

BASELINE = "f32"


def markdown(rows: dict[str, dict[str, list[Document]]]) -> str:
    """`rows`: for each precision the documents of each task."""
    tasks = list(dict.fromkeys(task for row in rows.values() for task in row))
    return "\n\n".join(table_of(task, {name: row[task] for name, row in rows.items() if task in row}) for task in tasks)


def table_of(task: str, rows: dict[str, list[Document]]) -> str:
    first = next(iter(rows.values()))
    is_text = first[0].correct is None
    for name, documents in rows.items():
        if BASELINE in rows:
            try:
                log_perplexity_difference(documents, rows[BASELINE])
            except ValueError as e:
                hint = "Run both on the same files, with the same --limit and the same context length."
                raise EvaluationError("invalid-argument", f"{task}: {name} and {BASELINE} differ: {e}.", hint) from e
    tokens = sum(d.tokens for d in first)
    lines = [f"**{task}**, {len(first)} documents, {tokens:,} tokens scored", ""]
    lines += text_lines(rows) if is_text else last_word_lines(rows)
    return "\n".join(lines)


def text_lines(rows: dict[str, list[Document]]) -> list[str]:
    lines = [
        "| precision | token perplexity | against f32 | bits per byte | against f32 |",
        "|---|---|---|---|---|",
    ]
    for name, documents in rows.items():
        perplexity, bits = math.exp(log_perplexity(documents)), log_perplexity(documents, "bytes") / math.log(2)
        relative, more_bits = "", ""
        if name != BASELINE and BASELINE in rows:
            relative = percent(log_perplexity_difference(documents, rows[BASELINE]))
            more_bits = number(log_perplexity_difference(documents, rows[BASELINE], "bytes"), 1 / math.log(2), 5)
        lines.append(f"| {name} | {perplexity:.3f} | {relative} | {bits:.4f} | {more_bits} |")
    return lines


def last_word_lines(rows: dict[str, list[Document]]) -> list[str]:
    lines = ["| precision | accuracy | against f32 | perplexity | against f32 |", "|---|---|---|---|---|"]
    for name, documents in rows.items():
        perplexity, right = math.exp(log_perplexity(documents, None)), accuracy(documents)
        relative, more_right = "", ""
        if name != BASELINE and BASELINE in rows:
            relative = percent(log_perplexity_difference(documents, rows[BASELINE], None))
            more_right = number(accuracy_difference(documents, rows[BASELINE]), 100, 2, " points")
        lines.append(f"| {name} | {100 * right:.2f} % | {more_right} | {perplexity:.3f} | {relative} |")
    return lines


def number(difference: Difference, scale: float, digits: int, unit: str = "") -> str:
    error = difference.standard_error
    text = f"{difference.value * scale:+.{digits}f}"
    return f"{text} ± {error * scale:.{digits}f}{unit}" if error is not None else f"{text}{unit}"


def percent(difference: Difference) -> str:
    """Of a perplexity, from the difference of its logarithm."""
    factor = math.exp(difference.value)
    error = difference.standard_error
    text = f"{100 * (factor - 1):+.3f}"
    return f"{text} ± {100 * factor * error:.3f} %" if error is not None else f"{text} %"
