"""What is kept of an interrupted run, and that models never answer for each other."""

import pytest
from fakes import FakeSession, instances
from lm_eval.api.model import CachingLM
from tokenformer_eval import cache
from tokenformer_eval.errors import EvaluationError
from tokenformer_eval.lm import TokenFormerLM

PAIRS = [("a", " b"), ("cc", " d"), ("eee", " f"), ("gggg", " h")]


class Fake(TokenFormerLM):
    """As the two kinds of models take their arguments, but with a given session."""

    def __init__(self, session, batch_size=None):
        super().__init__(session, batch_size)


def fake(folder, **info):
    """A model with the cache that it would have by default."""
    session = FakeSession(**info)
    return session, Fake.create_from_arg_obj({"session": session, "cache": str(folder), "batch_size": 1})


def test_an_interrupted_run_goes_on(tmp_path):
    session, lm = fake(tmp_path, fail_after=3)
    requests = instances("loglikelihood", *PAIRS)
    with pytest.raises(EvaluationError, match="The page ended"):
        lm.loglikelihood(requests)
    lm.dbdict.close()
    session, lm = fake(tmp_path)
    answers = lm.loglikelihood(requests)
    assert session.calls["score"] == 1
    assert answers == TokenFormerLM(FakeSession()).loglikelihood(requests)


def test_documents_and_texts_are_kept_one_by_one(tmp_path):
    _, lm = fake(tmp_path, context_length=4, fail_after=3)
    documents = instances("loglikelihood_rolling", ("a b c d e f",), ("a b c",), ("b c",))
    with pytest.raises(EvaluationError):
        lm.loglikelihood_rolling(documents)
    lm.dbdict.close()
    session, lm = fake(tmp_path, context_length=4)
    got = lm.loglikelihood_rolling(documents)
    # The fake began with the last: two short documents and one of the two windows of the first were done.
    assert session.calls["score"] == 2
    assert got == TokenFormerLM(FakeSession(context_length=4)).loglikelihood_rolling(documents)

    prompts = instances("generate_until", ("a", {"until": ["x"], "max_gen_toks": 2}), ("b", {"max_gen_toks": 2}))
    assert lm.generate_until(prompts) == lm.generate_until(prompts)
    assert session.calls["complete"] == 2


@pytest.mark.parametrize(
    "other",
    [{"id": "b"}, {"revision": "2"}, {"quantization": "q8"}, {"backend": "webgpu"}, {"context_length": 9},
     {"origin": {"build": "b"}}],
)  # fmt: skip
def test_whatever_could_change_a_number_has_a_file_of_its_own(tmp_path, other):
    one, two = FakeSession().info, FakeSession(**other).info
    assert cache.file_for(one, tmp_path) != cache.file_for(two, tmp_path)
    assert cache.file_for(one, tmp_path) == cache.file_for(FakeSession(notes=["slower"]).info, tmp_path)


def test_a_file_of_another_model_is_refused(tmp_path):
    file = str(tmp_path / "answers.db")
    lm = CachingLM(TokenFormerLM(FakeSession()), file)
    lm.loglikelihood(instances("loglikelihood", *PAIRS))
    lm.dbdict.close()
    CachingLM(TokenFormerLM(FakeSession()), file).dbdict.close()
    with pytest.raises(EvaluationError, match="answers of another model") as e:
        CachingLM(TokenFormerLM(FakeSession(quantization="q8")), file)
    assert e.value.code == "cache" and "--use_cache" in e.value.hint


def test_a_file_without_a_note_is_refused(tmp_path):
    file = str(tmp_path / "answers.db")

    class Other:
        def set_cache_hook(self, hook):
            hook.add_partial("loglikelihood", ("a", " b"), (-1.0, True))

    CachingLM(Other(), file).dbdict.close()
    with pytest.raises(EvaluationError, match="one that is not known"):
        CachingLM(TokenFormerLM(FakeSession()), file)


def test_it_can_be_switched_off():
    session = FakeSession()
    assert isinstance(Fake.create_from_arg_obj({"session": session, "cache": False}), Fake)


def test_the_harness_s_defaults_are_not_taken_for_wishes():
    def size(given, own):
        arguments = {"session": FakeSession(), "cache": False, **own}
        return Fake.create_from_arg_obj(arguments, {"batch_size": given, "device": "cuda:0"}).batch_size

    assert [size(1, {}), size("auto", {}), size("8", {}), size(1, {"batch_size": 1})] == [16, 16, 8, 1]
