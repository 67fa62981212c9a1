"""A web server on this machine for the page, the build and a model folder."""

import asyncio
import hashlib
import re
import threading
from pathlib import Path

from aiohttp import web

from . import CHECKOUT, PACKAGE
from .errors import EvaluationError

PAGE = '<!doctype html><meta charset="utf-8"><title>Evaluation</title><script type="module" src="/bridge.js"></script>'


def find_dist(given: str | None) -> Path:
    """The folder that `trunk build --release` wrote."""
    folder = Path(given).expanduser() if given else CHECKOUT / "dist"
    if not (folder / "tokenformer.js").is_file():
        raise EvaluationError(
            "setup",
            f"There is no build of the module in {folder}: it has no tokenformer.js.",
            "Run `trunk build --release` in the checkout, or name the folder with the model argument `dist`.",
        )
    return folder.resolve()


def hash_of_build(dist: Path) -> str:
    """A hash of the code that computes: the engine and the JavaScript around it, but not the page and the models.

    Every file holds the build's name, which is another one when the page is: it is left out.
    """
    digest = hashlib.sha256()
    build = dist / "lib/build.js"
    named = re.search(rb'const BUILD = "([0-9a-f]{12})"', build.read_bytes()) if build.is_file() else None
    for path in sorted([*dist.glob("*.js"), *dist.glob("*.wasm"), *dist.glob("lib/**/*.js")]):
        if path.name == "service-worker.js":
            continue
        content = path.read_bytes()
        if named:
            content = content.replace(named[1], b"")
        digest.update(f"{path.relative_to(dist).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def find_model_folder(given: str) -> Path | None:
    """The folder that a model argument names, if it names one on disk: the folder itself, or a file in it."""
    path = Path(given).expanduser()
    looks_like_a_path = given.startswith(("/", "./", "../", "~"))
    if not path.exists():
        if looks_like_a_path:
            raise EvaluationError("setup", f"There is no model at {path}.", "Check the model argument `model`.")
        return None
    folder = path if path.is_dir() else path.parent
    names = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
    if not any((folder / name).is_file() for name in names):
        # "owner/name" may happen to be a folder here, too.
        if not looks_like_a_path:
            return None
        raise EvaluationError(
            "setup",
            f"The folder {folder} holds no model.",
            "It should hold model.safetensors, or pytorch_model.bin with config.json and tokenizer.json.",
        )
    return folder.resolve()


class Site:
    """Serves, until it is closed: an empty page at `/`, the build at `/dist/`, and folders at paths of their own.

    It answers `Range` requests, and listens on this machine only, on a free port.
    """

    def __init__(self, dist: Path, mounts: dict[str, Path] | None = None) -> None:
        self._mounts = {"/dist/": dist, **(mounts or {})}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="site", daemon=True)
        self._thread.start()
        self._runner: web.AppRunner | None = None
        self.port: int = self._run(self._start())

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _start(self) -> int:
        async def page(_):
            return web.Response(text=PAGE, content_type="text/html")

        async def bridge(_):
            return web.FileResponse(PACKAGE / "bridge.js")

        app = web.Application()
        app.router.add_get("/", page)
        app.router.add_get("/bridge.js", bridge)
        for prefix, folder in self._mounts.items():
            # A model folder of huggingface_hub's cache consists of links to elsewhere.
            app.router.add_static(prefix, folder, follow_symlinks=True)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self._runner.addresses[0][1]

    def close(self) -> None:
        if self._loop.is_closed():
            return
        if self._runner:
            self._run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
