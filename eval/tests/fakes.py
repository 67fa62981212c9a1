"""A session without a model, whose numbers can be computed by hand."""

import re
from dataclasses import replace

from tokenformer_eval.errors import EvaluationError
from tokenformer_eval.session import ModelInfo, Score, Session

INFO = ModelInfo(
    id="fake", revision="1", quantization="q4", backend="cpu", context_length=8, origin={"build": "a"}, notes=[]
)


def ids_of(text: str) -> list[int]:
    """A token for each word with the space before it, as GPT's, and for each other character; the id is the length
    for words and the code point for the rest. `<|endoftext|>` is 0."""
    pieces = re.findall(r"<\|endoftext\|>| ?[a-z]+|.|\n", text)
    return [0 if p == "<|endoftext|>" else len(p) if p.strip().isalpha() else ord(p) for p in pieces]


def logprob(previous: int, token: int) -> float:
    """Depends on both, so that a context that went wrong shows."""
    return -(previous + 2 * token) / 64


class FakeSession(Session):
    def __init__(self, context_length: int = 8, fail_after: int | None = None, **info) -> None:
        self.info = replace(INFO, context_length=context_length, **info)
        self.calls = {"encode": 0, "score": 0, "complete": 0}
        self.batches: list = []
        self.prompts: list = []
        self.fail_after = fail_after
        self.closed = False

    def encode(self, texts):
        self.calls["encode"] += 1
        return [ids_of(text) for text in texts]

    def score(self, batches):
        # Backwards: what comes first need not be ready first.
        for i in reversed(range(len(batches))):
            if self.fail_after is not None and self.calls["score"] == self.fail_after:
                raise EvaluationError("crashed", "The page ended.", "Run it again.")
            self.calls["score"] += 1
            self.batches.append(batches[i])
            yield i, [self.answer(item) for item in batches[i]]

    def answer(self, item) -> Score:
        whole = [*item.context, *item.text]
        assert item.context and item.text and len(whole) <= self.info.context_length
        pairs = zip(whole[len(item.context) - 1 :], item.text, strict=False)
        return Score([logprob(a, b) for a, b in pairs], len(item.text) % 2 == 0)

    def complete(self, prompts):
        for i, prompt in enumerate(prompts):
            self.calls["complete"] += 1
            self.prompts.append(prompt)
            yield i, f"{len(prompt.prompt)} tokens"

    def close(self):
        self.closed = True


def instances(kind: str, *arguments: tuple):
    from lm_eval.api.instance import Instance

    return [Instance(request_type=kind, doc={}, arguments=args, idx=i) for i, args in enumerate(arguments)]
