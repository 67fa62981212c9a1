"""The optimizers, on weights that lie one after the other in one tensor.

A model's parameters are views of `used`; `weights` are what training changes. Both are the same, but for the steps in
which the model computes with rounded weights: then gradients of the rounded ones change the exact ones.
"""

import math

import torch

from .grid import rounded

MOMENTUM, DECAY = 0.95, 0.1
BETA1, BETA2, EMBEDDING_DECAY, EPSILON = 0.9, 0.95, 0.02, 1e-10


def orthogonal(x, half: bool):
    """Roughly the nearest orthogonal matrices, by five Newton-Schulz steps."""
    if half:
        x = x.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.transpose(-1, -2)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.transpose(-1, -2)
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * (a @ a)) @ x
    return x.transpose(-1, -2) if tall else x


class Bank:
    """Tables of one shape and one axis of rounding, as [count, rows, columns] of the flat tensors."""

    def __init__(self, begin: int, count: int, shape: tuple[int, int], axis: int):
        self.begin, self.end, self.shape = begin, begin + count * shape[0] * shape[1], (count, *shape)
        self.axis = axis

    def of(self, flat):
        return flat[self.begin : self.end].view(self.shape)


class Optimizer:
    """Muon for the parameter tokens, AdamW for embedding and norm."""

    def __init__(self, model, compiled: bool):
        named = model.published_names()
        tables: dict[tuple, list] = {}
        for name, p in named.items():
            if "param_tokens" in name:
                tables.setdefault((tuple(p.shape), -2 if "value_param" in name else -1), []).append(p)
        self.rest = [p for name, p in named.items() if "param_tokens" not in name]
        total = sum(p.numel() for p in named.values())
        device = self.rest[0].device
        self.half = device.type == "cuda"
        self.weights = torch.empty(total, device=device)
        self.used, self.gradients = torch.empty_like(self.weights), torch.zeros_like(self.weights)
        at, self.banks = 0, []
        for (shape, axis), parameters in tables.items():
            self.banks.append(Bank(at, len(parameters), shape, axis))
            for p in parameters:
                at = self.adopt(p, at)
        self.rest_at = at
        for p in self.rest:
            at = self.adopt(p, at)
        self.momentum = torch.zeros(self.rest_at, device=device)
        self.first, self.second = (torch.zeros(total - self.rest_at, device=device) for _ in range(2))
        self.embedding_end = self.rest_at + self.rest[0].numel()
        self.steps = 0
        compile_ = torch.compile if compiled else (lambda f, **_: f)
        self.orthogonal = compile_(orthogonal, dynamic=False)
        self.rounded = compile_(rounded, dynamic=False)

    def adopt(self, p, at: int) -> int:
        end = at + p.numel()
        self.weights[at:end] = p.detach().flatten()
        self.used[at:end] = self.weights[at:end]
        p.data = self.used[at:end].view_as(p)
        p.grad = self.gradients[at:end].view_as(p)
        return end

    @torch.no_grad()
    def warm_up(self):
        """Compiles what will be needed later."""
        for bank in self.banks:
            x = torch.randn(bank.shape, device=self.weights.device)
            self.orthogonal(x, self.half)
            self.rounded(x, 4, bank.axis)
        self.rounded(self.rest[0].detach(), 8, -1)

    @torch.no_grad()
    def step(self, rate: float, embedding_rate: float):
        rest = self.gradients[self.rest_at :]
        rest.mul_((1.0 / rest.norm().clamp_min(1e-12)).clamp_max(1.0))  # to a norm of at most 1
        for bank in self.banks:
            gradient, momentum, weights = bank.of(self.gradients), bank.of(self.momentum), bank.of(self.weights)
            momentum.lerp_(gradient, 1 - MOMENTUM)
            update = self.orthogonal(gradient.lerp(momentum, MOMENTUM), self.half).float()
            weights.mul_(1 - rate * DECAY).add_(update, alpha=-rate * 0.2 * math.sqrt(max(bank.shape[1:])))
        self.steps += 1
        self.first.lerp_(rest, 1 - BETA1)
        self.second.lerp_(rest.pow(2), 1 - BETA2)
        mean = self.first / (1 - BETA1**self.steps)
        spread = (self.second / (1 - BETA2**self.steps)).sqrt_().add_(EPSILON)
        self.weights[self.rest_at : self.embedding_end].mul_(1 - embedding_rate * EMBEDDING_DECAY)
        self.weights[self.rest_at :].addcdiv_(mean, spread, value=-embedding_rate)
        self.gradients.zero_()

    @torch.no_grad()
    def use(self, round_tables: bool):
        """Gives the model the weights, exact or as they will be stored (q4: embedding at 8 bits)."""
        self.used.copy_(self.weights)
        if round_tables:
            for bank in self.banks:
                bank.of(self.used).copy_(self.rounded(bank.of(self.weights), 4, bank.axis))
            begin, end = self.rest_at, self.embedding_end
            exact = self.weights[begin:end].view_as(self.rest[0])
            self.used[begin:end].view_as(self.rest[0]).copy_(self.rounded(exact, 8, -1))

    def state(self) -> dict:
        names = ("weights", "momentum", "first", "second")
        return {name: getattr(self, name).cpu() for name in names} | {"steps": self.steps}

    def load(self, state: dict):
        for name in ("weights", "momentum", "first", "second"):
            getattr(self, name).copy_(state[name])
        self.steps = state["steps"]
        self.use(False)
