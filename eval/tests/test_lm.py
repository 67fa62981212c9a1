"""What the harness is answered, against cases computed by hand."""

import pytest
from fakes import FakeSession, ids_of, instances, logprob
from tokenformer_eval.errors import EvaluationError
from tokenformer_eval.lm import BATCH_TOKENS, TokenFormerLM, in_batches, open_session
from tokenformer_eval.session import Score, ScoreItem


def ask(lm, *pairs):
    return lm.loglikelihood(instances("loglikelihood", *pairs), disable_tqdm=True)


def items(session):
    return [(item.context, item.text) for batch in session.batches for item in batch]


@pytest.mark.parametrize(
    ("context", "continuation", "want"),
    [
        ("ab", " cde", ([2], [4])),
        # Spaces at the end of the context belong to the continuation, where the tokenizer joins them to a word.
        ("ab ", "cde", ([2], [4])),
        ("ab  ", "cde", ([2], [32, 4])),
        # The whole is encoded at once and cut where the context's tokens end, by their number: "abc" is one token,
        # and so is "ab", so that what is left is " de".
        ("ab", "c de", ([2], [3])),
        # Without a context, the separator stands before it, unless the continuation begins with it.
        ("", "ab cde", ([0], [2, 4])),
        ("", "<|endoftext|>ab", ([0], [2])),
        ("  ", "ab", ([0], [32, 3])),
    ],
)
def test_pairs(context, continuation, want):
    assert TokenFormerLM(FakeSession()).encode_pairs([(context, continuation)]) == [want]


def test_texts_are_encoded_in_one_round_trip_and_scored_after_their_context():
    session = FakeSession()
    got = ask(TokenFormerLM(session), ("ab", " cde f"), ("", "ab"))
    assert session.calls["encode"] == 1
    assert got == [(logprob(2, 4) + logprob(4, 2), True), (logprob(0, 2), False)]


def test_a_long_context_loses_its_beginning():
    session = FakeSession(context_length=4)
    got = ask(TokenFormerLM(session), ("a bc def ghij klmno", " x yz"))
    # 2 tokens of text leave room for 2 of context.
    assert items(session) == [([5, 6], [2, 3])]
    assert got[0][0] == pytest.approx(logprob(6, 2) + logprob(2, 3))


def test_a_continuation_that_does_not_fit_is_an_error():
    with pytest.raises(EvaluationError, match="A continuation of 4 tokens does not fit the context of 4"):
        ask(TokenFormerLM(FakeSession(context_length=4)), ("a", " b c d e"))
    with pytest.raises(EvaluationError, match="no tokens"):
        ask(TokenFormerLM(FakeSession()), ("a", ""))


def test_neighbours_share_contexts_and_answers_keep_the_order():
    session = FakeSession()
    pairs = [("zz zz", " a"), ("bb", " ccc"), ("zz zz", " bbb"), ("bb", " a"), ("zz", " eeee")]
    got = ask(TokenFormerLM(session, batch_size=2), *pairs)
    assert got == [ask(TokenFormerLM(FakeSession()), pair)[0] for pair in pairs]
    # The fake answered the last batch first.
    sent = [item.context + item.text for batch in reversed(session.batches) for item in batch]
    assert sent == sorted(sent)


def test_batches_are_bounded_by_items_and_tokens():
    many = [ScoreItem([1], [2])] * 5
    assert in_batches(many, [4, 3, 2, 1, 0], 2) == [[4, 3], [2, 1], [0]]
    large = [ScoreItem([1] * (BATCH_TOKENS // 2), [2])] * 3
    assert in_batches(large, [0, 1, 2], 16) == [[0], [1], [2]]
    huge = [ScoreItem([1] * BATCH_TOKENS * 2, [2])]
    assert in_batches(huge, [0], 16) == [[0]]


def test_rolling_windows():
    session = FakeSession(context_length=5)
    lm = TokenFormerLM(session, batch_size=1)
    assert lm.max_length == 4
    text = "a bb ccc dddd eeeee ffffff"
    ids = [1, 3, 4, 5, 6, 7]
    assert ids_of(text) == ids
    got = lm.loglikelihood_rolling(instances("loglikelihood_rolling", (text,), ("a",), ("",)), disable_tqdm=True)
    # Each token once: four after the separator, then the last two with as much before them as fits, 5 in all.
    assert sorted(items(session)) == sorted([([0], [1, 3, 4, 5]), ([3, 4, 5], [6, 7]), ([0], [1])])
    before = [0, *ids]
    assert got[0] == pytest.approx(sum(logprob(a, b) for a, b in zip(before, ids, strict=False)))
    assert got[1:] == [logprob(0, 1), 0.0]


def test_a_context_without_room_is_an_error():
    session = FakeSession(context_length=1)
    with pytest.raises(EvaluationError, match="context_length is 1, .*at least 2"):
        TokenFormerLM(session)
    assert session.closed
    # The least: each token after the one before it.
    session = FakeSession(context_length=2)
    TokenFormerLM(session).loglikelihood_rolling(instances("loglikelihood_rolling", ("a bb ccc",)), disable_tqdm=True)
    assert sorted(items(session)) == [([0], [1]), ([1], [3]), ([3], [4])]


@pytest.mark.parametrize("wrong", [None, float("-inf"), float("nan"), 0.5])
def test_a_log_probability_that_cannot_be_is_an_error(wrong):
    session = FakeSession()
    session.answer = lambda item: Score([wrong] * len(item.text), True)
    with pytest.raises(EvaluationError, match=f"the log probability {wrong}") as e:
        ask(TokenFormerLM(session), ("a", " b"))
    assert e.value.code == "invalid-result"


def test_a_wrong_number_of_answers_is_an_error():
    session = FakeSession()
    session.answer = lambda item: Score([-1.0] * (len(item.text) + 1), True)
    with pytest.raises(EvaluationError, match="score gave 2 answers instead of 1"):
        ask(TokenFormerLM(session), ("a", " b"))
    session = FakeSession()
    session.score = lambda batches: iter([(0, [])])
    with pytest.raises(EvaluationError, match="score gave 0 answers instead of 1"):
        ask(TokenFormerLM(session), ("a", " b"))


def test_there_is_no_chat_template():
    lm = TokenFormerLM(FakeSession())
    assert lm.chat_template(False) == ""
    for call in (lambda: lm.tokenizer_name, lambda: lm.apply_chat_template([]), lambda: lm.chat_template(True)):
        with pytest.raises(EvaluationError, match="base models without a chat template"):
            call()


def test_unknown_arguments_are_named():
    from tokenformer_eval.browser import BrowserSession

    with pytest.raises(EvaluationError, match="no model argument dtype, pretrained. Known are model, batch_size"):
        open_session(BrowserSession, "", {"pretrained": "x", "dtype": "float16"})
    with pytest.raises(EvaluationError, match="batch_size is 'many'"):
        TokenFormerLM(FakeSession(), batch_size="many")
