"""Nothing of these tests reaches the network or the user's caches."""

import os
import tempfile

_folder = tempfile.mkdtemp(prefix="tokenformer-eval-tests-")
os.environ.update(
    HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_HOME=_folder, XDG_CACHE_HOME=_folder, TQDM_DISABLE="1"
)


def pytest_sessionfinish() -> None:
    import shutil

    shutil.rmtree(_folder, ignore_errors=True)
