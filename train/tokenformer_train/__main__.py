"""The commands: python -m tokenformer_train COMMAND --help."""

import argparse
import json
from pathlib import Path


def tokenizer(a):
    from . import tokens

    made = tokens.make_tokenizer(a.texts, a.size, int(a.megabytes * 1e6))
    made.save(str(a.output))
    print(f"{a.output}: {made.get_vocab_size()} entries, {a.output.stat().st_size} bytes")


def encode(a):
    from . import tokens

    texts = tokens.documents(a.texts)
    cut = int(len(texts) * a.validation)
    if cut and not a.validation_output:
        raise SystemExit("tokenformer_train: --validation needs --validation-output.")
    if cut:  # every n-th document, so that all of the text is represented
        held = texts[:: len(texts) // cut][:cut]
        rest = [text for i, text in enumerate(texts) if i % (len(texts) // cut) or i // (len(texts) // cut) >= cut]
        print(f"{a.validation_output}: {tokens.write_ids(a.tokenizer, held, a.validation_output, a.processes)} ids")
        texts = rest
    count = tokens.write_ids(a.tokenizer, texts, a.output, a.processes)
    print(f"{a.output}: {count} ids of {len(texts)} documents")


def train(a):
    from .training import Config, Training

    Training(Config.read(a.config)).run()


def golden(a):
    from . import golden

    golden.write(a.folder, a.prompts, a.text, a.characters)


def sample(a):
    from . import sampling

    for line in sampling.texts(a):
        print(line, flush=True)


def evaluate(a):
    from . import evaluation

    print(json.dumps(evaluation.measure(a.folder, a.texts, a.bits, a.ids, a.last_words), indent=2))


def teacher_prompts(a):
    from .teacher import corpus

    corpus.write_prompts(a.model, a.books, a.work, a.count, a.processes, a.seed)


def teacher_write(a):
    from .teacher import writing

    writing.write(a.model, a.work, a.seconds, a.slots, a.part, a.parts)


def teacher_keep(a):
    from .teacher import corpus

    corpus.keep(a.model, a.tokenizer, a.work, a.processes, a.likeliest)


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(prog="python -m tokenformer_train", description=__doc__)
    commands = out.add_subparsers(required=True)

    def command(name, run, text):
        c = commands.add_parser(name, help=text, description=text)
        c.set_defaults(run=run)
        return c

    c = command("tokenizer", tokenizer, "Makes a byte-level BPE tokenizer of texts.")
    c.add_argument("texts", type=Path, nargs="+", help="text files, or folders of them")
    c.add_argument("--output", type=Path, required=True)
    c.add_argument("--size", type=int, default=8192)
    c.add_argument("--megabytes", type=float, default=70, help="how much of each text is taken (default 70)")

    c = command("tokens", encode, "Writes the ids of texts.")
    c.add_argument("texts", type=Path)
    c.add_argument("output", type=Path)
    c.add_argument("--tokenizer", type=Path, required=True)
    c.add_argument("--processes", type=int, default=2)
    c.add_argument("--validation", type=float, default=0.0, help="share of the documents to keep apart")
    c.add_argument("--validation-output", type=Path)

    c = command("train", train, "Trains a model, or goes on with it.")
    c.add_argument("config", type=Path)

    c = command("golden", golden, "Writes golden.json: what the model computes in float32.")
    c.add_argument("folder", type=Path)
    c.add_argument("--prompts", type=Path, required=True, help="as openings.txt")
    c.add_argument("--text", type=Path, required=True)
    c.add_argument("--characters", type=int, default=40_000)

    c = command("sample", sample, "Writes continuations of openings.")
    c.add_argument("folder", type=Path)
    c.add_argument("--prompts", type=Path, required=True, help="as openings.txt")
    c.add_argument("--bits", type=int, default=16, choices=[4, 8, 16], help="of the layers; with 4 the embedding has 8")
    c.add_argument("--seeds", type=int, nargs="+", default=[1])
    c.add_argument("--most", type=int, default=300, help="most ids to write (default 300)")
    c.add_argument("--temperature", type=float, default=0.7)
    c.add_argument("--top-p", type=float, default=0.92)
    c.add_argument("--min-p", type=float, default=0.0)
    c.add_argument("--penalty", type=float, default=1.1)

    c = command("evaluate", evaluate, "Perplexity, bits per byte and last words of texts.")
    c.add_argument("folder", type=Path)
    c.add_argument("texts", type=Path, nargs="*")
    c.add_argument("--bits", type=int, default=16, choices=[4, 8, 16])
    c.add_argument("--ids", type=int, default=60_000, help="most ids of each text (default 60,000)")
    c.add_argument("--last-words", type=Path, help='a .jsonl of {"text"} whose last words are to be guessed')

    c = command("teacher-prompts", teacher_prompts, "Writes prompts for the teacher.")
    c.add_argument("--model", type=Path, required=True, help="the teacher's GGUF file")
    c.add_argument("--books", type=Path, required=True, help="a text file whose sentences begin some answers")
    c.add_argument("--work", type=Path, required=True)
    c.add_argument("--count", type=int, default=1_000_000)
    c.add_argument("--processes", type=int, default=2)
    c.add_argument("--seed", type=int, default=1)

    c = command("teacher-write", teacher_write, "Lets the teacher answer.")
    c.add_argument("--model", type=Path, required=True)
    c.add_argument("--work", type=Path, required=True)
    c.add_argument("--seconds", type=float, required=True)
    c.add_argument("--slots", type=int, default=6144, help="answers at a time (default 6,144, which take 60 GB)")
    c.add_argument("--part", type=int, default=0, help="which part of the prompts, of --parts")
    c.add_argument("--parts", type=int, default=1)

    c = command("teacher-keep", teacher_keep, "Filters answers while they come, and makes a file of ids.")
    c.add_argument("--model", type=Path, required=True)
    c.add_argument("--tokenizer", type=Path, required=True)
    c.add_argument("--work", type=Path, required=True)
    c.add_argument("--processes", type=int, default=2)
    c.add_argument(
        "--likeliest", type=float, default=0.75, help="share of each kind to keep, by the teacher's own odds"
    )
    return out


def main():
    a = parser().parse_args()
    a.run(a)


if __name__ == "__main__":
    main()
