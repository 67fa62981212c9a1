"""Cuts passages from the book whose last word is to be guessed, as LAMBADA's are.

    python -m tokenformer_eval.last_word          # writes data/northanger_last_word.jsonl anew

A passage is as many whole sentences of one chapter as give the last word a context of at least 50 words that has this
word already, as LAMBADA's nearly always have it; where 150 do not have it, the sentence makes no passage. The word is
of plain letters, at least four, which leaves out most that the grammar alone would tell. No two passages have the same
last sentence, but contexts overlap. People checked LAMBADA's passages, and nobody did these: the numbers compare
models, and precisions of one model, on this file, and say nothing beside those of LAMBADA.
"""

import json
import re

from . import PACKAGE
from .book import chapters

PATH = PACKAGE / "data" / "northanger_last_word.jsonl"
#: Words before the last one.
LEAST_WORDS, MOST_WORDS = 50, 150
WORD = re.compile(r"(?<= )[A-Za-z]{4,}$")
#: Punctuation that ends a sentence, with quotes and brackets after it, if a capital or a quote follows.
SENTENCE_END = re.compile(r"""[.!?]+["')\]]*(?=\s+["'(\[]*[A-Z]|$)""")
CLOSING = ".!?\"')]"
ABBREVIATIONS = ("Mr.", "Mrs.", "Dr.", "St.", "No.", "Vol.", "Co.")


def sentences(paragraph: str) -> list[str]:
    found, start = [], 0
    for end in SENTENCE_END.finditer(paragraph):
        sentence = paragraph[start : end.end()].strip()
        if sentence.split(" ")[-1].lstrip("\"'(") in ABBREVIATIONS:
            continue
        found.append(sentence)
        start = end.end()
    if rest := paragraph[start:].strip():
        found.append(rest)
    return found


def passages(paragraphs: list[str]) -> list[str]:
    """The passages of one chapter, without the punctuation behind the last word."""
    found: list[str] = []
    #: Sentences, each with what stands before it.
    so_far: list[str] = []
    for paragraph in paragraphs:
        for i, sentence in enumerate(sentences(paragraph)):
            so_far.append(("\n\n" if i == 0 else " ") + sentence)
            passage = passage_at_end(so_far)
            if passage:
                found.append(passage)
    return found


def passage_at_end(so_far: list[str]) -> str | None:
    """The last sentence with as many before it as are needed, if this makes a passage."""
    last = so_far[-1].rstrip(CLOSING)
    word = WORD.search(last)
    if not word:
        return None
    # Words of the last sentence but its last one count as context, too.
    context = last[: word.start()]
    for before in [*reversed(so_far[:-1]), None]:
        words = len(context.split())
        if words > MOST_WORDS:
            return None
        if words >= LEAST_WORDS and word[0].lower() in re.findall(r"[a-z]+", context.lower()):
            return context.lstrip() + word[0]
        if before is not None:
            context = before + context
    return None


def lines() -> list[str]:
    """The file, as lines: `{"text": …, "chapter": …}`."""
    return [
        json.dumps({"text": text, "chapter": number})
        for number, paragraphs in enumerate(chapters(), 1)
        for text in passages(paragraphs)
    ]


def main() -> None:
    PATH.write_text("".join(f"{line}\n" for line in lines()), encoding="utf-8")
    print(f"{len(lines())} passages in {PATH}")


if __name__ == "__main__":
    main()
