"""One fresh headless Chromium with a fresh profile, ended with all of its processes."""

import os
import shutil
import signal
import subprocess
import tempfile

COMMON = [
    "--headless", "--no-sandbox", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--disable-quic", "--enable-features=Vulkan", "--enable-logging=stderr",
]  # fmt: skip
ADAPTERS = {
    "nvidia": ["--ignore-gpu-blocklist", "--use-vulkan=native", "--disable-vulkan-surface", "--use-angle=vulkan"],
    "software": ["--use-webgpu-adapter=swiftshader"],
}
UNSAFE = "--enable-unsafe-webgpu"  # WebGPU where Chromium has not approved of it yet, and features in the making
# Dawn hides half precision on NVIDIA's driver for Linux unless it is told not to.
F16 = "vulkan_enable_f16_on_nvidia"
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


def executable():
    """CHROME, or what the system has."""
    found = os.environ.get("CHROME") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found or not shutil.which(found):
        raise SystemExit("run.py: no Chromium; set CHROME to one's path")
    return found


class Browser:
    def __init__(self, address, adapter, f16=False, safe=False, dawn=(), flags=()):
        self.profile = tempfile.mkdtemp(prefix="bench-peers-")
        toggles = [*([] if safe else ["allow_unsafe_apis"]), *([F16] if f16 else []), *dawn]
        arguments = [
            *COMMON,
            *([] if safe else [UNSAFE]),
            *ADAPTERS[adapter],
            f"--user-data-dir={self.profile}",
            *flags,
        ]
        if toggles:
            arguments.append("--enable-dawn-features=" + ",".join(toggles))
        # A driver's cache of shaders would make the second round's loading faster than the first's.
        environment = {**os.environ, "__GL_SHADER_DISK_CACHE_PATH": self.profile, "TMPDIR": self.profile}
        if os.environ.get("CHROME_LD"):
            environment["LD_LIBRARY_PATH"] = os.environ["CHROME_LD"]
        with open(os.path.join(self.profile, "stderr"), "wb") as log:
            self.process = subprocess.Popen(
                [executable(), *arguments, address],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=environment,
                start_new_session=True,
            )

    @property
    def ended(self):
        return self.process.poll() is not None

    def log(self, characters=1500):
        """The end of what it said, less what it always says."""
        with open(os.path.join(self.profile, "stderr"), errors="replace") as file:
            lines = [line for line in file if not any(noise in line for noise in ("dbus", "vaapi", "Fontconfig"))]
        return "".join(lines)[-characters:]

    def close(self):
        for pid in {self.process.pid, *self._relatives()}:
            for end in (os.killpg, os.kill):
                try:
                    end(pid, signal.SIGKILL)
                except OSError:
                    pass
        self.process.wait()
        shutil.rmtree(self.profile, ignore_errors=True)

    def _relatives(self):
        """Processes of its session, and those that name its profile."""
        for pid in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
            try:
                with open(f"/proc/{pid}/cmdline", errors="replace") as file:
                    if os.getsid(int(pid)) == self.process.pid or self.profile in file.read():
                        yield int(pid)
            except OSError:
                pass
