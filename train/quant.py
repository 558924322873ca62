"""quant.py - the types of a little model's matrices, and rounding to them while it trains.

Invariant: straight_through gives to the bit what gguf.quants.quantize stores (a test holds it)."""

import torch

LAYERS, HEAD = "Q4_1", "Q4_1"


def kind(name):
    """The type that the file stores this tensor in."""
    if "norm" in name:
        return "F32"
    return HEAD if name == "output.weight" else LAYERS


def q4_1(w):
    b = w.unflatten(-1, (-1, 32))
    low, high = b.aminmax(dim=-1, keepdim=True)
    d = (high - low) / 15
    q = torch.where(d == 0, 0, (b - low) / d + 0.5).trunc().clamp(0, 15)
    return (q * d.half().float() + low.half().float()).flatten(-2)


def q4_0(w):
    b = w.unflatten(-1, (-1, 32))
    at = b.abs().argmax(-1, keepdim=True)
    d = b.gather(-1, at) / -8
    q = torch.where(d == 0, 0, b / d + 8.5).trunc().clamp(0, 15)
    return ((q - 8) * d.half().float()).flatten(-2)


def q8_0(w):
    b = w.unflatten(-1, (-1, 32))
    d = b.abs().amax(-1, keepdim=True) / 127
    q = torch.where(d == 0, 0, b / d)
    q = (q.abs() + 0.5).floor() * q.sign()
    return (q * d.half().float()).flatten(-2)


ROUND = {"F32": lambda w: w, "Q4_1": q4_1, "Q4_0": q4_0, "Q8_0": q8_0}


def straight_through(name, w):
    """w rounded to its type; the gradient passes as if it were not."""
    with torch.no_grad():
        delta = ROUND[kind(name)](w) - w
    return w + delta
