"""llama.py - the llama forward pass in PyTorch, with weights from a GGUF file.

Weights keep GGUF's names and layout (rows, columns; RoPE turns neighbouring pairs).  A model here
is a dict of tensors, so that a little model is a few of the big one's entries.  Invariant: products
are made in the type of the weights, norms and RoPE in float32."""

import gguf
import numpy as np
import torch
import torch.nn.functional as F

LAYER = (
    "attn_norm",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_output",
    "ffn_norm",
    "ffn_gate",
    "ffn_up",
    "ffn_down",
)


class Big:
    """The big model's file: its keys, and tensors as float32."""

    def __init__(self, path):
        self.file = gguf.GGUFReader(path)
        self.tensors = {t.name: t for t in self.file.tensors}
        self.n_layers = self.key("llama.block_count")
        self.n_heads = self.key("llama.attention.head_count")
        self.n_kv = self.key("llama.attention.head_count_kv")
        self.base = self.key("llama.rope.freq_base")
        self.eps = self.key("llama.attention.layer_norm_rms_epsilon")

    def key(self, name):
        return self.file.fields[name].contents()

    def weight(self, name):
        t = self.tensors[name]
        w = gguf.quants.dequantize(t.data, t.tensor_type)
        return torch.from_numpy(np.array(w, dtype=np.float32))

    def layers(self, which):
        """The named layers' weights, renumbered 0, 1, ..., and the final norm."""
        w = {
            f"blk.{i}.{part}.weight": self.weight(f"blk.{j}.{part}.weight")
            for i, j in enumerate(which)
            for part in LAYER
        }
        w["output_norm.weight"] = self.weight("output_norm.weight")
        return w


def norm(x, w, eps):
    return F.rms_norm(x.float(), (x.shape[-1],), w.float(), eps).to(x.dtype)


def angles(n, dim, base):
    inv = base ** (-torch.arange(0, dim, 2, dtype=torch.float64) / dim)
    a = torch.arange(n, dtype=torch.float64)[:, None] * inv[None]
    return a.cos().float(), a.sin().float()


def turn(x, cos, sin):
    """RoPE on neighbouring pairs; x (batch, heads, positions, dim)."""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2).to(x.dtype)


def attend(x, w, p, cfg, cos, sin):
    b, n, _ = x.shape
    q, k, v = (
        F.linear(x, w[f"{p}.attn_{c}.weight"]).view(b, n, heads, -1).transpose(1, 2)
        for c, heads in (("q", cfg.n_heads), ("k", cfg.n_kv), ("v", cfg.n_kv))
    )
    o = F.scaled_dot_product_attention(
        turn(q, cos, sin), turn(k, cos, sin), v, is_causal=True, enable_gqa=True
    )
    return F.linear(o.transpose(1, 2).reshape(b, n, -1), w[f"{p}.attn_output.weight"])


def hidden(w, cfg, x, n_layers):
    """The rows that enter the output head; x (batch, positions, width): embedded tokens from
    position 0 on.  Products are made in w's type."""
    cos, sin = angles(x.shape[1], x.shape[2] // cfg.n_heads, cfg.base)
    for i in range(n_layers):
        p = f"blk.{i}"
        x = x + attend(norm(x, w[f"{p}.attn_norm.weight"], cfg.eps), w, p, cfg, cos, sin)
        h = norm(x, w[f"{p}.ffn_norm.weight"], cfg.eps)
        h = F.silu(F.linear(h, w[f"{p}.ffn_gate.weight"])) * F.linear(h, w[f"{p}.ffn_up.weight"])
        x = x + F.linear(h, w[f"{p}.ffn_down.weight"])
    return norm(x, w["output_norm.weight"], cfg.eps)
