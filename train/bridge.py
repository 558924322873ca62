"""bridge.py - the full pass whose rows a bridge reads, and the bridged pass that drafts, in
PyTorch.

A bridged pass makes k rows out of what the full model kept, and takes them through its last layers
(s..L-1), whose products low-rank adapters change.  Rows of the residual stream and norms are
float32; the model's products are made in the type of its weights.
Invariant: only the draft's own tensors get gradients, so everything of the full pass can be
kept."""

import numpy as np
import torch
import torch.nn.functional as F

import llama

STAGES = ("qkv", "out", "gate_up", "down")  # a layer's products, as the engine has them
PARTS = {"qkv": ("attn_q", "attn_k", "attn_v"), "out": ("attn_output",),
         "gate_up": ("ffn_gate", "ffn_up"), "down": ("ffn_down",)}
flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


# ---- the big model ----


class Frozen:
    """The big model's weights, the matrices that one product takes put together."""

    def __init__(self, path, dtype, device="cpu"):
        self.big = big = llama.Big(path)
        self.n_layers, self.eps, self.base = big.n_layers, big.eps, big.base
        self.n_heads, self.n_kv, self.dtype, self.device = big.n_heads, big.n_kv, dtype, device
        self.embd = big.weight("token_embd.weight").to(device)
        self.width = self.embd.shape[1]
        self.dim = self.width // self.n_heads
        self.layers = [self.layer(i) for i in range(self.n_layers)]
        self.norm = big.weight("output_norm.weight").to(device)
        a = np.arange(4096)[:, None] * self.base ** (-np.arange(0, self.dim, 2) / self.dim)
        self.angles = torch.from_numpy(np.exp(1j * a).astype(np.complex64)).to(device)

    def layer(self, i):
        get = lambda name: self.big.weight(f"blk.{i}.{name}.weight").to(self.device)
        w = {stage: torch.cat([get(p) for p in PARTS[stage]]).to(self.dtype) for stage in STAGES}
        w["attn_norm"], w["ffn_norm"] = get("attn_norm"), get("ffn_norm")
        return w

    def head(self, ids=None):
        """Rows of the output matrix."""
        name = "output.weight" if "output.weight" in self.big.tensors else "token_embd.weight"
        w = self.embd if name == "token_embd.weight" else self.big.weight(name).to(self.device)
        return (w if ids is None else w[ids]).to(self.dtype)


def norm(x, w, cfg):
    return Norm.apply(x, w, cfg.eps).to(cfg.dtype)


@torch.no_grad()
def full_pass(cfg, ids, rows, kept, out):
    """One teacher-forced pass over ids (conversations, positions).  out(l, row) gets the rows that
    enter the layers in `rows`, and out(l, (k, v)) the keys and values of those in `kept`; the pass
    stops behind the last layer that anything is wanted of."""
    x = cfg.embd[ids]
    b, n, _ = x.shape
    turn = cfg.angles[:n, None]
    for l in range(max([*rows, *kept]) + 1):
        if l in rows:
            out(l, x)
        w = cfg.layers[l]
        qkv = F.linear(norm(x, w["attn_norm"], cfg), w["qkv"]).view(b, n, -1, cfg.dim)
        qk = Turn.apply(qkv[:, :, : -cfg.n_kv], turn).transpose(1, 2)
        q, k, v = qk[:, : cfg.n_heads], qk[:, cfg.n_heads :], qkv[:, :, -cfg.n_kv :].transpose(1, 2)
        if l in kept:
            out(l, (k, v))
        if l == max([*rows, *kept]):
            return
        o = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + F.linear(o.transpose(1, 2).reshape(b, n, -1), w["out"])
        h = F.linear(norm(x, w["ffn_norm"], cfg), w["gate_up"])
        x = x + F.linear(Gate.apply(h), w["down"])


# ---- pieces with gradients by hand: fewer passes over the memory than autograd's own ----


class Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, eps):
        scale = torch.rsqrt(x.square().mean(-1, keepdim=True) + eps)
        ctx.save_for_backward(x, w, scale)
        return x * scale * w

    @staticmethod
    def backward(ctx, g):
        x, w, scale = ctx.saved_tensors
        g = g * w
        along = (g * x).mean(-1, keepdim=True) * scale.square()
        return (g - x * along) * scale, None, None


class Gate(torch.autograd.Function):
    """silu(gate) * up, out of both side by side."""

    @staticmethod
    def forward(ctx, h):
        ctx.save_for_backward(h)
        gate, up = h.chunk(2, -1)
        return F.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx, g):
        (h,) = ctx.saved_tensors
        gate, up = h.chunk(2, -1)
        out = torch.empty_like(h)
        to_gate, to_up = out.chunk(2, -1)
        s = gate.sigmoid()
        silu = s * gate
        torch.mul(g, silu, out=to_up)
        torch.addcmul(s, silu, 1 - s, out=to_gate)
        to_gate.mul_(up).mul_(g)
        return out


class Turn(torch.autograd.Function):
    """RoPE on neighbouring pairs: x (..., heads, dim) times the angles as complex numbers."""

    @staticmethod
    def forward(ctx, x, by):
        ctx.save_for_backward(by)
        pairs = torch.view_as_complex(x.float().unflatten(-1, (-1, 2)))
        return torch.view_as_real(pairs * by).flatten(-2).to(x.dtype)

    @staticmethod
    def backward(ctx, g):
        (by,) = ctx.saved_tensors
        return Turn.apply(g, by.conj()), None


class Adapted(torch.autograd.Function):
    """W x + up (down x), W frozen."""

    @staticmethod
    def forward(ctx, x, w, down, up):
        t = F.linear(x, down)
        ctx.save_for_backward(x, t, w, down, up)
        return F.linear(x, w).addmm_(t, up.T)

    @staticmethod
    def backward(ctx, g):
        x, t, w, down, up = ctx.saved_tensors
        gt = g @ up
        return (g @ w).addmm_(gt, down), None, gt.T @ x, g.T @ t


class Attend(torch.autograd.Function):
    """Rows q (kv heads, positions, k, heads per kv head, dim) over the full model's keys and values
    before each position and the keys and values of rows 0..o of its own group (kv heads, positions,
    k, dim).  `past` holds for each conversation the range of its positions, K, V and a mask.
    The two parts are joined by their sums' logarithms; the kernel's backward, given what was
    joined, makes the exact gradient of its part."""

    @staticmethod
    def forward(ctx, q, k, v, past):
        scale = q.shape[-1] ** -0.5
        o, lse = map(lambda t: torch.cat(t, 1), zip(*(over(q, *p) for p in past)))
        own = (q.float().flatten(2, 3) @ k.float().transpose(-1, -2)).mul_(scale)
        own = own.unflatten(2, q.shape[2:4]).masked_fill(later(q.shape[2], q.device), -torch.inf)
        total = torch.logaddexp(lse, own.logsumexp(-1))
        own = own.sub_(total[..., None]).exp_()
        o = o.float().mul_((lse - total).exp_()[..., None])
        o += (own.flatten(2, 3) @ v.float()).view_as(o)
        o = o.to(q.dtype)
        ctx.save_for_backward(q, k, v, o, total, own)
        ctx.past = past
        return o

    @staticmethod
    def backward(ctx, g):
        q, k, v, o, total, own = ctx.saved_tensors
        scale = q.shape[-1] ** -0.5
        g = g.contiguous()
        gq = torch.cat([over_backward(g, q, o, total, *p) for p in ctx.past], 1).float()
        gf, qf = g.float(), q.float().flatten(2, 3)
        d = (gf.flatten(2, 3) @ v.float().transpose(-1, -2)).view_as(own)
        d = d.sub_((gf * o).sum(-1, keepdim=True)).mul_(own).mul_(scale).flatten(2, 3)
        gq += (d @ k.float()).view_as(gq)
        gk = d.transpose(-1, -2) @ qf
        gv = own.flatten(2, 3).transpose(-1, -2) @ gf.flatten(2, 3)
        return gq.to(q.dtype), gk.to(q.dtype), gv.to(q.dtype), None


def later(k, device):
    o = torch.arange(k, device=device)
    return (o[None] > o[:, None])[:, None]


def over(q, at, k, v, mask):
    """The part of the attention that is over one conversation's past, and its logarithm."""
    part = q[:, at]
    o, lse = flash(part.flatten(1, 3)[None], k[None], v[None], 0.0, False, attn_mask=mask)
    return o[0].unflatten(1, part.shape[1:4]), lse[0].unflatten(1, part.shape[1:4])


def over_backward(g, q, o, total, at, k, v, mask):
    flat = lambda t: t[:, at].flatten(1, 3)[None]
    gq, _, _ = flash_backward(flat(g), flat(q), k[None], v[None], flat(o), flat(total), 0.0, False,
                              attn_mask=mask)
    return gq[0].unflatten(1, q[:, at].shape[1:4])


# ---- the draft ----


def start_adapters(cfg, layers, rank, seed):
    """Adapters that change nothing yet."""
    make, w = torch.Generator().manual_seed(seed), {}
    for l in layers:
        for stage in STAGES:
            n_out, n_in = cfg.layers[l][stage].shape
            w[f"blk.{l}.{stage}.down"] = torch.randn(rank, n_in, generator=make) * n_in**-0.5
            w[f"blk.{l}.{stage}.up"] = torch.zeros(n_out, rank)
    return w


def product(cfg, w, l, stage, x):
    down = w.get(f"blk.{l}.{stage}.down")
    if down is None:
        return F.linear(x, cfg.layers[l][stage])
    return Adapted.apply(x, cfg.layers[l][stage], down, w[f"blk.{l}.{stage}.up"])


def layer(cfg, w, l, x, turn, past):
    """x (positions, k, width) through layer l."""
    p, k, _ = x.shape
    qkv = product(cfg, w, l, "qkv", norm(x, cfg.layers[l]["attn_norm"], cfg).flatten(0, 1))
    qkv = qkv.view(p, k, -1, cfg.dim)
    qk = Turn.apply(qkv[:, :, : -cfg.n_kv], turn)
    q = qk[:, :, : cfg.n_heads].unflatten(2, (cfg.n_kv, -1)).permute(2, 0, 1, 3, 4)
    kv = [t.permute(2, 0, 1, 3) for t in (qk[:, :, cfg.n_heads :], qkv[:, :, -cfg.n_kv :])]
    o = Attend.apply(q.contiguous(), *kv, past).permute(1, 2, 0, 3, 4).reshape(p * k, -1)
    x = x + product(cfg, w, l, "out", o).view_as(x)
    h = product(cfg, w, l, "gate_up", norm(x, cfg.layers[l]["ffn_norm"], cfg).flatten(0, 1))
    return x + product(cfg, w, l, "down", Gate.apply(h)).view_as(x)


def through(cfg, w, layers, x, batch):
    turn = cfg.angles[batch.position[:, None] + torch.arange(x.shape[1], device=x.device)]
    for l in layers:
        x = layer(cfg, w, l, x, turn[:, :, None], batch.past(l))
    return x


def draft(cfg, w, shape, batch):
    """The rows that enter the output matrix, (positions, k, width)."""
    f = batch.features.float()
    if shape.form == "bridge":
        x = F.linear(f / w["scale"], w["bridge.weight"], w["bridge.bias"])
        x = x.view(len(f), shape.k, cfg.width)
    else:
        masks = w["masks"].expand(len(f), -1, -1)
        x = torch.cat((f[:, None, : cfg.width], masks), 1)
        x = through(cfg, w, range(shape.a), x, batch)
    x = through(cfg, w, range(shape.s, cfg.n_layers), x, batch)
    return norm(x, cfg.norm, cfg)
