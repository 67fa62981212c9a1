"""The models that the harness sees: `tokenformer-web` and `tokenformer-reference`."""

import atexit
import json
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict

from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window, simple_parse_args_string
from tqdm import tqdm

from .browser import BrowserSession
from .cache import check_owner, default_folder, with_cache
from .errors import EvaluationError, wrong_count
from .generation import completion_of
from .reference import ReferenceSession
from .session import Score, ScoreItem, Session
from .site import find_model_folder

#: Requests of one round trip. No answer depends on the others: a larger one makes progress and cache coarser.
BATCH_SIZE = 16
#: No batch goes on beyond this many tokens, so that the progress bar moves on slow devices, too.
BATCH_TOKENS = 4096


class TokenFormerLM(TemplateLM):
    """What both kinds share: everything but where the answers come from."""

    def __init__(self, session: Session, batch_size: int | str | None = None) -> None:
        super().__init__()
        if session.info.context_length < 2:
            session.close()
            message = f"context_length is {session.info.context_length}, which leaves no room for a context."
            raise EvaluationError("invalid-argument", message, "It should be at least 2.")
        self.session = session
        self.batch_size = session.at_once = checked_batch_size(batch_size)
        self._encoded: dict[str, list[int]] = {}

    # ---- what the harness wants to know ------------------------------------------------------

    @property
    def eot_token_id(self) -> int:
        """<|endoftext|> of GPT-NeoX's tokenizer, which stood between the texts in training."""
        return 0

    @property
    def max_length(self) -> int:
        """Most tokens of input, in the harness's sense: the last scored token is no input.

        The module wants context and scored text together to be at most `context_length`, the last token included,
        hence one less.
        """
        return self.session.info.context_length - 1

    @property
    def max_gen_toks(self) -> int:
        return 256

    @property
    def batch_sizes(self) -> dict[int, int]:
        """For the harness's report."""
        return {0: self.batch_size}

    def get_model_info(self) -> dict:
        """Goes into the harness's results."""
        return {"tokenformer": asdict(self.session.info)}

    @property
    def tokenizer_name(self) -> str:
        raise no_chat_template()

    def apply_chat_template(self, chat_history, add_generation_prompt=True) -> str:
        raise no_chat_template()

    def chat_template(self, chat_template: bool | str = False) -> str:
        if chat_template:
            raise no_chat_template()
        return ""

    def set_cache_hook(self, cache_hook) -> None:
        check_owner(cache_hook, self.session.info)
        super().set_cache_hook(cache_hook)

    @classmethod
    def create_from_arg_obj(cls, arg_dict: dict, additional_config: dict | None = None):
        """A model with a cache of its own, unless `cache=false`.

        Only here is it known what was loaded: the commit behind a branch, the backend, the GPU.
        """
        args = {**(additional_config or {}), **{k: v for k, v in arg_dict.items() if v is not None}}
        # The harness's own are 1 and a device of PyTorch's unless the user says otherwise.
        if "batch_size" not in arg_dict and args.get("batch_size") in (1, "1", "auto", None):
            args["batch_size"] = BATCH_SIZE
        args.pop("device", None)
        args.pop("max_batch_size", None)
        setting = args.pop("cache", True)
        lm = cls(**args)
        return with_cache(lm, lm.session.info, setting)

    @classmethod
    def create_from_arg_string(cls, arg_string: str, additional_config: dict | None = None):
        return cls.create_from_arg_obj(simple_parse_args_string(arg_string), additional_config)

    # ---- tokens ------------------------------------------------------------------------------

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **kwargs) -> list[int]:
        """Token ids; the tokenizer adds none of its own, whatever `add_special_tokens` says."""
        ids = self._encoded.get(string)
        return self.session.encode([string])[0] if ids is None else list(ids)

    def encode_ahead(self, texts: list[str]) -> None:
        """Encodes many texts in few round trips; `tok_encode` has them until `forget_encoded`."""
        missing = list(dict.fromkeys(text for text in texts if text not in self._encoded))
        ids = self.session.encode(missing)
        if len(ids) != len(missing):
            raise wrong_count("encode", len(ids), len(missing))
        self._encoded.update(zip(missing, ids, strict=True))

    def forget_encoded(self) -> None:
        self._encoded.clear()

    def encode_pairs(self, pairs: list[tuple[str, str]]) -> list[tuple[list[int], list[int]]]:
        """Ids of each context and its continuation, as the harness's `_encode_pair` cuts them."""
        # Spaces at the end of a context go to its continuation, which leaves the whole as it is.
        self.encode_ahead([c + t for c, t in pairs] + [c.rstrip() for c, _ in pairs])
        encoded = []
        for context, continuation in pairs:
            ids, text = self._encode_pair(context, continuation) if context else ([], self.tok_encode(continuation))
            # A continuation that begins with the separator has its context already.
            if not ids and text[:1] == [self.prefix_token_id]:
                ids, text = text[:1], text[1:]
            elif not ids:
                ids = [self.prefix_token_id]
            encoded.append((ids, text))
        self.forget_encoded()
        return encoded

    # ---- loglikelihoods ----------------------------------------------------------------------

    def loglikelihood(self, requests, disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        pairs = [request.args for request in requests]
        tokens = self.encode_pairs(pairs)
        return self._loglikelihood_tokens(
            [(pair, *ids) for pair, ids in zip(pairs, tokens, strict=True)], disable_tqdm=disable_tqdm
        )

    def _loglikelihood_tokens(self, requests, disable_tqdm: bool = False, **kwargs) -> list[tuple[float, bool]]:
        items = [self._fitted(context, text) for _, context, text in requests]
        answers: list[tuple[float, bool] | None] = [None] * len(requests)

        def keep(i: int, answer: tuple[float, bool]) -> None:
            answers[i] = answer
            if requests[i][0] is not None:
                self.cache_hook.add_partial("loglikelihood", requests[i][0], answer)

        # Neighbours share as much of their beginnings as possible, which the module then computes once.
        order = sorted(range(len(items)), key=lambda i: items[i].context + items[i].text)
        self._score(items, order, keep, "Running loglikelihood requests", disable_tqdm)
        return answers

    def _fitted(self, context: list[int], text: list[int]) -> ScoreItem:
        """Cuts a context that is too long from the left, as the harness's own models do."""
        most = self.session.info.context_length
        if not text:
            raise EvaluationError("invalid-argument", "A continuation has no tokens.", "Correct the task.")
        if len(text) > self.max_length:
            message = f"A continuation of {len(text)} tokens does not fit the context of {most}."
            raise EvaluationError("invalid-argument", message, "Raise context_length, or leave the task out.")
        return ScoreItem(context[-(most - len(text)) :], text)

    def loglikelihood_rolling(self, requests, disable_tqdm: bool = False) -> list[float]:
        texts = [request.args[0] for request in requests]
        self.encode_ahead(texts)
        items, owners = [], []
        for document, text in enumerate(texts):
            windows = get_rolling_token_windows(
                self.tok_encode(text), prefix_token=self.prefix_token_id, max_seq_len=self.max_length, context_len=1
            )
            for context, scored in map(make_disjoint_window, windows):
                items.append(ScoreItem(context, scored))
                owners.append(document)
        self.forget_encoded()
        sums: list[list[float]] = [[] for _ in texts]
        missing = Counter(owners)

        def keep(i: int, answer: tuple[float, bool]) -> None:
            document = owners[i]
            sums[document].append(answer[0])
            missing[document] -= 1
            if missing[document] == 0:
                total = math.fsum(sums[document])
                self.cache_hook.add_partial("loglikelihood_rolling", requests[document].args, total)

        self._score(items, list(range(len(items))), keep, "Running rolling windows", disable_tqdm)
        # fsum: the windows may get ready in any order, and the total is the same.
        return [math.fsum(parts) for parts in sums]

    def _score(
        self,
        items: list[ScoreItem],
        order: list[int],
        keep: Callable[[int, tuple[float, bool]], None],
        label: str,
        disable_tqdm: bool,
    ) -> None:
        """Scores the items in this order and gives each answer to `keep` as soon as it is there."""
        batches = in_batches(items, order, self.batch_size)
        with tqdm(total=len(items), desc=label, disable=disable_tqdm) as bar:
            for number, scores in self.session.score([[items[i] for i in batch] for batch in batches]):
                batch = batches[number]
                if len(scores) != len(batch):
                    raise wrong_count("score", len(scores), len(batch))
                for i, score in zip(batch, scores, strict=True):
                    keep(i, answer_of(items[i], score))
                bar.update(len(batch))

    # ---- text --------------------------------------------------------------------------------

    def generate_until(self, requests, disable_tqdm: bool = False) -> list[str]:
        self.encode_ahead([request.args[0] for request in requests])
        prompts = [completion_of(self, *request.args) for request in requests]
        self.forget_encoded()
        texts: list[str | None] = [None] * len(requests)
        # Neighbours have the same options, so that they can be written at once, and share their beginnings.
        order = sorted(range(len(prompts)), key=lambda i: (json.dumps(prompts[i].options()), prompts[i].prompt))
        with tqdm(total=len(prompts), desc="Running generate_until requests", disable=disable_tqdm) as bar:
            for number, text in self.session.complete(prompts[i] for i in order):
                i = order[number]
                texts[i] = text
                self.cache_hook.add_partial("generate_until", requests[i].args, text)
                bar.update(1)
        return texts


@register_model("tokenformer-web")
class TokenFormerWeb(TokenFormerLM):
    """A model in a headless browser. The README has a table of the arguments, which are those of `BrowserSession`."""

    def __init__(self, model: str = "", batch_size: int | None = None, **options) -> None:
        # A checkpoint of the hub is downloaded once, and kept in a browser profile, quantized.
        if model and not find_model_folder(str(model)):
            options.setdefault("profile", str(default_folder() / "browser"))
        if options.get("revision") is not None:
            options["revision"] = str(options["revision"])  # The harness makes a number of what looks like one.
        super().__init__(open_session(BrowserSession, str(model or ""), options), batch_size)


@register_model("tokenformer-reference")
class TokenFormerReference(TokenFormerLM):
    """The float32 reference on the CPU; arguments are those of `ReferenceSession`."""

    def __init__(self, model: str = "", batch_size: int | None = None, **options) -> None:
        super().__init__(open_session(ReferenceSession, str(model or ""), options), batch_size)


def open_session(kind: type[Session], model: str, options: dict) -> Session:
    known = kind.__init__.__kwdefaults__
    if unknown := sorted(set(options) - set(known)):
        hint = f"Known are model, batch_size, cache, {', '.join(known)}."
        raise EvaluationError("invalid-argument", f"There is no model argument {', '.join(unknown)}.", hint)
    session = kind(model, **options)
    # The harness never says that it is done.
    atexit.register(session.close)
    return session


def checked_batch_size(given: int | str | None) -> int:
    if given is None:
        return BATCH_SIZE
    if not str(given).isdigit() or int(given) < 1:
        raise EvaluationError("invalid-argument", f"batch_size is {given!r}.", "It should be a number from 1.")
    return int(given)


def in_batches(items: list[ScoreItem], order: list[int], size: int) -> list[list[int]]:
    """The order, cut into batches of at most `size` items and, if there is more than one, `BATCH_TOKENS` tokens."""
    batches: list[list[int]] = []
    tokens = 0
    for i in order:
        n = len(items[i].context) + len(items[i].text)
        if not batches or len(batches[-1]) == size or tokens + n > BATCH_TOKENS:
            batches.append([])
            tokens = 0
        batches[-1].append(i)
        tokens += n
    return batches


def answer_of(item: ScoreItem, score: Score) -> tuple[float, bool]:
    """Loglikelihood and whether it is greedy; an answer that cannot be right is an error rather than a number."""
    if len(score.logprobs) != len(item.text):
        raise wrong_count("score", len(score.logprobs), len(item.text))
    for i, logprob in enumerate(score.logprobs):
        if logprob is None or not math.isfinite(logprob) or logprob > 1e-6:
            raise EvaluationError(
                "invalid-result",
                f"Token {i} of {len(item.text)}, after {len(item.context)} others, has the log probability {logprob}.",
                "This is a bug, or a damaged model: please report it with the model's name and the GPU.",
            )
    return math.fsum(score.logprobs), bool(score.is_greedy)


def no_chat_template() -> EvaluationError:
    hint = "Leave out --apply_chat_template, and tasks that need one."
    return EvaluationError("invalid-argument", "TokenFormer's are base models without a chat template.", hint)
