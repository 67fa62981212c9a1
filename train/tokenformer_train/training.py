"""The training loop. A JSON file says what to train on what, for how long; train/README.md lists its keys."""

import json
import math
import time
from dataclasses import dataclass, field, fields
from pathlib import Path

import torch
from tokenizers import Tokenizer

from . import publish, tokens, windows
from .model import Shape, TokenFormer
from .optimizer import Optimizer
from .parallel import Processes

LEAST_RATE = 0.02  # the rate at the end, as a share of the highest
REPORT_EVERY = 250  # steps
SYNC_EVERY = 10  # steps after which the first process tells the others the time, so that all stop at the same one
BROADCAST_EVERY = 200  # steps after which weights are made equal again, whatever rounding did


@dataclass
class Config:
    tokenizer: str
    shape: list[int]  # layers, width, heads, slots for query, key and value, for proj, for the feed-forward part
    sources: list[dict]  # {"file", "weight", "late_weight", "aligned"}
    output: str
    validation: dict[str, str] = field(default_factory=dict)
    context: int = 1024
    batch: int = 64  # windows in a step, of all processes together
    steps: int | None = None
    deadline: float | None = None  # seconds since 1970
    seconds: float | None = None
    learning_rate: float = 2e-3
    embedding_rate: float = 2e-3
    warmup: int = 200
    decay_from: float = 0.45
    late_from: float = 0.7
    quantize_from: float = 0.85
    validate_every: float = 60
    validation_windows: int = 128
    save_every: float = 600
    state: str | None = None
    stop_file: str | None = None
    compile: bool = True
    seed: int = 1

    @classmethod
    def read(cls, path: Path) -> "Config":
        values = json.loads(path.read_text("utf-8"))
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise ValueError(f"{path} has unknown keys: {', '.join(sorted(unknown))}.")
        config = cls(**values)
        if config.steps is None and config.deadline is None and config.seconds is None:
            raise ValueError(f"{path} must say when to end: steps, seconds or deadline.")
        return config


class Clock:
    """How much of the training is done: of its steps or its time, whichever ends first."""

    def __init__(self, config: Config, step: int, processes: Processes):
        self.config, self.processes, self.first_step = config, processes, step
        self.begun = time.time()
        ends = [config.deadline, self.begun + config.seconds if config.seconds is not None else None]
        self.deadline = min((end for end in ends if end is not None), default=None)
        self.told = torch.zeros(2, device=processes.device)
        self.done, self.stopped = 0.0, False

    def look(self, step: int):
        steps, stop_file = self.config.steps, self.config.stop_file
        if steps is not None and self.deadline is None and not stop_file:
            self.done = step / steps
            return
        if step % SYNC_EVERY:
            return
        share = step / steps if steps is not None else 0.0
        if self.deadline is not None:
            share = max(share, (time.time() - self.begun) / max(1e-3, self.deadline - self.begun))
        self.told[0] = min(1.0, share)
        self.told[1] = float(bool(stop_file) and Path(stop_file).exists())
        self.processes.from_first(self.told)
        done, stopped = self.told.tolist()
        self.done, self.stopped = done, stopped > 0

    def is_over(self, step: int) -> bool:
        steps = self.config.steps
        return self.stopped or self.done >= 1.0 or (steps is not None and step >= steps)

    def rate(self, step: int) -> float:
        """The rate, as a share of the highest: a warm-up, a plateau, then a line down."""
        new = step - self.first_step + 1
        warm = min(1.0, new / max(1, self.config.warmup))
        if self.first_step:
            warm = min(1.0, 0.3 + 0.7 * new / 100)
        late = (self.done - self.config.decay_from) / max(1e-9, 1 - self.config.decay_from)
        return min(warm, 1 - (1 - LEAST_RATE) * min(1.0, max(0.0, late)))


class Training:
    def __init__(self, config: Config):
        self.config = config
        self.processes = p = Processes.start()
        torch.manual_seed(config.seed)
        torch.set_float32_matmul_precision("high")
        self.tokenizer = Tokenizer.from_file(config.tokenizer)
        vocab = -(-self.tokenizer.get_vocab_size() // 64) * 64
        self.shape = Shape(*config.shape, vocab, config.context)
        self.model = TokenFormer(self.shape).to(p.device)
        on_gpu = p.device != "cpu"
        compiled = config.compile and on_gpu
        self.optimizer = Optimizer(self.model, compiled)
        dtype = torch.bfloat16 if on_gpu else torch.float32
        self.loss = torch.compile(self.model.loss, dynamic=False) if compiled else self.model.loss
        self.dtype = dtype
        weighted = [
            windows.Weighted(
                windows.Source(Path(s["file"]), config.context, s.get("aligned", 0.0), p.device, config.seed),
                s["weight"],
                s.get("late_weight", s["weight"]),
            )
            for s in config.sources
        ]
        self.mix = windows.Mix(weighted, config.batch, p.rank, p.world)
        self.mine = max(1, config.batch // p.world)
        self.validation = {
            name: windows.evenly(
                Path(file), config.context, max(self.mine, config.validation_windows // self.mine * self.mine)
            )
            for name, file in config.validation.items()
        }
        self.bytes = torch.from_numpy(tokens.token_bytes(self.tokenizer))
        self.step, self.seen, self.log = 0, 0, []
        if config.state and Path(config.state).exists():
            self.load(Path(config.state))
        p.from_first(self.optimizer.weights)
        self.optimizer.use(False)

    def say(self, text: str):
        if self.processes.is_first:
            print(text, flush=True)

    # ---- State -----------------------------------------------------------------------------------

    def save(self):
        if not (self.config.state and self.processes.is_first):
            return
        path = Path(self.config.state)
        temporary = path.with_suffix(".tmp")
        counters = {"step": self.step, "seen": self.seen, "log": self.log, "sources": self.mix.state()}
        torch.save({"optimizer": self.optimizer.state(), **counters}, temporary)
        temporary.rename(path)

    def load(self, path: Path):
        state = torch.load(path, map_location="cpu")
        self.optimizer.load(state["optimizer"])
        self.step, self.seen, self.log = state["step"], state["seen"], state["log"]
        self.mix.load(state["sources"])
        self.say(f"resumed at step {self.step}")

    # ---- One step, and validation ----------------------------------------------------------------

    def one_step(self, clock: Clock) -> torch.Tensor:
        config, rate = self.config, clock.rate(self.step)
        loss = self.loss(self.mix.next(clock.done > config.late_from), self.dtype)
        loss.backward()
        self.processes.average(self.optimizer.gradients)
        self.optimizer.step(config.learning_rate * rate, config.embedding_rate * rate)
        self.step += 1
        self.seen += config.batch * config.context
        if self.step % BROADCAST_EVERY == 0:
            self.processes.from_first(self.optimizer.weights)
        self.optimizer.use(clock.done >= config.quantize_from)
        return loss.detach()

    def validate(self) -> dict:
        """Bits per byte of each validation text, of the weights that the model uses now.

        With gradients, though nothing needs them, so that it runs on what is compiled for the steps.
        """
        out = {}
        for name, rows in self.validation.items():
            nats = [self.loss(part.to(self.processes.device), self.dtype).item() for part in rows.split(self.mine)]
            scored = rows[:, 1:]
            per_id = self.bytes[scored].sum().item() / scored.numel()
            out[name] = round(sum(nats) / len(nats) / math.log(2) / per_id, 4)
        return out

    # ---- All of it -------------------------------------------------------------------------------

    def warm_up(self):
        """Compiles everything before the clock starts."""
        self.loss(
            self.mix.sources[0].source.windows(self.mix.sources[0].source.offsets[:1].repeat(self.mine)), self.dtype
        ).backward()
        self.optimizer.gradients.zero_()
        self.optimizer.warm_up()
        self.validate()
        self.processes.wait()

    def run(self):
        begun = time.time()
        self.warm_up()
        sizes = {s.source.name: len(s.source.ids) for s in self.mix.sources}
        self.say(
            f"ready after {time.time() - begun:.0f} s on {self.processes.world} × {self.processes.device}; {sizes}"
        )
        clock = Clock(self.config, self.step, self.processes)
        first, saved, validated, average = self.seen, time.time(), time.time(), None
        clock.look(self.step - self.step % SYNC_EVERY)
        while not clock.is_over(self.step):
            loss = self.one_step(clock)
            if self.step % 50 == 0:
                value = loss.item()  # also keeps the host from running far ahead
                average = value if average is None else 0.8 * average + 0.2 * value
            if self.step % REPORT_EVERY == 0:
                rate = (self.seen - first) / (time.time() - clock.begun)
                passes = [round(s.source.seen(), 2) for s in self.mix.sources]
                self.say(
                    f"step {self.step}, {self.seen / 1e6:.0f}M ids, loss {average or loss.item():.3f},"
                    f" done {clock.done:.3f}, rate x{clock.rate(self.step):.2f}, {rate / 1e3:.0f}k ids/s,"
                    f" passes {passes}"
                )
            if self.processes.is_first and time.time() - saved > self.config.save_every:
                saved = time.time()
                self.save()
                self.optimizer.use(False)
                self.publish({})
                self.optimizer.use(clock.done >= self.config.quantize_from)
            clock.look(self.step)
            if self.step % REPORT_EVERY == 0:
                due = torch.tensor(
                    [float(time.time() - validated > self.config.validate_every)], device=self.processes.device
                )
                self.processes.from_first(due)
                if due.item():
                    validated = time.time()
                    self.report(self.validate())
        self.finish(clock)

    def report(self, validation: dict):
        self.log.append({"step": self.step, "ids": self.seen, "bits_per_byte": validation})
        self.say(f"  validation at step {self.step}: {validation}")

    def finish(self, clock: Clock):
        self.optimizer.use(False)
        exact = self.validate()
        self.optimizer.use(True)
        rounded = self.validate()
        self.optimizer.use(False)
        self.report(exact)
        self.say(f"end: step {self.step}, {self.seen / 1e6:.1f}M ids; as q4: {rounded}")
        self.save()
        if self.processes.is_first:
            self.publish({"bits_per_byte": exact, "bits_per_byte_q4": rounded})
        self.processes.wait()
        self.processes.end()

    def publish(self, facts: dict):
        """Writes the model folder as it would be if training ended here."""
        sources = {s.source.name: {"ids": len(s.source.ids), "passes": s.source.seen()} for s in self.mix.sources}
        facts |= {"steps": self.step, "ids": self.seen, "batch": self.config.batch, "sources": sources, "log": self.log}
        publish.write_model(Path(self.config.output), self.model, Path(self.config.tokenizer), facts)
