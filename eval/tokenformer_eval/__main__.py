"""The harness's own command line, with this project's models and tasks: `tokenformer-eval run --model …`."""

from lm_eval._cli import HarnessCLI
from lm_eval.config.evaluate_config import EvaluatorConfig
from lm_eval.utils import setup_logging

from . import TASKS, lm  # noqa: F401 (importing lm registers the models)
from .errors import told


def included(args) -> list[str]:
    """This package's tasks, and those of the user, whose come last since later folders win."""
    own = args.include_path
    if own is None and getattr(args, "config", None):
        own = EvaluatorConfig.load_yaml_config(args.config).get("include_path")
    return [str(TASKS), *([own] if isinstance(own, str) else own or [])]


def main() -> None:
    setup_logging()
    parser = HarnessCLI()
    args = parser.parse_args()
    if hasattr(args, "include_path"):
        args.include_path = included(args)
    with told():
        parser.execute(args)


if __name__ == "__main__":
    main()
