"""generation_kwargs of tasks, in the module's terms."""

import random

import pytest
from fakes import FakeSession, instances
from tokenformer_eval.errors import EvaluationError
from tokenformer_eval.lm import TokenFormerLM
from tokenformer_eval.session import Completion


def asked(kwargs, context="a bb", context_length=2048):
    session = FakeSession(context_length=context_length)
    TokenFormerLM(session).generate_until(instances("generate_until", (context, kwargs)), disable_tqdm=True)
    return session.prompts[0]


def test_the_defaults_are_greedy():
    want = Completion([1, 3], 256, temperature=0.0, top_p=1.0, top_k=0, stop=("\n\n", "Q:"), seed=None)
    assert asked({"until": ["\n\n", "", "Q:"]}) == want
    assert asked({"until": "\n"}).stop == ("\n",)
    # What would only count when sampling does not count.
    assert asked({"do_sample": False, "temperature": 0.7, "top_p": 0.5, "top_k": 3}).options() == {
        "maxTokens": 256, "temperature": 0.0, "topP": 1.0, "topK": 0, "stop": []
    }  # fmt: skip


def test_sampling():
    options = asked(
        {"do_sample": True, "temperature": 0.7, "top_p": 0.9, "top_k": 40, "seed": 3, "max_tokens": 5}
    ).options()
    assert options == {"maxTokens": 5, "temperature": 0.7, "topP": 0.9, "topK": 40, "stop": [], "seed": 3}
    assert asked({"do_sample": True}).temperature == 1.0
    assert asked({"do_sample": True, "top_k": -1}).top_k == 0


def test_what_is_drawn_has_a_seed():
    """Not the session's own, which is random in the browser and 0 in the reference."""
    given = [{"do_sample": True}, {"do_sample": True, "seed": None}, {"temperature": 0.5}]
    seeds = [asked(kwargs).options()["seed"] for kwargs in given]
    assert len(set(seeds)) == 3 and all(0 <= seed < 2**53 for seed in seeds)
    assert asked({"do_sample": True, "seed": 0}).seed == 0
    random.seed(7)
    once = asked({"do_sample": True}).seed
    random.seed(7)
    assert asked({"do_sample": True}).seed == once


def test_prompts_fit():
    assert asked({"max_gen_toks": 6}, "a bb ccc dddd", context_length=8).prompt == [4, 5]
    assert asked({"max_gen_toks": 6}, "").prompt == [0]
    with pytest.raises(EvaluationError, match="max_gen_toks is 8, and the context 8"):
        asked({"max_gen_toks": 8}, context_length=8)


@pytest.mark.parametrize("kwargs", [{"num_beams": 4}, {"until": [3]}])
def test_what_is_not_known_is_an_error(kwargs):
    with pytest.raises(EvaluationError, match="num_beams|until"):
        asked(kwargs)


def test_answers_keep_the_order():
    session = FakeSession(context_length=300)
    requests = instances("generate_until", ("b c d", {}), ("a", {}), ("a b", {}))
    assert TokenFormerLM(session).generate_until(requests, disable_tqdm=True) == ["3 tokens", "1 tokens", "2 tokens"]
