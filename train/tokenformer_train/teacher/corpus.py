"""What processors do for the teacher: prompts before it writes, and the filter while it does.

A work folder holds `prompts-*.npz` and `.json` (prompts as ids, and what each is about), `answers-*.npz` (what the
teacher wrote), `kept-*.npz` (documents as ids) with samples in `kept-*.json`, and at last `synthetic.u16`,
`synthetic-validation.u16` and `synthetic.json`, which counts what was kept and why the rest was not.
"""

import json
import multiprocessing
import os
import re
import time
from collections import Counter, defaultdict
from pathlib import Path
from zlib import crc32

import numpy as np
from tokenizers import Tokenizer

from ..tokens import encode
from . import gguf, smollm
from .filter import judge
from .prompts import Prompts, find_openings
from .writing import LENGTH, PROMPT

PROMPTS_IN_A_FILE = 20_000
LEAST_FILES = 8  # so that every part of the writing has some
BOOK_CHARACTERS = 60_000_000
ENOUGH = {"poem": 70, "description": 90}  # ids after which an answer's end is helped on
MOST = {"poem": 160}
SAMPLES = 40
VALIDATION = 1500  # documents

_shared: dict = {}


def _begin(vocabulary: str, tokenizer: str = ""):
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _shared["teacher"] = smollm.tokenizer(json.loads(Path(vocabulary).read_text("utf-8")))
    if tokenizer:
        _shared["own"] = Tokenizer.from_file(tokenizer)


def vocabulary(model: Path, work: Path) -> Path:
    """The tokenizer's part of a GGUF file, so that processes need not read the weights."""
    path = work / "vocabulary.json"
    if not path.exists():
        values, _, _ = gguf.read_values(model)
        wanted = {k: v for k, v in values.items() if k.startswith("tokenizer.ggml.t") or k.endswith("merges")}
        temporary = work / f"vocabulary-{os.getpid()}.tmp"
        temporary.write_text(json.dumps(wanted), "utf-8")
        temporary.rename(path)
    return path


# ---- Prompts -----------------------------------------------------------------------------------


def _prompt_file(job):
    number, openings, count, work, seed = job
    prompts, tokenizer = Prompts(seed * 100_003 + number, openings), _shared["teacher"]
    about, rows = [], []
    while len(rows) < count:
        prompt = prompts.one_prompt()
        ids = encode(tokenizer, smollm.chat(prompt.request, prompt.beginning))
        if len(ids) < PROMPT:
            about.append(prompt.as_dict())
            rows.append(
                (ids, min(LENGTH - 2, len(ids) + MOST.get(prompt.kind, 280)), len(ids) + ENOUGH.get(prompt.kind, 120))
            )
    ids = np.zeros((count, PROMPT), np.uint16)
    for row, (x, _, _) in zip(ids, rows, strict=True):
        row[: len(x)] = x
    (work / f"prompts-{number:05d}.json").write_text(json.dumps(about), "utf-8")
    temporary = work / f"making-{number}.npz"
    np.savez(
        temporary,
        ids=ids,
        given=np.array([len(x) for x, _, _ in rows]),
        limit=np.array([limit for _, limit, _ in rows]),
        enough=np.array([enough for _, _, enough in rows]),
        number=np.arange(count) + number * PROMPTS_IN_A_FILE,
    )
    os.rename(temporary, work / f"prompts-{number:05d}.npz")


def write_prompts(model: Path, books: Path, work: Path, count: int, processes: int, seed: int):
    work.mkdir(parents=True, exist_ok=True)
    with books.open(encoding="utf-8") as file:
        text = file.read(BOOK_CHARACTERS).replace("<|endoftext|>", "\n\n")
    openings = find_openings(text, 40_000)
    if not openings:
        raise ValueError(f"{books} has no paragraph whose first sentence could begin a text.")
    print(f"{len(openings)} openings from {books}", flush=True)
    each = max(1, min(count // LEAST_FILES, PROMPTS_IN_A_FILE))
    jobs = [(i, openings[i % 8 :: 8] or openings, each, work, seed) for i in range(-(-count // each))]
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _begin, (str(vocabulary(model, work)),)) as pool:
        pool.map(_prompt_file, jobs, chunksize=1)
    print(f"{len(jobs)} files of {each} prompts", flush=True)


# ---- Filter ------------------------------------------------------------------------------------


def _keep_file(job):
    path, work = job
    d, at, why, kept, prompts = np.load(path), 0, Counter(), [], {}
    for length, number, ended, odds in zip(d["lengths"], d["number"], d["ended"], d["odds"], strict=True):
        ids = d["ids"][at : at + length].tolist()
        at += length
        file, row = divmod(int(number), PROMPTS_IN_A_FILE)
        if file not in prompts:
            prompts[file] = json.loads((work / f"prompts-{file:05d}.json").read_text("utf-8"))
        prompt = prompts[file][row]
        document, reason = judge(prompt, _shared["teacher"].decode(ids), bool(ended))
        why[f"{prompt['kind']}: {reason}"] += 1
        if document:
            kept.append((prompt["kind"], document, float(odds)))
    name = path.name.replace("answers", "kept")
    if kept:
        ids = [np.array([*encode(_shared["own"], x), 0], np.uint16) for _, x, _ in kept]
        temporary = work / f"keeping-{os.getpid()}.npz"
        np.savez(
            temporary,
            ids=np.concatenate(ids),
            lengths=np.array([len(x) for x in ids]),
            kind=np.array([kind for kind, _, _ in kept]),
            odds=np.array([odds for _, _, odds in kept]),
            # Two documents that begin alike are the same one.
            same=np.array([crc32(re.sub(r"\W+", " ", x.lower())[:160].encode()) for _, x, _ in kept]),
        )
        os.rename(temporary, work / name)
        (work / name).with_suffix(".json").write_text(json.dumps(kept[:SAMPLES]), "utf-8")
    path.unlink()
    return why, len(kept)


def keep(model: Path, tokenizer: Path, work: Path, processes: int, likeliest: float):
    """Filters answers as they come, until all parts of the writing have ended; then makes the files of ids."""
    context = multiprocessing.get_context("spawn")
    why, sent, kept, pending, said = Counter(), set(), 0, [], time.time()
    with context.Pool(processes, _begin, (str(vocabulary(model, work)), str(tokenizer))) as pool:
        while True:
            ended = all_written(work)
            new = [f for f in sorted(work.glob("answers-*.npz")) if f not in sent]
            sent.update(new)
            pending += [pool.apply_async(_keep_file, ((f, work),)) for f in new]
            for result in [r for r in pending if r.ready()]:
                reasons, count = result.get()
                why.update(reasons)
                kept += count
                pending.remove(result)
            if time.time() - said > 30:
                said = time.time()
                print(f"{kept} documents kept of {sum(why.values())}", flush=True)
            if ended and not new and not pending:
                break
            time.sleep(0.1)
    join(work, likeliest, why)


def all_written(work: Path) -> bool:
    marks = list(work.glob("written-*-of-*"))
    return bool(marks) and len(marks) >= int(marks[0].name.rsplit("-", 1)[1])


def join(work: Path, likeliest: float, why: Counter):
    files = [np.load(f) for f in sorted(work.glob("kept-*.npz"))]
    if not files:
        raise ValueError(f"Nothing in {work} was kept: {dict(why.most_common(8))}")
    odds = defaultdict(list)
    for d in files:
        for kind in set(d["kind"].tolist()):
            odds[kind].append(d["odds"][d["kind"] == kind])
    least = {kind: float(np.quantile(np.concatenate(x), 1 - likeliest)) for kind, x in odds.items()}
    documents, seen, by_kind = [], set(), Counter()
    for d in files:
        ends = np.cumsum(d["lengths"])
        begins, ids = ends - d["lengths"], d["ids"]
        for i, (same, kind, odd) in enumerate(
            zip(d["same"].tolist(), d["kind"].tolist(), d["odds"].tolist(), strict=True)
        ):
            if same not in seen and odd >= least[kind]:
                seen.add(same)
                by_kind[kind] += 1
                documents.append(ids[begins[i] : ends[i]])
    random = np.random.default_rng(0)
    documents = [documents[i] for i in random.permutation(len(documents))]
    held = min(VALIDATION, len(documents) // 20)
    counts = {"answers": sum(why.values()), "documents": dict(by_kind), "reasons": dict(why.most_common())}
    for name, part in (("synthetic-validation", documents[:held]), ("synthetic", documents[held:])):
        ids = np.concatenate(part) if part else np.zeros(0, np.uint16)
        counts[f"{name} ids"] = len(ids)
        ids.tofile(work / f"{name}.tmp")
        os.rename(work / f"{name}.tmp", work / f"{name}.u16")
    (work / "synthetic.json").write_text(json.dumps(counts, indent=1), "utf-8")
    print(json.dumps(counts), flush=True)
