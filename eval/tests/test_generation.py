"""generation_kwargs of tasks, in the module's terms."""

import random
from itertools import groupby

import pytest
from fakes import FakeSession, instances
from tokenformer_eval.browser import BrowserSession
from tokenformer_eval.errors import EvaluationError
from tokenformer_eval.lm import TokenFormerLM
from tokenformer_eval.session import Completion, in_groups


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


def test_neighbours_have_the_same_options():
    session = FakeSession(context_length=300)
    lm = TokenFormerLM(session, batch_size=3)
    assert session.at_once == 3
    kinds = [{"until": ["x"]}, {"max_gen_toks": 5}]
    requests = instances("generate_until", *((text, kind) for text in ("b c d", "a", "a b") for kind in kinds))
    assert lm.generate_until(requests, disable_tqdm=True) == [f"{n} tokens" for n in (3, 3, 1, 1, 2, 2)]
    runs = [list(run) for _, run in groupby(session.prompts, key=Completion.options)]
    assert [len(run) for run in runs] == [3, 3]
    for run in runs:
        assert [p.prompt for p in run] == sorted(p.prompt for p in run)


def test_groups_are_bounded_and_keep_the_order():
    prompts = [Completion([i], 5 if i < 5 else 6) for i in range(8)]
    groups = [[number for number, _ in group] for group in in_groups(iter(prompts), 2)]
    assert groups == [[0, 1], [2, 3], [4], [5, 6], [7]]
    assert list(in_groups([], 2)) == []


def page(answers):
    """A session whose page gives these answers, and what it was asked."""
    session = object.__new__(BrowserSession)
    asked = []

    def call(name, argument):
        asked.append((name, argument))
        return answers.pop(0)

    session._call = call
    return session, asked


def test_the_page_writes_a_group_in_one_call():
    session, asked = page([["a", "b"], ["c"], ["d"]])
    session.at_once = 2
    given = [Completion([1], 5), Completion([1, 2], 5), Completion([3], 5), Completion([4], 5, seed=7)]
    assert list(session.complete(given)) == [(0, "a"), (1, "b"), (2, "c"), (3, "d")]
    assert [(name, argument["prompts"]) for name, argument in asked] == [
        ("complete", [[1], [1, 2]]), ("complete", [[3]]), ("complete", [[4]])
    ]  # fmt: skip
    assert [argument["options"].get("seed") for _, argument in asked] == [None, None, 7]
    session, _ = page([["a"]])
    with pytest.raises(EvaluationError, match="complete gave 1 answers instead of 2"):
        list(session.complete(given[:2]))
