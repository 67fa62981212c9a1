"""SmolLM2 Instruct from its GGUF file in PyTorch: the tokenizer, and one step of decoding for many answers at once.

The step consists of operations of fixed shape, so that a CUDA graph can hold it; finished answers are replaced by new
prompts between steps. `kernels.py` has faster versions of its small operations for NVIDIA GPUs.
"""

import math

import torch
import torch.nn.functional as F
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

END_OF_TEXT, START_OF_TURN, END_OF_TURN = 0, 1, 2
SYSTEM = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
PREFIX = f"<|im_start|>system\n{SYSTEM}<|im_end|>\n<|im_start|>user\n"

# A penalty on the last tokens, and a growing one on tokens that would continue a repeat of 2, 3, 4, 5, 6 tokens:
# without them a small model loops.
RECENT = 96
REPEATS = (0.0, 0.4, 1.0, 1.5, 2.0)
# An answer does not end before it has so many tokens; once it is as long as it should be, ending grows likelier with
# every token.
LEAST_LENGTH, NOT_YET = 45, -30.0
ENDING_SLOPE, ENDING_MOST = 0.08, 6.0


def chat(request: str, beginning: str) -> str:
    """A prompt for an answer that has to begin with `beginning`."""
    return f"{PREFIX}{request}<|im_end|>\n<|im_start|>assistant\n{beginning}"


def tokenizer(values: dict) -> Tokenizer:
    """The tokenizer that a GGUF file's values describe: digits one by one, then GPT-2's byte-level BPE."""
    tokens = values["tokenizer.ggml.tokens"]
    merges = [tuple(m.split(" ")) for m in values["tokenizer.ggml.merges"]]
    out = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    out.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    out.decoder = decoders.ByteLevel()
    control = [t for t, kind in zip(tokens, values["tokenizer.ggml.token_type"], strict=True) if kind == 3]
    out.add_special_tokens([AddedToken(t, special=True) for t in control])
    return out


class Teacher:
    def __init__(self, values: dict, weights: dict[str, torch.Tensor], device: str, dtype: torch.dtype):
        get = lambda name: values["llama." + name]  # noqa: E731
        self.layers_count, self.width = get("block_count"), get("embedding_length")
        self.heads, self.kv_heads = get("attention.head_count"), get("attention.head_count_kv")
        self.head = self.width // self.heads
        self.base, self.epsilon = get("rope.freq_base"), get("attention.layer_norm_rms_epsilon")
        self.device, self.dtype = device, dtype

        def place(w):
            return w.to(device, dtype).contiguous()

        def halves(w, heads):  # llama.cpp stores rotary pairs side by side; here they are half a head apart
            return w.reshape(heads, self.head // 2, 2, self.width).transpose(1, 2).reshape(heads * self.head, -1)

        self.layers = []
        for i in range(self.layers_count):
            w = lambda name, i=i: weights[f"blk.{i}.{name}.weight"]  # noqa: E731
            q, k = halves(w("attn_q"), self.heads), halves(w("attn_k"), self.kv_heads)
            self.layers.append(
                {
                    "norm1": place(w("attn_norm")),
                    "norm2": place(w("ffn_norm")),
                    "qkv": place(torch.cat([q, k, w("attn_v")]).t()),
                    "out": place(w("attn_output").t()),
                    "gate_up": place(torch.cat([w("ffn_gate"), w("ffn_up")]).t()),
                    "down": place(w("ffn_down").t()),
                }
            )
        self.ffn = weights["blk.0.ffn_up.weight"].shape[0]
        self.embedding = place(weights["token_embd.weight"])
        self.norm = place(weights["output_norm.weight"])

    def allocate(self, slots: int, length: int):
        """Room for `slots` answers of at most `length` tokens, prompts included."""
        self.slots, self.length = slots, length

        def zeros(*shape, dtype=torch.long):
            return torch.zeros(*shape, dtype=dtype, device=self.device)

        def floats(value):
            return torch.full((slots, 1), value, dtype=torch.float32, device=self.device)

        self.keys = zeros(self.layers_count, slots, self.kv_heads, length, self.head, dtype=self.dtype)
        self.values = torch.zeros_like(self.keys)
        frequency = 1.0 / (self.base ** (torch.arange(0, self.head, 2).float() / self.head))
        angle = torch.outer(torch.arange(length).float(), frequency)
        self.cos, self.sin = angle.cos().to(self.device), angle.sin().to(self.device)
        self.tokens, self.position = zeros(slots, length), zeros(slots)
        self.given, self.limit, self.enough = zeros(slots) + 1, zeros(slots) + 2, zeros(slots) + 2
        self.done = zeros(slots, dtype=torch.bool)
        self.temperature, self.log_min_p, self.penalty = floats(1.0), floats(math.log(0.05)), floats(1.0)
        self.slot = torch.arange(slots, device=self.device)
        self.place = torch.arange(length, device=self.device)[None]
        self.recent = torch.arange(RECENT, device=self.device)[None]
        self.draws = zeros(1, dtype=torch.int32)
        self.log_prob = zeros(slots, dtype=torch.float32)  # of what was written, added up

    # ---- Operations that kernels.py replaces -----------------------------------------------------

    def attend(self, layer: int, qkv):
        h, kv, d, at = self.heads, self.kv_heads, self.head, self.position
        q, k, v = qkv.split([h * d, kv * d, kv * d], -1)
        cos, sin = self.cos[at][:, None], self.sin[at][:, None]

        def rotate(x, heads):
            a, b = x.view(-1, heads, d).float().chunk(2, -1)
            return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(self.dtype)

        self.keys[layer][self.slot, :, at] = rotate(k, kv)
        self.values[layer][self.slot, :, at] = v.view(-1, kv, d)
        n = int(at.max()) + 1
        q = rotate(q, h).view(-1, kv, h // kv, d)
        scores = (q @ self.keys[layer][:, :, :n].transpose(-1, -2)).float() / math.sqrt(d)
        later = torch.arange(n, device=self.device) > at[:, None, None, None]
        weights = scores.masked_fill(later, -math.inf).softmax(-1).to(self.dtype)
        return (weights @ self.values[layer][:, :, :n]).reshape(-1, h * d)

    def normalize(self, x, weight):
        f = x.float()
        return (f * torch.rsqrt(f.pow(2).mean(-1, keepdim=True) + self.epsilon)).to(x.dtype) * weight

    def activate(self, gate_up):
        gate, up = gate_up.chunk(2, -1)
        return F.silu(gate) * up

    def draw(self, logits):
        """A token of those that are likely enough (min-p), and its log-probability."""
        z = logits.float() / self.temperature
        most = z.amax(-1, keepdim=True)
        weight = torch.where(z >= most + self.log_min_p, (z - most).exp(), torch.zeros_like(z))
        token = (weight / torch.empty_like(weight).exponential_()).argmax(-1)
        return token, logits.float().log_softmax(-1).gather(1, token[:, None])[:, 0]

    # ---- One step --------------------------------------------------------------------------------

    def logits(self, tokens):
        x = self.embedding[tokens]
        for i, w in enumerate(self.layers):
            x = torch.addmm(x, self.attend(i, self.normalize(x, w["norm1"]) @ w["qkv"]), w["out"])
            x = torch.addmm(x, self.activate(self.normalize(x, w["norm2"]) @ w["gate_up"]), w["down"])
        return self.normalize(x, self.norm) @ self.embedding.t()

    def adjust(self, logits):
        """Lowers what would repeat, and raises the end of an answer that is long enough; in place."""
        at = self.position[:, None]
        before = at - self.recent
        token = self.tokens.gather(1, before.clamp_min(0))
        value = logits.gather(1, token).float()
        lower = torch.where(value > 0, value / self.penalty, value * self.penalty)
        text = (before >= 0) & (token > END_OF_TURN)
        logits.scatter_(1, token, torch.where(text, lower, value).to(logits.dtype))
        match = self.place <= at
        lower = torch.zeros(self.slots, self.length, device=self.device)
        for k in range(len(REPEATS) + 1):  # place i counts if tokens i−1, i−2, … equal the newest ones
            shifted = F.pad(self.tokens, (k + 1, 0), value=-1)[:, : self.length]
            match = match & (shifted == self.tokens.gather(1, (at - k).clamp_min(0)))
            if k:
                lower = lower - REPEATS[k - 1] * match
        logits.scatter_add_(1, self.tokens, lower.to(logits.dtype))
        ending = ((self.position - self.enough).float() * ENDING_SLOPE).clamp(0.0, ENDING_MOST)
        ending = torch.where(self.position < self.given + LEAST_LENGTH, torch.full_like(ending, NOT_YET), ending)
        logits[:, END_OF_TURN].add_(ending.to(logits.dtype))
        return logits

    def step(self):
        """The next token of every answer that is not done, or of its prompt."""
        token = self.tokens.gather(1, self.position[:, None])[:, 0]
        drawn, log_prob = self.draw(self.adjust(self.logits(token)))
        following = self.position + 1
        keep = (following < self.given) | self.done
        old = self.tokens.gather(1, following[:, None])[:, 0]
        self.log_prob.add_(torch.where(keep, torch.zeros_like(log_prob), log_prob))
        new = torch.where(keep, old, drawn)
        self.tokens.scatter_(1, following[:, None], new[:, None])
        finished = (following >= self.given) & ((new <= END_OF_TURN) | (following >= self.limit))
        self.position.copy_(torch.where(self.done | finished, self.position, following))
        self.done.logical_or_(finished)
        self.draws.add_(1)
