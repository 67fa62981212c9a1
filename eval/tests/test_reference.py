"""The native processes, with one that speaks the protocol without a model."""

from pathlib import Path

import pytest
from tokenformer_eval.errors import EvaluationError
from tokenformer_eval.reference import ReferenceSession
from tokenformer_eval.session import Completion, ScoreItem

COMMAND = str(Path(__file__).with_name("fake_reference.py"))


@pytest.fixture
def session(tmp_path):
    session = ReferenceSession(str(tmp_path), command=COMMAND, processes=3)
    yield session
    session.close()


def test_batches_are_spread_and_answers_numbered(session, tmp_path):
    assert (session.info.id, session.info.quantization, session.info.context_length) == (str(tmp_path), "f32", 64)
    assert session.info.vocabulary == 256
    texts = [f"text {i}" for i in range(1000)]
    assert session.encode(texts) == [list(text.encode()) for text in texts]
    assert session.encode([]) == []
    batches = [[ScoreItem([0], [i, i + 1]), ScoreItem([0], [i])] for i in range(100)]
    got = dict(session.score(batches))
    assert [[s.logprobs for s in got[i]] for i in range(100)] == [
        [[-i / 256, -(i + 1) / 256], [-i / 256]] for i in range(100)
    ]
    prompts = [Completion(list(f"{i}".encode()), i + 1, seed=7) for i in range(10)]
    assert dict(session.complete(prompts)) == {i: f"{i}, {i + 1}, 7" for i in range(10)}


def test_an_error_of_the_model_s_leaves_the_processes_alive(session):
    for _ in range(4):
        with pytest.raises(EvaluationError, match="It cannot be. Do otherwise. .invalid-argument."):
            session.encode(["error"])
    assert session.encode(["a"]) == [[97]]


def test_a_process_that_ends_tells_what_it_said(session):
    with pytest.raises(EvaluationError, match="ended with status 1: out of memory, perhaps") as e:
        session.encode(["crash"])
    assert e.value.code == "crashed"


def test_an_answer_of_another_kind_is_an_error(session):
    with pytest.raises(EvaluationError, match="It should be an object with 'ids'"):
        session.encode(["nonsense"])


def test_a_smaller_context(tmp_path):
    session = ReferenceSession(str(tmp_path), command=COMMAND, processes=1, context_length=32)
    assert session.info.context_length == 32
    session.close()
    session.close()
    with pytest.raises(EvaluationError, match="context_length is 65. It should be from 1 to 64"):
        ReferenceSession(str(tmp_path), command=COMMAND, processes=1, context_length=65)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(EvaluationError, match="cargo build --release --example reference_lm"):
        ReferenceSession(str(tmp_path), command="/nowhere/reference_lm")
    with pytest.raises(EvaluationError, match="There is no model at"):
        ReferenceSession(str(tmp_path / "none"), command=COMMAND)
