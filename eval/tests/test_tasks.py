"""The tasks of this package load without a network, and the harness runs them."""

import json
import math
from types import SimpleNamespace

import pytest
from fakes import FakeSession
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from tokenformer_eval import TASKS, book, last_word
from tokenformer_eval.__main__ import included
from tokenformer_eval.documents import articles
from tokenformer_eval.errors import EvaluationError
from tokenformer_eval.lm import TokenFormerLM

WIKITEXT = " \n = One = \n \n Some words here . \n \n = = Part = = \n more \n = Two = \n \n The end . \n"
LAMBADA = [{"text": "the cat saw the other cat"}, {"text": "a dog and\n\na dog"}]


def run(task, metadata=None, limit=None):
    manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata=metadata)
    lm = TokenFormerLM(FakeSession(context_length=4096))
    return simple_evaluate(
        lm, tasks=[task], task_manager=manager, limit=limit, log_samples=True, bootstrap_iters=0, cache_requests=False
    )


def test_northanger_rolling():
    results = run("northanger_rolling")
    assert len(results["samples"]["northanger_rolling"]) == 31
    # The harness's own functions count: words and bytes of the page itself.
    total = sum(len("\n\n".join(p).encode()) for p in book.chapters())
    loglikelihood = sum(s["bits_per_byte"][0] for s in results["samples"]["northanger_rolling"])
    bits = results["results"]["northanger_rolling"]["bits_per_byte,none"]
    assert bits == pytest.approx(-loglikelihood / total / math.log(2))


def test_northanger_last_word():
    results = run("northanger_last_word", limit=50)
    samples = results["samples"]["northanger_last_word"]
    assert len(samples) == 50
    for sample in samples:
        context, target = sample["arguments"][0]
        assert context + target == sample["doc"]["text"]
        assert target.startswith(" ") and target[1:].isalpha()
    assert results["results"]["northanger_last_word"]["perplexity,none"] > 1


def test_lambada_file(tmp_path):
    file = tmp_path / "lambada.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in LAMBADA))
    samples = run("lambada_file", {"lambada_path": str(file)})["samples"]["lambada_file"]
    assert [s["arguments"][0] for s in samples] == [("the cat saw the other", " cat"), ("a dog and\n\na", " dog")]
    file.write_text('{"text": "word"}\n')
    with pytest.raises(EvaluationError, match="Line 1 of .* has fewer than two words"):
        run("lambada_file", {"lambada_path": str(file)})


def test_lines_of_json_end_only_at_line_feeds(tmp_path):
    """U+2028 and U+0085 may stand in JSON's strings as they are."""
    texts = ["one\u2028two\u0085three four", "five six"]
    file = tmp_path / "lambada.jsonl"
    rows = [json.dumps({"text": text}, ensure_ascii=False) for text in texts]
    file.write_bytes(f"{rows[0]}\r\n\n \n{rows[1]}\n".encode())
    samples = run("lambada_file", {"lambada_path": str(file)})["samples"]["lambada_file"]
    assert [s["doc"]["text"] for s in samples] == texts


def test_lambada_s_original_form(tmp_path):
    file = tmp_path / "lambada_test_plain_text.txt"
    file.write_bytes("the cat saw the other cat \r\n\n a\u2028dog and a dog\n".encode())
    samples = run("lambada_file", {"lambada_path": str(file)})["samples"]["lambada_file"]
    assert [s["arguments"][0] for s in samples] == [("the cat saw the other", " cat"), ("a\u2028dog and a", " dog")]
    file.write_text("two words\n\nword\n")
    with pytest.raises(EvaluationError, match="Line 3 of .* has fewer than two words"):
        run("lambada_file", {"lambada_path": str(file)})
    file.write_text("\n\n")
    with pytest.raises(EvaluationError, match="is empty"):
        run("lambada_file", {"lambada_path": str(file)})


def test_wikitext_file(tmp_path):
    file = tmp_path / "wiki.test.tokens"
    file.write_text(WIKITEXT)
    samples = run("wikitext_file", {"wikitext_path": str(file)})["samples"]["wikitext_file"]
    assert [s["doc"]["page"] for s in samples] == articles(WIKITEXT)
    assert articles(WIKITEXT)[1] == " = Two = \n \n The end . \n"
    # Detokenized for the model, and counted before.
    assert "Some words here." in samples[0]["arguments"][0][0]
    assert samples[0]["byte_perplexity"][1] == len(articles(WIKITEXT)[0].encode())


def test_a_missing_file_is_named():
    with pytest.raises(EvaluationError, match="The task lambada_file has no file. Name the file: --metadata"):
        run("lambada_file")
    with pytest.raises(EvaluationError, match="/nowhere, is not there"):
        run("wikitext_file", {"wikitext_path": "/nowhere"})


def test_the_last_words_are_those_that_the_script_makes():
    assert last_word.PATH.read_text(encoding="utf-8").splitlines() == last_word.lines()
    assert 300 <= len(last_word.lines()) <= 1000


def test_every_passage_is_as_it_should_be():
    chapters = ["\n\n".join(paragraphs) for paragraphs in book.chapters()]
    seen = set()
    for line in last_word.lines():
        passage = json.loads(line)
        context, word = passage["text"].rsplit(" ", 1)
        at = chapters[passage["chapter"] - 1].find(passage["text"])
        assert at >= 0 and word.isalpha() and len(word) >= 4
        end = (passage["chapter"], at + len(passage["text"]))
        assert end not in seen
        seen.add(end)
        assert 50 <= len(context.split()) <= 150
        assert word.lower() in context.lower()


def test_sentences():
    text = 'Mr. Tilney came. "Oh! Dear!" cried she. "What?" said Mrs. Allen; "No!" He left'
    want = ["Mr. Tilney came.", '"Oh!', 'Dear!" cried she.', '"What?" said Mrs. Allen; "No!"', "He left"]
    assert last_word.sentences(text) == want


def test_the_command_line_adds_the_tasks(tmp_path):
    assert included(SimpleNamespace(include_path=None)) == [str(TASKS)]
    assert included(SimpleNamespace(include_path="mine", config=None)) == [str(TASKS), "mine"]
    config = tmp_path / "run.yaml"
    config.write_text("include_path: theirs\n")
    assert included(SimpleNamespace(include_path=None, config=str(config))) == [str(TASKS), "theirs"]
