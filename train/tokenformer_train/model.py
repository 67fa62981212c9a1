"""TokenFormer (arXiv 2410.23168) in PyTorch, as the published checkpoints compute it.

LayerNorm without weights before each part, Pattention with l2_norm_gelu, rotary embedding of a quarter of each head,
causal attention, a final LayerNorm with weights, and one table for embedding and output.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

EPSILON = 1e-5
ROTARY_SHARE, ROTARY_BASE = 0.25, 10000.0
KINDS = ("query", "key", "value", "proj")
EMBEDDING = "tied_modules.embed.word_embeddings.weight"
LOSS_PARTS = 4  # the logits of a batch are computed in parts, since all of them together take much memory


@dataclass(frozen=True)
class Shape:
    layers: int
    width: int
    heads: int
    qkv_slots: int
    proj_slots: int
    ffn_slots: int
    vocab: int
    context: int

    @classmethod
    def from_config(cls, config: dict) -> "Shape":
        """From a model folder's config.json."""
        names = ("num_layers", "hidden_size", "num_attention_heads", "qkv_slot_num", "proj_slot_num", "ffn_slot_num")
        return cls(*(config[n] for n in names), config["padded_vocab_size"], config["max_position_embeddings"])

    def to_config(self) -> dict:
        return {
            "model_type": "tokenformer",
            "num_layers": self.layers,
            "hidden_size": self.width,
            "num_attention_heads": self.heads,
            "qkv_slot_num": self.qkv_slots,
            "proj_slot_num": self.proj_slots,
            "ffn_slot_num": self.ffn_slots,
            "padded_vocab_size": self.vocab,
            "max_position_embeddings": self.context,
            "rotary_pct": ROTARY_SHARE,
            "rotary_emb_base": int(ROTARY_BASE),
            "norm_activation_type": "l2_norm_gelu",
            "layernorm_epsilon": EPSILON,
            "tie_word_embeddings": True,
        }


class Pattention(nn.Module):
    """Attention over learned parameter tokens, in place of a linear layer."""

    def __init__(self, width: int, slots: int, layers: int):
        super().__init__()
        self.key_param_tokens = nn.Parameter(torch.randn(slots, width) * 0.02)
        self.value_param_tokens = nn.Parameter(torch.randn(slots, width) * (2 / layers / math.sqrt(width)))

    def forward(self, x):
        scores = x @ self.key_param_tokens.to(x.dtype).t()
        norm = scores.float().pow(2).sum(-1, keepdim=True).clamp_min(1e-30).rsqrt()
        weights = F.gelu(scores * (norm * math.sqrt(scores.shape[-1])).to(scores.dtype))
        return weights @ self.value_param_tokens.to(x.dtype)


class Layer(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.attention = nn.ModuleDict(
            {
                kind: Pattention(shape.width, shape.proj_slots if kind == "proj" else shape.qkv_slots, shape.layers)
                for kind in KINDS
            }
        )
        self.mlp = Pattention(shape.width, shape.ffn_slots, shape.layers)


def rotate(x, cos, sin):
    """Rotary embedding of the first dimensions of x [batch, heads, time, head]; i goes with i + half."""
    turned, rest = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
    a, b = turned.chunk(2, -1)
    return torch.cat((turned * cos + torch.cat((-b, a), -1) * sin, rest), -1)


def attend(q, k, v):
    """Causal attention; the queries are the last of the keys' positions."""
    new, all_ = q.shape[-2], k.shape[-2]
    if new == all_ and hasattr(F, "scaled_dot_product_attention"):
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
    later = torch.ones(new, all_, dtype=torch.bool, device=q.device).triu(all_ - new + 1)
    return scores.masked_fill(later, -math.inf).softmax(-1) @ v


class TokenFormer(nn.Module):
    def __init__(self, shape: Shape):
        super().__init__()
        self.shape = shape
        self.embedding = nn.Parameter(torch.randn(shape.vocab, shape.width) * 0.02)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm_weight = nn.Parameter(torch.ones(shape.width))
        self.norm_bias = nn.Parameter(torch.zeros(shape.width))
        turned = int(shape.width // shape.heads * ROTARY_SHARE)
        frequency = 1.0 / (ROTARY_BASE ** (torch.arange(0, turned, 2).float() / turned))
        angle = torch.outer(torch.arange(shape.context).float(), frequency)
        angle = torch.cat((angle, angle), -1)
        self.register_buffer("cos", angle.cos(), persistent=False)
        self.register_buffer("sin", angle.sin(), persistent=False)

    def memory(self, batch: int = 1) -> list:
        """What `past` is before the first ids."""
        none = torch.zeros(batch, self.shape.heads, 0, self.shape.width // self.shape.heads)
        return [(none, none)] * self.shape.layers

    def hidden(self, ids, past: list | None = None, dtype=torch.float32):
        """What the final LayerNorm gives for each id. `past`, a list, keeps keys and values for the ids to come."""
        x = F.embedding(ids, self.embedding).to(dtype)
        batch, time, width = x.shape
        heads, start = self.shape.heads, past[0][0].shape[-2] if past else 0
        cos, sin = (t[start : start + time].to(dtype) for t in (self.cos, self.sin))

        def split(t):
            return t.view(batch, time, heads, width // heads).transpose(1, 2)

        for i, layer in enumerate(self.layers):
            u = F.layer_norm(x, (width,), eps=EPSILON)
            q, k, v = (split(layer.attention[kind](u)) for kind in ("query", "key", "value"))
            q, k = rotate(q, cos, sin), rotate(k, cos, sin)
            if past is not None:
                k, v = torch.cat((past[i][0], k), -2), torch.cat((past[i][1], v), -2)
                past[i] = (k, v)
            mixed = attend(q, k, v).transpose(1, 2).reshape(batch, time, width)
            x = x + layer.attention["proj"](mixed)
            x = x + layer.mlp(F.layer_norm(x, (width,), eps=EPSILON))
        return F.layer_norm(x, (width,), self.norm_weight.to(dtype), self.norm_bias.to(dtype), EPSILON)

    def forward(self, ids, past: list | None = None):
        return self.hidden(ids, past) @ self.embedding.t()

    def loss(self, ids, dtype=torch.float32):
        """Mean over all ids but the first of each row, in nats."""
        x = self.hidden(ids[:, :-1], dtype=dtype).flatten(0, 1)
        targets, table = ids[:, 1:].flatten(), self.embedding.to(dtype).t()
        total = 0.0
        for part, target in zip(x.chunk(LOSS_PARTS), targets.chunk(LOSS_PARTS), strict=True):
            total = total + F.cross_entropy((part @ table).float(), target, reduction="sum")
        return total / targets.numel()

    # ---- The published names ---------------------------------------------------------------------

    def published_names(self) -> dict[str, nn.Parameter]:
        """Parameters under the names that a GPT-NeoX pipeline module saves."""
        out = {EMBEDDING: self.embedding}
        for i, layer in enumerate(self.layers):
            parts = {f"attention.{kind}": layer.attention[kind] for kind in KINDS} | {"mlp": layer.mlp}
            for name, part in parts.items():
                out[f"{i + 2}.{name}.key_param_tokens"] = part.key_param_tokens
                out[f"{i + 2}.{name}.value_param_tokens"] = part.value_param_tokens
        last = self.shape.layers + 3
        out[f"{last}.norm.weight"], out[f"{last}.norm.bias"] = self.norm_weight, self.norm_bias
        return out

    def load_published(self, state: dict[str, torch.Tensor]):
        own = self.published_names()
        if set(own) != set(state):
            raise ValueError(
                f"The checkpoint has other tensors than its config.json: {sorted(set(own) ^ set(state))[:4]}"
            )
        with torch.no_grad():
            for name, parameter in own.items():
                parameter.copy_(state[name])
