"""Judges TokenFormer models that run in a web page with EleutherAI's LM Evaluation Harness.

Importing `tokenformer_eval.lm` registers two kinds of models with the harness: `tokenformer-web`, answered by the
module of this project in a headless browser, and `tokenformer-reference`, answered by the float32 reference on the CPU.
"""

import json
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
#: Folder of the harness tasks that come with this package.
TASKS = PACKAGE / "tasks"
#: The checkout that holds this package, if it is installed from one (`pip install -e eval`).
CHECKOUT = PACKAGE.parents[1]


def embedded_model() -> Path:
    """The folder of the embedded model, which `www/lib/embedded.js` names in JSON between parentheses."""
    text = (CHECKOUT / "www/lib/embedded.js").read_text(encoding="utf-8")
    facts = json.loads(text[text.index("({") + 1 : text.rindex("})") + 1])
    return CHECKOUT / "www/models" / facts["name"]
