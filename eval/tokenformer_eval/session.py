"""What the harness needs of a model that runs elsewhere."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice


@dataclass(frozen=True)
class ModelInfo:
    """What the model is."""

    id: str
    revision: str
    quantization: str
    backend: str
    #: Most tokens of context and scored text together.
    context_length: int
    #: Rows of the table of embeddings.
    vocabulary: int = 0
    #: Everything else that could change a number: the build, the GPU. Answers are never shared between two of them.
    origin: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ScoreItem:
    """Token ids; those of `text` are scored, given `context` and what precedes them in `text`."""

    context: list[int]
    text: list[int]


@dataclass(frozen=True)
class Score:
    #: One natural logarithm for each token of the text.
    logprobs: list[float | None]
    #: Whether every token is the likeliest one.
    is_greedy: bool


@dataclass(frozen=True)
class Completion:
    """What to write: a prompt of token ids and how to go on. A temperature of 0 is greedy."""

    prompt: list[int]
    max_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()
    #: None only where nothing is drawn: without a seed the browser takes a random one, and the reference 0.
    seed: int | None = None

    def options(self) -> dict:
        """In the names of the JavaScript interface, which the reference shares."""
        options = {
            "maxTokens": self.max_tokens,
            "temperature": self.temperature,
            "topP": self.top_p,
            "topK": self.top_k,
            "stop": list(self.stop),
        }
        return options if self.seed is None else {**options, "seed": self.seed}


def in_groups(prompts: Iterable[Completion], size: int) -> Iterator[list[tuple[int, Completion]]]:
    """Numbered neighbours with the same options, at most `size` of them: what one call can write at once."""
    for _, alike in groupby(enumerate(prompts), key=lambda numbered: numbered[1].options()):
        while group := list(islice(alike, size)):
            yield group


class Session(ABC):
    """A loaded model. All methods raise `EvaluationError`."""

    info: ModelInfo
    #: Most prompts that `complete` hands over at once, where a session can write several.
    at_once: int = 16

    @abstractmethod
    def encode(self, texts: list[str]) -> list[list[int]]:
        """Token ids of every text."""

    @abstractmethod
    def score(self, batches: list[list[ScoreItem]]) -> Iterator[tuple[int, list[Score]]]:
        """The number of each batch with its answers, in the order in which they get ready."""

    @abstractmethod
    def complete(self, prompts: Iterable[Completion]) -> Iterator[tuple[int, str]]:
        """The number of each prompt with its continuation, in the order in which they get ready.

        Neighbours with the same options may be written at once."""

    @abstractmethod
    def close(self) -> None:
        """Frees everything. May be called again."""
