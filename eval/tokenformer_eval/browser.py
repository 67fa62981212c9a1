"""A model of the JavaScript module in a headless Chromium, through the module's public interface alone."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from playwright.sync_api import Error as PlaywrightError
from tqdm import tqdm

from . import chromium
from .errors import EvaluationError, wrong_count
from .session import Completion, ModelInfo, Score, ScoreItem, Session, in_groups
from .site import Site, find_dist, find_model_folder, hash_of_build

#: Texts of one round trip when encoding.
ENCODE_BATCH = 256


class BrowserSession(Session):
    """Starts a server and a browser, and loads the model in a page.

    `model`: a name on the hub, a folder or a checkpoint on disk, or nothing for the embedded model. `profile`: a folder
    that keeps the browser's storage, and with it downloaded models, for the next time.
    """

    def __init__(
        self,
        model: str = "",
        *,
        quantization: str | None = None,
        revision: str | None = None,
        endpoint: str | None = None,
        token: str | None = None,
        backend: str | None = None,
        context_length: int | None = None,
        dist: str | None = None,
        browser: str | None = None,
        browser_args: str | list[str] | None = None,
        gpu: str = "auto",
        profile: str | None = None,
        progress: bool = True,
    ) -> None:
        self._site: Site | None = None
        self._context = self._browser = self._page = None
        self._bar: tqdm | None = None
        self._progress = progress
        build = find_dist(dist)
        folder = find_model_folder(model) if model else None
        name, mounts = (model or None), {}
        if folder:
            name = f"/models/{folder.name}/"
            mounts = {name: folder}
        options = {
            "quantization": quantization,
            "revision": revision,
            "endpoint": endpoint,
            # The variable's token is the hub's own: no other endpoint gets it.
            "token": token or (os.environ.get("HF_TOKEN") if name and not folder and not endpoint else None),
            "backend": backend,
            "contextLength": context_length,
            # What this machine serves would only be copied to its disk once more.
            "cache": bool(model) and not folder,
        }
        try:
            self._site = Site(build, mounts)
            args = chromium.flags(gpu, self._site.port, browser_args)
            kept = Path(profile).expanduser() if profile else None
            self._context, self._browser = chromium.start(chromium.find_browser(browser), args, kept)
            self._open()
            options = {key: value for key, value in options.items() if value is not None}
            facts = self._call("load", {"module": "/dist/tokenformer.js", "name": name, "options": options})
        except BaseException:
            self.close()
            raise
        finally:
            if self._bar is not None:  # A bar without a total has no truth value.
                self._bar.close()
        self.info = self._describe(facts, hash_of_build(build))

    def _open(self) -> None:
        self._page = self._context.new_page()
        self._page.expose_function("reportProgress", self._report)
        self._page.goto(f"http://{chromium.HOST}/")
        self._page.wait_for_function("globalThis.bridge !== undefined")

    def _describe(self, facts: dict, build: str) -> ModelInfo:
        adapter = {k: v for k, v in facts["adapter"].items() if v}
        return ModelInfo(
            id=facts["id"].removeprefix(f"http://{chromium.HOST}"),
            revision=facts["revision"],
            quantization=facts["quantization"],
            backend=facts["backend"],
            context_length=facts["contextLength"],
            vocabulary=facts["config"]["padded_vocab_size"],
            origin={
                "build": build,
                "adapter": ", ".join(f"{k}: {v}" for k, v in sorted(adapter.items())),
                "features": ", ".join(sorted(facts["features"])),
            },
            notes=facts["notes"],
        )

    def _report(self, progress: str) -> None:
        """One line: the phase, and of how many bytes it has which."""
        p = json.loads(progress)
        if self._bar is None:
            self._bar = tqdm(unit="B", unit_scale=True, unit_divisor=1000, disable=not self._progress)
        self._bar.set_description(f"Loading: {p['phase']}", refresh=False)
        if p["totalBytes"]:
            self._bar.total = p["totalBytes"]
        self._bar.n = p["loadedBytes"]
        self._bar.refresh()

    def _call(self, name: str, argument):
        if self._page is None or self._page.is_closed():
            raise EvaluationError("crashed", "The browser is closed.", "Load the model again.")
        try:
            answer = self._page.evaluate(
                "([name, json]) => globalThis.bridge[name](json)", [name, json.dumps(argument)]
            )
        except PlaywrightError as e:
            hint = (
                "Perhaps memory ran out: try another quantization or a smaller context_length. The harness goes on"
                " where it was when the same command is run again."
            )
            raise EvaluationError("crashed", f"The page ended in {name}: {chromium.first_lines(e)}", hint) from e
        answer = json.loads(answer)
        if "error" in answer:
            raise EvaluationError.of(answer["error"])
        return answer["ok"]

    def encode(self, texts: list[str]) -> list[list[int]]:
        ids = []
        for i in range(0, len(texts), ENCODE_BATCH):
            ids += self._call("encode", texts[i : i + ENCODE_BATCH])
        return ids

    def score(self, batches: list[list[ScoreItem]]) -> Iterator[tuple[int, list[Score]]]:
        for i, batch in enumerate(batches):
            answers = self._call("score", [{"context": item.context, "text": item.text} for item in batch])
            yield i, [Score(a["logprobs"], a["isGreedy"]) for a in answers]

    def complete(self, prompts: Iterable[Completion]) -> Iterator[tuple[int, str]]:
        for group in in_groups(prompts, self.at_once):
            options = group[0][1].options()
            texts = self._call("complete", {"prompts": [prompt.prompt for _, prompt in group], "options": options})
            if len(texts) != len(group):
                raise wrong_count("complete", len(texts), len(group))
            yield from ((i, text) for (i, _), text in zip(group, texts, strict=True))

    def close(self) -> None:
        for part in (self._context, self._browser):
            try:
                if part:
                    part.close()
            except PlaywrightError:
                pass  # It is gone already, which is what was wanted.
        self._context = self._browser = self._page = None
        if self._site:
            self._site.close()
            self._site = None
