"""The table beside the paper's numbers, with an `evaluate` that measures nothing."""

import json

import pytest
from fakes import FakeSession
from tokenformer_eval import cache, lm, published
from tokenformer_eval.errors import EvaluationError

ROW = [(16.5, 0.4), (45.25, 0.69), (35.0, None), (65.0, 1.1), (47.0, 1.0), (25.0, 1.3), (50.0, 1.4)]


def run(monkeypatch, capsys, *given):
    calls = []

    def evaluate(model, quantization, options):
        calls.append((model, quantization, options.limit))
        return {"model": {"id": model}, "limit": options.limit, "measured": ROW}

    monkeypatch.setattr("sys.argv", ["published", *map(str, given)])
    published.main(evaluate)
    return calls, capsys.readouterr().out.splitlines()


def test_table(monkeypatch, capsys, tmp_path):
    given = ["--models", "150M,1-5B", "--quantizations", "q4,f16", "--output", tmp_path]
    calls, lines = run(monkeypatch, capsys, *given)
    assert calls == [(f"Haiyang-W/TokenFormer-{m}", q, None) for m in ("150M", "1-5B") for q in ("q4", "f16")]
    own = "16.50 ± 0.40 | 45.25 ± 0.69 | 35.00 | 65.00 ± 1.10 | 47.00 ± 1.00 | 25.00 ± 1.30 | 50.00 ± 1.40 | 44.5 |"
    assert lines == [
        "| model | precision | LAMBADA ppl | LAMBADA acc | HellaSwag | PIQA | ARC-E | ARC-C | WinoGrande | average |",
        "|---|---|---|---|---|---|---|---|---|---|",
        "| 150M | paper | 16.38 | 45.0 | 35.5 | 64.9 | 47.3 | 24.9 | 50.4 | 44.7 |",
        f"| 150M | q4 | {own}",
        f"| 150M | f16 | {own}",
        "| 1-5B | paper | 5.24 | 64.7 | 60.0 | 74.8 | 64.8 | 32.0 | 59.7 | 59.3 |",
        f"| 1-5B | q4 | {own}",
        f"| 1-5B | f16 | {own}",
    ]
    # What was measured is there for another table.
    assert run(monkeypatch, capsys, "--join", "--output", tmp_path) == ([], lines)


def test_a_trial_is_marked(monkeypatch, capsys, tmp_path):
    _, lines = run(monkeypatch, capsys, "--models", "150M", "--limit", 9, "--output", tmp_path)
    assert lines[-1].startswith("| 150M | q4, TRIAL on 9 documents of each task | 16.50 ± 0.40 |")
    assert run(monkeypatch, capsys, "--join", "--output", tmp_path) == ([], lines)
    (tmp_path / "150M-q4.json").write_text(json.dumps(ROW))
    with pytest.raises(SystemExit, match="150M-q4.json does not say of what"):
        run(monkeypatch, capsys, "--join", "--output", tmp_path)


@pytest.mark.parametrize("fails", [False, True])
def test_every_row_closes_its_browser(monkeypatch, fails):
    session = FakeSession(id="m", revision="abc", origin={"build": "b", "adapter": "a"})
    opened = []

    def harness(model, use_cache, limit, tasks, **_):
        assert model.session is session and not session.closed
        assert use_cache == str(cache.file_for(session.info, cache.answers_folder()))
        assert (limit, tasks) == (9, published.TASKS)
        if fails:
            raise EvaluationError("crashed", "The page ended.", "Run it again.")
        return {"results": {task: {"acc,none": 0.5, "acc_norm,none": 0.25, "perplexity,none": 16.0} for task in tasks}}

    monkeypatch.setattr(lm, "open_session", lambda kind, model, options: opened.append((model, options)) or session)
    monkeypatch.setattr(published, "simple_evaluate", harness)
    options = published.arguments(["--limit", "9", "--web-args", "gpu=native,profile=p"])
    if fails:
        with pytest.raises(EvaluationError, match="The page ended"):
            published.evaluate("owner/m", "q4", options)
    else:
        row = json.loads(json.dumps(published.evaluate("owner/m", "q4", options)))
        assert row["measured"] == [[16.0, None], *([x, None] for x in (50, 25, 50, 50, 25, 50))]
        assert row["limit"] == 9 and row["model"]["origin"] == {"build": "b", "adapter": "a"}
        assert (row["model"]["id"], row["model"]["revision"], row["model"]["quantization"]) == ("m", "abc", "q4")
    assert session.closed
    assert opened == [("owner/m", {"quantization": "q4", "gpu": "native", "profile": "p"})]


def test_the_paper_s_averages_are_those_of_its_accuracies():
    got = [round(published.average(list(row)), 1) for row in published.PAPER.values()]
    assert got == [44.7, 52.0, 56.4, 59.3]


def test_values_of_the_harness():
    result = {"alias": "x", "acc,none": 0.451, "acc_stderr,none": 0.007, "perplexity,none": 16.4}
    assert published.measured(result, "acc") == pytest.approx((45.1, 0.7))
    result["perplexity_stderr,none"] = "N/A"
    assert published.measured(result, "perplexity") == (16.4, None)


@pytest.mark.parametrize("given", [["--models", "38M"], ["--quantizations", "q5"]])
def test_what_is_not_known_is_named(monkeypatch, capsys, given):
    with pytest.raises(SystemExit):
        run(monkeypatch, capsys, *given)
    assert f"{given[1]}; known are" in capsys.readouterr().err


def test_nothing_measured(monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit, match="Nothing was measured yet"):
        run(monkeypatch, capsys, "--join", "--output", tmp_path)
