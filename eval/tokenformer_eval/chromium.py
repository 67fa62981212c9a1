"""Finds and starts a headless Chromium."""

import atexit
import os
import shlex
import shutil
import threading
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, Playwright, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from .errors import EvaluationError

NAMES = ("chromium-headless-shell", "chromium", "google-chrome-stable", "google-chrome", "chrome")

#: The site's origin, whatever its port: the browser's storage, which models are kept in, belongs to an origin.
HOST = "tokenformer-eval.localhost"

QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
GPU_FLAGS = {
    "auto": ("--enable-unsafe-webgpu", "--enable-features=Vulkan"),
    # Chromium's own adapter on the CPU: slow, and the same everywhere.
    "swiftshader": ("--enable-unsafe-webgpu", "--enable-features=Vulkan", "--use-webgpu-adapter=swiftshader"),
    # A real GPU on a Linux without a display.
    "native": (
        "--enable-unsafe-webgpu",
        "--enable-features=Vulkan",
        "--enable-dawn-features=allow_unsafe_apis",
        "--ignore-gpu-blocklist",
        "--use-vulkan=native",
        "--disable-vulkan-surface",
        "--use-angle=vulkan",
    ),
}

_playwright: Playwright | None = None


def playwright() -> Playwright:
    """The one of this process, since a thread can have no second one. It stops when the process ends."""
    global _playwright
    if _playwright is None:
        if threading.current_thread() is not threading.main_thread():
            raise EvaluationError("setup", "A browser can be started on the main thread only.", "Load the model there.")
        _playwright = sync_playwright().start()
        atexit.register(_playwright.stop)
    return _playwright


def find_browser(given: str | None = None) -> str | None:
    """Path of the browser to start, None for playwright's own."""
    for source, path in (("the model argument `browser`", given), ("CHROMIUM", os.environ.get("CHROMIUM"))):
        if not path:
            continue
        if not os.access(path, os.X_OK) or os.path.isdir(path):
            raise EvaluationError("setup", f"{path}, which {source} names, is no program.", "Correct the path.")
        return path
    # A snap's wrapper cannot see the folders that playwright makes.
    folders = [f for f in os.environ.get("PATH", "").split(os.pathsep) if f and not f.startswith("/snap")]
    for name in NAMES:
        if path := shutil.which(name, path=os.pathsep.join(folders)):
            return path
    return None


def flags(gpu: str, port: int, more: str | list[str] | None) -> list[str]:
    """The command line of the browser. `more`: a list, or a text that is split as a shell does."""
    if gpu not in GPU_FLAGS:
        raise EvaluationError("invalid-argument", f"gpu={gpu} is not known.", f"Known are {', '.join(GPU_FLAGS)}.")
    more = shlex.split(more) if isinstance(more, str) else list(more or [])
    return [*QUIET, *GPU_FLAGS[gpu], f"--host-resolver-rules=MAP {HOST} 127.0.0.1:{port}", *more]


def start(executable: str | None, args: list[str], profile: Path | None) -> tuple[BrowserContext, Browser | None]:
    """A browser context; with a profile, its storage is a folder on disk. Closing what is returned ends the browser."""
    chromium = playwright().chromium
    try:
        if profile:
            profile.mkdir(parents=True, exist_ok=True)
            return chromium.launch_persistent_context(profile, executable_path=executable, args=args), None
        browser = chromium.launch(executable_path=executable, args=args)
        return browser.new_context(), browser
    except PlaywrightError as e:
        hint = (
            "Install one (`playwright install --with-deps --only-shell chromium`, or Debian's chromium-headless-shell)"
            " or name one with the model argument `browser` or the variable CHROMIUM."
        )
        if profile:
            hint += f" If another run uses the profile {profile}, wait for it, or choose another `profile`."
        raise EvaluationError("setup", f"Chromium did not start: {first_lines(e)}", hint) from e


def first_lines(error: Exception) -> str:
    """Playwright's messages go on with a log of pages; what happened stands at the beginning."""
    return " ".join(str(error).split("\n")[:3]).strip(" .")[:400] + "."
