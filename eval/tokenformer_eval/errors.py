"""What goes wrong, with what to do about it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class EvaluationError(Exception):
    """`code` is stable, `message` says what happened, `hint` what to do.

    Errors of the JavaScript module (`TokenFormerError`) and of the reference keep their own code, message and hint.
    Codes of this package: `setup` (something is missing here), `invalid-argument`, `crashed` (the page, the browser
    or the process is gone), `invalid-result` (an answer that cannot be right), `cache` (of another model).
    """

    def __init__(self, code: str, message: str, hint: str = "") -> None:
        super().__init__(code, message, hint)
        self.code = code
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint} ({self.code})" if self.hint else f"{self.message} ({self.code})"

    @classmethod
    def of(cls, error: dict) -> "EvaluationError":
        """The error that the page or the process reported: an object with `code`, `message` and `hint`."""
        message = error.get("message") or "It failed without a message."
        return cls(error.get("code") or "unknown", message, error.get("hint") or "")


@contextmanager
def told() -> Iterator[None]:
    """Around a command: an error ends it with its message and hint rather than with a traceback."""
    try:
        yield
    except EvaluationError as e:
        sys.exit(f"error: {e.message}\n{e.hint}\n({e.code})")


def wrong_count(call: str, got: int, wanted: int) -> EvaluationError:
    hint = "This is a bug of the module or the reference: please report it."
    return EvaluationError("invalid-result", f"{call} gave {got} answers instead of {wanted}.", hint)
