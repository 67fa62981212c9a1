"""The CPU reference (plain float32 on the dequantized tables), asked by way of native processes.

One process answers one request at a time: `processes` of them share the batches. The protocol is a JSON object per
line on standard input and output; examples/reference_lm.rs of the checkout describes it.
"""

import json
import os
import queue
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from . import CHECKOUT, embedded_model
from .errors import EvaluationError
from .session import Completion, ModelInfo, Score, ScoreItem, Session

#: Texts of one request when encoding.
ENCODE_BATCH = 256


class Worker:
    """One process. Not for two threads at once."""

    def __init__(self, command: list[str]) -> None:
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        try:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, encoding="utf-8"
            )
        except OSError as e:
            self._errors.close()
            raise EvaluationError("setup", f"{command[0]} did not start: {e}.", "Check `command`.") from e

    def read(self, key: str):
        """The next answer."""
        line = self._process.stdout.readline()
        if not line:
            raise self._ended()
        try:
            answer = json.loads(line)
            if "error" in answer:
                raise EvaluationError.of(answer["error"])
            return answer[key]
        except (ValueError, KeyError, TypeError) as e:
            hint = f"It should be an object with {key!r}: check that `command` and this package are of one version."
            raise EvaluationError("invalid-result", f"The reference answered {line[:200]!r}.", hint) from e

    def ask(self, request: dict, key: str):
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except (OSError, ValueError) as e:
            raise self._ended() from e
        return self.read(key)

    def _ended(self) -> EvaluationError:
        try:
            status = self._process.wait(timeout=5)
            self._errors.seek(0)
            said = self._errors.read()[-800:].strip()
        except (OSError, ValueError, subprocess.TimeoutExpired):
            status, said = None, ""
        message = f"The reference process ended with status {status}" + (f": {said}" if said else ".")
        return EvaluationError("crashed", message, "If memory ran out, start fewer with `processes`.")

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            try:
                pipe.close()
            except OSError:
                pass  # A request that the dead process did not take is still in the buffer.


class ReferenceSession(Session):
    """`model`: a folder or a pytorch_model.bin; without one, the embedded model of the checkout.

    A `context_length` below the model's own is kept here: nothing longer is asked for.
    """

    def __init__(
        self,
        model: str = "",
        *,
        command: str | None = None,
        processes: int | None = None,
        context_length: int | None = None,
    ) -> None:
        program = Path(command).expanduser() if command else built()
        if not program.is_file():
            hint = "Run `cargo build --release --example reference_lm` in the checkout, or name it with `command`."
            raise EvaluationError("setup", f"The reference is not at {program}.", hint)
        path = Path(model).expanduser() if model else embedded_model()
        if not path.exists():
            raise EvaluationError("setup", f"There is no model at {path}.", "Check the model argument `model`.")
        if processes is not None and processes < 1:
            raise EvaluationError("invalid-argument", f"processes is {processes}.", "It should be at least 1.")
        self._workers: list[Worker] = []
        self._idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        try:
            for _ in range(processes or os.cpu_count() or 1):
                self._workers.append(Worker([str(program.resolve()), str(path.resolve())]))
            facts = [worker.read("ready") for worker in self._workers][0]
            longest = facts["contextLength"]
            if context_length is not None and not 1 <= context_length <= longest:
                hint = f"It should be from 1 to {longest}, which is the model's."
                raise EvaluationError("invalid-argument", f"context_length is {context_length}.", hint)
        except BaseException:
            self.close()
            raise
        for worker in self._workers:
            self._idle.put(worker)
        self._pool = ThreadPoolExecutor(len(self._workers))
        self.info = ModelInfo(
            id=facts["id"],
            revision="",
            quantization=facts["quantization"],
            backend="reference",
            context_length=context_length or longest,
            vocabulary=facts["vocab"],
            origin={"model": stamp(path.resolve()), "build": stamp(program.resolve())},
        )

    def _ask(self, request: dict, key: str):
        """Asks a process that has nothing to do. At most as many threads come here as there are processes."""
        worker = self._idle.get()
        try:
            return worker.ask(request, key)
        finally:
            self._idle.put(worker)

    def _spread(self, requests: Iterable[dict], key: str) -> Iterator[tuple[int, object]]:
        """Answers as they get ready. Requests wait here rather than in the pool, so that giving up needs no waiting."""
        numbered = enumerate(requests)
        running = {}
        try:
            while True:
                while len(running) < len(self._workers) and (following := next(numbered, None)):
                    running[self._pool.submit(self._ask, following[1], key)] = following[0]
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(future), future.result()
        finally:
            # After an error of the model's the processes live on, and are idle when the next request comes.
            for future in running:
                future.cancel()

    def encode(self, texts: list[str]) -> list[list[int]]:
        parts = [texts[i : i + ENCODE_BATCH] for i in range(0, len(texts), ENCODE_BATCH)]
        answers = dict(self._spread(({"encode": part} for part in parts), "ids"))
        return [ids for i in range(len(parts)) for ids in answers[i]]

    def score(self, batches: list[list[ScoreItem]]) -> Iterator[tuple[int, list[Score]]]:
        requests = ({"score": [{"context": item.context, "text": item.text} for item in batch]} for batch in batches)
        for i, answers in self._spread(requests, "scores"):
            yield i, [Score(a["logprobs"], a["isGreedy"]) for a in answers]

    def complete(self, prompts: Iterable[Completion]) -> Iterator[tuple[int, str]]:
        requests = ({"complete": {"prompt": p.prompt, **p.options()}} for p in prompts)
        yield from self._spread(requests, "text")

    def close(self) -> None:
        for worker in self._workers:
            worker.close()
        self._workers = []
        if hasattr(self, "_pool"):
            self._pool.shutdown()


def built() -> Path:
    """What cargo left in the checkout, the newest: `cargo test` builds one as well."""
    programs = [CHECKOUT / f"target/{profile}/examples/reference_lm" for profile in ("release", "debug")]
    there = [program for program in programs if program.is_file()]
    return max(there, key=lambda program: program.stat().st_mtime, default=programs[0])


def stamp(path: Path) -> str:
    """Path, sizes and times: hashing a checkpoint of gigabytes at every start would take longer than it is worth."""
    files = sorted(f for f in path.iterdir() if f.is_file()) if path.is_dir() else [path]
    return f"{path}: " + ", ".join(f"{f.stat().st_size} {f.stat().st_mtime_ns}" for f in files)
