"""The harness's `generation_kwargs` in the module's terms."""

import random

from lm_eval.models.utils import normalize_gen_kwargs

from .errors import EvaluationError
from .session import Completion

#: Seeds are below this, the first number that JavaScript does not tell from the next.
SEEDS = 2**53
KNOWN = ("until", "max_gen_toks", "do_sample", "temperature", "top_p", "top_k", "seed")


def completion_of(lm, context: str, gen_kwargs: dict) -> Completion:
    """A prompt of the harness; a context that leaves no room for `max_gen_toks` is cut from the left."""
    kwargs = normalize_gen_kwargs(gen_kwargs, lm.max_gen_toks)
    if unknown := sorted(set(kwargs) - set(KNOWN)):
        hint = f"Known are {', '.join(KNOWN)} (and what the harness takes for max_gen_toks)."
        raise EvaluationError("invalid-argument", f"Not known in generation_kwargs: {', '.join(unknown)}.", hint)
    if not all(isinstance(stop, str) for stop in kwargs["until"]):
        raise EvaluationError("invalid-argument", f"until is {kwargs['until']!r}.", "It should be a list of texts.")
    most = lm.session.info.context_length - kwargs["max_gen_toks"]
    if most < 1:
        message = f"max_gen_toks is {kwargs['max_gen_toks']}, and the context {lm.session.info.context_length}."
        raise EvaluationError("invalid-argument", message, "Leave room for a prompt.")
    # The empty text is where a text begins: after the separator.
    ids = lm.tok_encode(context) or [lm.prefix_token_id]
    sampled = kwargs["do_sample"]
    seed = kwargs.get("seed")
    if sampled and seed is None:
        # Drawn here, so that browser and reference do the same. The harness's --seed makes it repeatable.
        seed = random.randrange(SEEDS)
    return Completion(
        prompt=ids[-most:],
        max_tokens=kwargs["max_gen_toks"],
        # Sampling without a temperature is sampling from the model's own distribution.
        temperature=float(gen_kwargs.get("temperature", 1.0)) if sampled else 0.0,
        top_p=float(kwargs.get("top_p", 1.0)) if sampled else 1.0,
        # -1 is "off" for some, 0 for the module.
        top_k=max(int(kwargs.get("top_k", 0)), 0) if sampled else 0,
        stop=tuple(stop for stop in kwargs["until"] if stop),
        seed=seed,
    )
