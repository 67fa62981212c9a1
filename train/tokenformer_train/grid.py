"""The grids on which this project stores quantized tables, as `src/checkpoint/quantize.rs` has them.

Groups of 32 elements along the axis that a product reduces over (keys: the width; values: the slots; embedding: the
width), a float16 scale for each, integers of 4 or 8 bits. Of a few scales the one with the least squared error counts.
"""

import torch
import torch.nn.functional as F

GROUP = 32
DIVISORS = {4: (6.5, 7.0, 7.5, 8.0, 8.6, 9.4), 8: (127.0,)}


def nearest(x, scale, bits: int):
    """The nearest integers of a grid, as floats."""
    inverse = torch.where(scale > 0, 1.0 / scale, torch.zeros_like(scale))
    return (x * inverse).clamp(-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1).round()


def rounded_groups(x, bits: int):
    """Groups [..., 32] with each element at the grid's nearest value."""

    def try_scale(scale):
        integers = nearest(x, scale, bits)
        return integers, (x - integers * scale).pow(2).sum(-1, keepdim=True)

    largest = x.abs().amax(-1, keepdim=True)
    best = (largest / DIVISORS[bits][0]).half().float()
    integers, error = try_scale(best)
    for divisor in DIVISORS[bits][1:]:
        scale = (largest / divisor).half().float()
        other, other_error = try_scale(scale)
        better = other_error < error
        best, integers = torch.where(better, scale, best), torch.where(better, other, integers)
        error = torch.where(better, other_error, error)
    # The least-squares scale for the integers found.
    squares = integers.pow(2).sum(-1, keepdim=True)
    scale = ((x * integers).sum(-1, keepdim=True) / squares.clamp_min(1e-30)).half().float()
    other, other_error = try_scale(scale)
    better = (other_error < error) & (squares > 0)
    return torch.where(better, other * scale, integers * best)


def rounded(table, bits: int, axis: int = -1):
    """A table's values as they are stored, with groups along `axis`; leading dimensions are a batch."""
    x = table if axis == -1 else table.transpose(-1, -2)
    columns = x.shape[-1]
    padded = F.pad(x, (0, -columns % GROUP))
    groups = padded.reshape(*padded.shape[:-1], -1, GROUP)
    out = rounded_groups(groups, bits).reshape(padded.shape)[..., :columns]
    return out if axis == -1 else out.transpose(-1, -2)


def quantized(state: dict[str, torch.Tensor], layers: int, embedding: int) -> dict[str, torch.Tensor]:
    """A published state dict with its tables at so many bits (16: as they are)."""
    out = {}
    for name, tensor in state.items():
        bits = embedding if "embed" in name else layers
        if "norm" in name or bits == 16:
            out[name] = tensor.float()
        else:
            out[name] = rounded(tensor.float(), bits, -2 if "value_param" in name else -1)
    return out
