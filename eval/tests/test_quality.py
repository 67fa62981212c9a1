"""The arithmetic of the quality table on documents made by hand, and what it refuses."""

import json
import math

import pytest
from fakes import FakeSession
from tokenformer_eval import embedded_model, lm, quality
from tokenformer_eval.errors import EvaluationError
from tokenformer_eval.lm import TokenFormerLM
from tokenformer_eval.paired import (
    Difference,
    Document,
    accuracy,
    accuracy_difference,
    log_perplexity,
    log_perplexity_difference,
    ratio,
)
from tokenformer_eval.table import markdown

TEXTS = [Document("a", -20.0, 10, bytes=40, words=8), Document("b", -50.0, 20, bytes=100, words=15)]
WORSE = [Document("a", -21.0, 10, bytes=40, words=8), Document("b", -54.0, 20, bytes=100, words=15)]
WORDS = [Document(str(i), -1.0 - i, 1 + i, correct=i != 2) for i in range(4)]
WORSE_WORDS = [Document(str(i), -1.5 - i, 1 + i, correct=i == 0) for i in range(4)]


def test_ratio():
    # R = 5/30; residuals 1 - 10/6 = -2/3 and 4 - 20/6 = 2/3; variance 2/1 · 8/9 / 30².
    got = ratio([1.0, 4.0], [10, 20])
    assert got.value == pytest.approx(5 / 30)
    assert got.standard_error == pytest.approx(math.sqrt(2 * 8 / 9) / 30)
    # With sizes of 1: mean and its standard error, sd/√n.
    got = ratio([1.0, 2.0, 6.0], [1, 1, 1])
    assert got.value == 3 and got.standard_error == pytest.approx(math.sqrt(14 / 2 / 3))
    # What is in proportion has no error.
    assert ratio([1.0, 2.0], [10, 20]).standard_error == pytest.approx(0)
    assert ratio([1.0], [10]) == Difference(0.1, None)


def test_perplexities_and_their_difference():
    assert log_perplexity(TEXTS) == pytest.approx(70 / 30)
    assert log_perplexity(TEXTS, "bytes") == pytest.approx(70 / 140)
    assert log_perplexity(WORDS, None) == pytest.approx(10 / 4)
    assert log_perplexity_difference(WORSE, TEXTS) == ratio([1.0, 4.0], [10, 20])
    assert log_perplexity_difference(WORSE, TEXTS, "bytes") == ratio([1.0, 4.0], [40, 100])
    # Every word lost as much: the difference is certain, whatever the words are.
    assert log_perplexity_difference(WORSE_WORDS, WORDS, None) == Difference(0.5, 0.0)


def test_accuracies_and_their_difference():
    assert (accuracy(WORDS), accuracy(WORSE_WORDS)) == (0.75, 0.25)
    got = accuracy_difference(WORSE_WORDS, WORDS)
    # 0, -1, 0, -1: mean -1/2, variance 1/3, standard error √(1/3/4).
    assert got.value == -0.5 and got.standard_error == pytest.approx(math.sqrt(1 / 12))


def test_table():
    rows = {"f32": {"book": TEXTS, "words": WORDS}, "q4": {"book": WORSE, "words": WORSE_WORDS}}
    assert markdown(rows).split("\n") == [
        "**book**, 2 documents, 30 tokens scored",
        "",
        "| precision | token perplexity | against f32 | bits per byte | against f32 |",
        "|---|---|---|---|---|",
        "| f32 | 10.312 |  | 0.7213 |  |",
        "| q4 | 12.182 | +18.136 ± 5.250 % | 0.7729 | +0.05152 ± 0.00883 |",
        "",
        "**words**, 4 documents, 10 tokens scored",
        "",
        "| precision | accuracy | against f32 | perplexity | against f32 |",
        "|---|---|---|---|---|",
        "| f32 | 75.00 % |  | 12.182 |  |",
        "| q4 | 25.00 % | -50.00 ± 28.87 points | 20.086 | +64.872 ± 0.000 % |",
    ]


def test_only_the_same_documents_are_compared():
    for other in (TEXTS[:1], [TEXTS[1], TEXTS[0]], [TEXTS[0], Document("b", -50.0, 21, bytes=100, words=15)]):
        with pytest.raises(EvaluationError, match="book: q4 and f32 differ"):
            markdown({"f32": {"book": TEXTS}, "q4": {"book": other}})


def test_rows_are_run_written_and_joined(tmp_path, monkeypatch, capsys):
    """As the command does it, with sessions that are not models."""
    opened = []

    def session(kind, model, options):
        row = "f32" if kind is lm.ReferenceSession else options["quantization"]
        opened.append((model, options))
        return FakeSession(context_length=1024, id=model, quantization=row, backend=kind.__name__)

    monkeypatch.setattr(lm, "open_session", session)
    command = [
        "quality",
        "--checkpoint",
        "x.bin",
        "--limit",
        "2",
        "--output",
        str(tmp_path),
        "--context-length",
        "1024",
    ]
    monkeypatch.setattr("sys.argv", [*command, "--rows", "f32,q8", "--web-args", "gpu=native"])
    monkeypatch.setattr(lm, "find_model_folder", lambda model: model)
    quality.main()
    assert opened == [
        ("x.bin", {"context_length": 1024}),
        ("x.bin", {"gpu": "native", "quantization": "q8", "context_length": 1024}),
    ]
    printed = capsys.readouterr().out
    assert "**northanger_rolling**, 2 documents" in printed and "| q8 | " in printed
    row = json.loads((tmp_path / "q8.json").read_text())
    assert row["model"]["quantization"] == "q8" and row["tasks"]["northanger_last_word"][0]["tokens"] == 1
    # Another machine's row joins, unless it has another context.
    monkeypatch.setattr("sys.argv", ["quality", "--join", "--output", str(tmp_path)])
    quality.main()
    assert capsys.readouterr().out == printed
    assert (row["name"], row["limit"]) == ("x.bin", 2)
    # Another model, whose documents have the same hashes; another length; more documents.
    for change, error in (
        ({"name": "450M"}, "different models: {'f32': 'x.bin', 'q8': '450M'}.\nIf they are the same model, .*--name"),
        ({"model": {**row["model"], "vocabulary": 7}}, "different vocabularies"),
        ({"model": {**row["model"], "context_length": 2048}}, "different context lengths"),
        ({"limit": None}, "different limits: {'f32': 2, 'q8': None}.\nRun them again"),
    ):
        (tmp_path / "q8.json").write_text(json.dumps({**row, **change}))
        with pytest.raises(SystemExit, match=error):
            quality.main()
    # A mixture in one command ends before anything is loaded.
    opened.clear()
    command = ["quality", "--rows", "f32,q4", "--checkpoint", "a/150M", "--folder", "q4=a/450M-q4"]
    monkeypatch.setattr("sys.argv", [*command, "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match="different models: {'f32': '150M', 'q4': '450M-q4'}"):
        quality.main()
    assert opened == []


def test_names_of_models(tmp_path):
    def name(*given):
        return quality.name_of("q4", quality.arguments(given))

    (tmp_path / "150M").mkdir()
    (tmp_path / "150M/pytorch_model.bin").write_bytes(b"")
    for model in (tmp_path / "150M", tmp_path / "150M/pytorch_model.bin", "Haiyang-W/150M"):
        assert name("--checkpoint", str(model)) == "150M"
    assert name("--folder", "q4=") == embedded_model().name != ""
    assert name("--folder", "q4=./150M-q4", "--name", "150M") == "150M"


def test_a_row_needs_its_model():
    def model(*given):
        options = quality.arguments(["--rows", "q4", *given])
        return quality.model_of("q4", options)

    assert model("--folder", "q4=") == ("tokenformer-web", {"model": ""})
    assert model("--folder", "q4=./a", "--checkpoint", "b") == ("tokenformer-web", {"model": "./a"})
    with pytest.raises(EvaluationError, match="q4 has no model. Give --checkpoint or --folder q4="):
        model()
    with pytest.raises(EvaluationError, match="no row q5"):
        model("--folder", "q5=x")


def test_tokens_are_those_that_were_scored():
    model = TokenFormerLM(FakeSession(context_length=64))
    texts = [{"doc_id": 0, "doc_hash": "a", "arguments": [("a bb c",)], "bits_per_byte": (-2.0, 6),
              "byte_perplexity": (-2.0, 6), "word_perplexity": (-2.0, 3)}]  # fmt: skip
    assert quality.documents_of(model, texts) == [Document("a", -2.0, 3, bytes=6, words=3)]
    words = [{"doc_id": i, "doc_hash": "b", "arguments": [("a", " bb c")], "perplexity": -3.0, "acc": True}
             for i in (1, 0)]  # fmt: skip
    assert quality.documents_of(model, words) == [Document("b", -3.0, 2, correct=True)] * 2
