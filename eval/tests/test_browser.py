"""The browser against the float32 reference, both asked by the harness.

TOKENFORMER_EVAL_MODEL names the folder of a model whose weights are float16, so that both compute with the same ones;
without it these tests are skipped. On Chromium's software adapter they take about 6 to 9 minutes on two
cores: TOKENFORMER_EVAL_BACKEND=cpu asks the CPU backend instead, which takes half a minute, TOKENFORMER_EVAL_GPU=native
a real GPU.
"""

import json
import os

import pytest
from fakes import instances
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager
from playwright.sync_api import Error as PlaywrightError
from tokenformer_eval import TASKS, embedded_model, last_word
from tokenformer_eval.browser import BrowserSession
from tokenformer_eval.errors import EvaluationError
from tokenformer_eval.lm import TokenFormerReference, TokenFormerWeb

MODEL = os.environ.get("TOKENFORMER_EVAL_MODEL")
BACKEND = os.environ.get("TOKENFORMER_EVAL_BACKEND", "webgpu")
GPU = os.environ.get("TOKENFORMER_EVAL_GPU", "swiftshader")
FULL = os.environ.get("TOKENFORMER_FULL") == "1"
PASSAGES = 50 if FULL else 6
#: Two windows for the words of the first chapter that are read.
CONTEXT, WORDS = (512, 500) if FULL else (160, 150)
#: Of different lengths, and one text ends before the others: the page writes them at once.
PROMPTS = (
    "The king had three daughters, and",
    "The king had three sons. The youngest",
    "Once upon a time there was a little girl who",
)

#: Of a loglikelihood of one or a few tokens, in nats: 0.01 was measured. Both backends round keys and values to
#: float16, which the reference does not.
TOLERANCE = 0.02

needs_model = pytest.mark.skipif(not MODEL, reason="TOKENFORMER_EVAL_MODEL names no model folder")


def shortest_passages(count: int) -> list[int]:
    """Numbers of the passages with the fewest words: a software adapter reads a dozen tokens in a second."""
    words = [len(json.loads(line)["text"].split()) for line in last_word.lines()]
    return sorted(sorted(range(len(words)), key=lambda i: (words[i], i))[:count])


def ask(model):
    """Metrics of each task, loglikelihoods of each document, and greedy texts."""
    samples = {"northanger_last_word": shortest_passages(PASSAGES), "northanger_rolling": [0]}
    try:
        results = simple_evaluate(
            model,
            tasks=list(samples),
            samples=samples,
            task_manager=TaskManager(
                include_path=str(TASKS), include_defaults=False, metadata={"northanger_words": WORDS}
            ),
            bootstrap_iters=0,
        )
        greedy = {"until": ["\n"], "max_gen_toks": 24}
        requests = instances("generate_until", *((prompt, greedy) for prompt in PROMPTS))
        texts = model.generate_until(requests, disable_tqdm=True)
    finally:
        model.session.close()
    logged = {task: [sample["filtered_resps"][0] for sample in results["samples"][task]] for task in samples}
    return results["results"], logged, texts


@pytest.fixture(scope="module")
def browser():
    return ask(TokenFormerWeb(MODEL, quantization="f16", backend=BACKEND, gpu=GPU, context_length=CONTEXT))


@pytest.fixture(scope="module")
def reference():
    return ask(TokenFormerReference(MODEL, context_length=CONTEXT))


@needs_model
def test_every_loglikelihood_agrees(browser, reference):
    got, want = browser[1]["northanger_last_word"], reference[1]["northanger_last_word"]
    assert len(got) == len(want) == PASSAGES
    assert [greedy for _, greedy in got] == [greedy for _, greedy in want]
    differences = [abs(a - b) for (a, _), (b, _) in zip(got, want, strict=True)]
    print(f"largest difference of a loglikelihood: {max(differences)}")
    assert max(differences) < TOLERANCE
    assert browser[1]["northanger_rolling"] == pytest.approx(reference[1]["northanger_rolling"], rel=1e-4)


@needs_model
def test_every_metric_agrees(browser, reference):
    for task, metrics in (
        ("northanger_rolling", ("word_perplexity", "byte_perplexity", "bits_per_byte")),
        ("northanger_last_word", ("perplexity",)),
    ):
        for metric in metrics:
            got, want = (results[0][task][f"{metric},none"] for results in (browser, reference))
            print(f"{task} {metric}: {got} in the browser, {want} of the reference")
            assert got == pytest.approx(want, rel=1e-3)
    got, want = (results[0]["northanger_last_word"]["acc,none"] for results in (browser, reference))
    print(f"northanger_last_word acc: {got} in the browser, {want} of the reference")
    assert got == pytest.approx(want, abs=1e-3)


@needs_model
def test_the_greedy_texts_are_the_same(browser, reference):
    assert browser[2] == reference[2]
    assert all(len(text.split()) > 3 for text in browser[2])


def test_a_damaged_folder(tmp_path):
    """After the progress bar began."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"This is no model. " * 100)
    with pytest.raises(EvaluationError) as e:
        BrowserSession(str(tmp_path), backend="cpu")
    assert e.value.code in ("unsupported-checkpoint", "invalid-config")


def test_errors_of_the_module_and_of_the_page():
    """On the embedded model, which needs no argument, on the CPU."""
    with pytest.raises(EvaluationError, match="q5") as e:
        BrowserSession(backend="cpu", quantization="q5", progress=False)
    assert e.value.code == "invalid-argument" and e.value.hint
    session = BrowserSession(backend="cpu", context_length=64, progress=False)
    assert (session.info.id, session.info.backend) == (embedded_model().name, "cpu")
    assert session.info.context_length == 64
    with pytest.raises(PlaywrightError):
        session._page.goto("chrome://crash", timeout=10_000)
    with pytest.raises(EvaluationError, match="The page ended in encode: .*crashed") as e:
        session.encode(["a"])
    assert e.value.code == "crashed"
    session.close()
    with pytest.raises(EvaluationError, match="The browser is closed"):
        session.encode(["a"])
