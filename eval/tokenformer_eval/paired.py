"""What a precision costs, from the same documents read in two precisions, with standard errors.

A document is a chapter, an article or a passage. Both readings have the same difficulty in common, so that the error of
their difference is far below that of either number.
"""

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Document:
    #: Tells whether two documents are the same one.
    id: str
    #: Natural logarithm of the probability of what was scored, which is `tokens` tokens.
    loglikelihood: float
    tokens: int
    #: Of the text that was scored, as the harness counts them; None for last words.
    bytes: int | None = None
    words: int | None = None
    #: Whether the likeliest tokens are the last word; None for texts.
    correct: bool | None = None

    def as_json(self) -> dict:
        return {key: value for key, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Difference:
    value: float
    #: None where there are fewer than two documents.
    standard_error: float | None


def ratio(numerators: list[float], sizes: list[float]) -> Difference:
    """Σ numerators / Σ sizes, and the standard error of this ratio over documents.

    Linearised: R = Σy / Σx has the variance n/(n-1) · Σ(y - R·x)² / (Σx)². With sizes of 1 it is that of a mean.
    """
    n, total = len(numerators), math.fsum(sizes)
    value = math.fsum(numerators) / total
    if n < 2:
        return Difference(value, None)
    residuals = math.fsum((y - value * x) ** 2 for y, x in zip(numerators, sizes, strict=True))
    return Difference(value, math.sqrt(n / (n - 1) * residuals) / total)


def log_perplexity(documents: list[Document], size: str | None = "tokens") -> float:
    """Nats per token (or byte, or word); without a size per document, as the harness has it for last words."""
    sizes = math.fsum(getattr(d, size) for d in documents) if size else len(documents)
    return -math.fsum(d.loglikelihood for d in documents) / sizes


def accuracy(documents: list[Document]) -> float:
    return sum(d.correct for d in documents) / len(documents)


def check_pairs(one: list[Document], other: list[Document]) -> None:
    """Raises a `ValueError` unless both read the same documents as the same tokens, in the same order."""
    if len(one) != len(other):
        raise ValueError(f"one read {len(one)} documents, the other {len(other)}")
    for i, (a, b) in enumerate(zip(one, other, strict=True)):
        if (a.id, a.tokens, a.bytes) != (b.id, b.tokens, b.bytes):
            raise ValueError(f"document {i} is not the same in both, or not the same tokens")


def log_perplexity_difference(
    documents: list[Document], baseline: list[Document], size: str | None = "tokens"
) -> Difference:
    """How many nats per token (or byte; without a size per document) more than the baseline."""
    check_pairs(documents, baseline)
    more = [b.loglikelihood - d.loglikelihood for d, b in zip(documents, baseline, strict=True)]
    return ratio(more, [getattr(d, size) if size else 1 for d in documents])


def accuracy_difference(documents: list[Document], baseline: list[Document]) -> Difference:
    check_pairs(documents, baseline)
    return ratio([d.correct - b.correct for d, b in zip(documents, baseline, strict=True)], [1] * len(documents))
