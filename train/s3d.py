#!/usr/bin/env python3
"""s3d.py - trains a bridge and adapters, with which a model drafts for itself (a sidecar file).

    s3d.py MODEL.gguf RUN CHATS... [--fit-only] [--positions N] [--minutes M] ...
The bridge begins as the closed form (fit.py); then it and low-rank adapters of the last layers
learn the model's opinion of its own answers.  RUN/state.pt is everything: a run goes on from
there, and
RUN/s3d.gguf is the best so far.  CHATS (train/selfchat) may still grow.

--form mask is another form, to compare with: rows 1..k-1 are trained embeddings behind the pending
token, go through layers 0..a-1 like it, and skip a..s-1 by the residual alone; no bridge."""

import argparse
import ctypes
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F

import bridge
import fit
import kept
import sidecar

CHUNK = 64  # positions whose logits exist at a time: they stay in the cache


class HeadLoss(torch.autograd.Function):
    """Sum over positions and rows of weight * sum_j p[j] * -log softmax(W h)[index[j]], and the
    rows' chances of the likeliest token.  The gradient is made on the way.  A row counts as much as
    its weight says and as the rows before it are likely to hold: without them it is never used."""

    @staticmethod
    def forward(ctx, h, w, batch, weights):
        grad, loss, sure = torch.empty_like(h), 0.0, []
        for at in range(0, len(h), CHUNK):
            part = slice(at, at + CHUNK)
            index, best = batch.index[part], batch.best[part]
            logits = F.linear(h[part].flatten(0, 1), w).float().view(*best.shape, -1)
            lse = logits.logsumexp(-1, keepdim=True)
            chance = (logits.gather(2, best.clamp(min=0)[..., None]) - lse)[..., 0].exp()
            chance *= best >= 0
            p = batch.p[part] * (weights * before(chance))[..., None]
            mass = p.sum(-1, keepdim=True)
            loss += (mass * lse).sum() - (p * logits.gather(2, index)).sum()
            d = logits.sub_(lse).exp_().mul_(mass).scatter_add_(2, index, -p)
            grad[part] = (d.to(h.dtype).flatten(0, 1) @ w).view_as(h[part])
            sure.append(chance)
        ctx.save_for_backward(grad)
        ctx.mark_non_differentiable(sure := torch.cat(sure))
        return loss, sure

    @staticmethod
    def backward(ctx, g, _):
        (grad,) = ctx.saved_tensors
        return grad * g.to(grad.dtype), None, None, None


def before(chance):
    """For every row the square root of the chance that all rows before it hold."""
    run = chance[:, :-1].cumprod(1).sqrt()
    return torch.cat((torch.ones_like(chance[:, :1]), run), 1)


def mallopt():
    """Large blocks come back from where they were freed, not as new pages of the system."""
    libc = ctypes.CDLL(None)
    for what, value in ((-3, 1 << 30), (-1, (1 << 31) - 1), (-8, 1)):
        libc.mallopt(what, value)


class Trainer:
    def __init__(self, opt):
        self.opt = opt
        dtype = torch.float32 if opt.float32 else torch.bfloat16
        self.cfg = bridge.Frozen(opt.model, dtype, opt.device)
        self.pool = kept.Pool(opt.chats, opt.seed)
        layers = range(opt.s, self.cfg.n_layers)
        first = opt.a if opt.form == "bridge" else 0
        self.cache = kept.Cache(self.cfg, [first, opt.s, self.cfg.n_layers - 1],
                                [*range(opt.a * (opt.form == "mask")), *layers], opt.cache * 1e9)
        one = opt.device != "cpu"
        torch.set_num_threads(1)
        self.workers = ThreadPoolExecutor(1 if one else opt.threads, initializer=lambda:
                                          torch.set_num_threads(1))
        self.path = os.path.join(opt.run, "state.pt")
        os.makedirs(opt.run, exist_ok=True)
        self.began, self.best = time.time(), 0.0
        old = os.path.exists(self.path)
        self.state = torch.load(self.path, weights_only=False) if old else self.begin(layers)
        self.w = {k: v.to(opt.device) for k, v in self.state["w"].items()}
        self.learnt = {k: v.requires_grad_() for k, v in self.w.items() if k != "scale"}
        self.set_head()
        self.optimiser = torch.optim.AdamW(self.groups(), betas=(0.9, 0.98), weight_decay=0.0)
        if old:
            self.optimiser.load_state_dict(self.state["optimiser"])
            self.best = max(line["tokens"] for line in self.state["log"])

    # ---- the start ----

    def begin(self, layers):
        opt = self.opt
        vocab, share = sidecar.choose_vocabulary(self.pool.train, len(self.cfg.embd), opt.vocab)
        print(f"{len(vocab)} tokens are {share:.4f} of those in answers", flush=True)
        w = self.closed_form() if opt.form == "bridge" else self.masks()
        if opt.rank:
            more = [*range(opt.a * (opt.form == "mask")), *layers]
            w |= bridge.start_adapters(self.cfg, more, opt.rank, opt.seed)
        if opt.start:
            w = sidecar.read(opt.start, w)
        return {"w": w, "vocab": vocab, "coverage": share, "step": 0, "seen": 0, "spent": 0.0,
                "log": [], "options": vars(opt)}

    def closed_form(self):
        sums = fit.Sums(3 * self.cfg.width, self.opt.k * self.cfg.width)
        lock = threading.Lock()

        def add(chats):
            made = self.cache.get(chats)
            with lock:
                fit.add_conversations(sums, made, ((0, 0), (1, 1), (2, 1)), 1, self.opt.k)

        chats = fit.some(self.pool.train, self.opt.fit)
        list(self.workers.map(add, fit.in_pieces(chats, 8)))
        weight, bias = sums.solve(ridge=self.opt.ridge)
        scale = sums.spread()
        print(f"fit on {sums.n} positions", flush=True)
        return {"bridge.weight": weight * scale, "bridge.bias": bias, "scale": scale}

    def masks(self):
        return {"masks": self.cfg.embd.mean(0).repeat(self.opt.k - 1, 1).cpu(),
                "scale": torch.ones(3 * self.cfg.width)}

    def set_head(self):
        ids = torch.from_numpy(self.state["vocab"])
        self.place = torch.full((len(self.cfg.embd),), -1)
        self.place[ids] = torch.arange(len(ids))
        self.head = self.cfg.head(ids)

    def groups(self):
        own = [v for k, v in self.learnt.items() if not k.startswith("blk.")]
        adapters = [v for k, v in self.learnt.items() if k.startswith("blk.")]
        return [dict(params=own, rate=self.opt.bridge_lr)] + (
            [dict(params=adapters, rate=self.opt.lr)] if adapters else [])

    # ---- training ----

    def spent(self):
        """Minutes of training, those of earlier starts too."""
        return self.state["spent"] + (time.time() - self.began) / 60

    def progress(self):
        return max(self.state["seen"] / self.opt.positions, self.spent() / self.opt.minutes)

    def cast(self, w):
        """Adapters as the products use them; the bridge stays float32."""
        return {k: v.detach().to(self.cfg.dtype if k.startswith("blk.") else torch.float32)
                .to(self.opt.device) for k, v in w.items()}

    def batch(self, chats, hard):
        return kept.Batch(self.cfg, self.cache.get(chats), self.opt, self.place, hard)

    def gradients(self, w, chats):
        batch = self.batch(chats, self.opt.hard)
        h = bridge.draft(self.cfg, w, self.opt, batch)
        weights = torch.tensor(self.opt.weights[: self.opt.k], device=h.device)
        loss, _ = HeadLoss.apply(h, self.head, batch, weights)
        return loss.item(), len(h), torch.autograd.grad(loss, [w[k] for k in self.learnt])

    def step(self):
        chats = self.pool.draw(self.opt.batch)
        w = self.cast(self.w)
        for k in self.learnt:
            w[k].requires_grad_()
        parts = [chats[i : i + self.opt.part] for i in range(0, len(chats), self.opt.part)]
        done = list(self.workers.map(lambda p: self.gradients(w, p), parts))
        n = sum(d[1] for d in done)
        for v, *g in zip(self.learnt.values(), *(d[2] for d in done)):
            v.grad = sum(t.float() for t in g) / n
        rate = min(1.0, (self.state["step"] + 1) / 20) * max(0.0, 1 - self.progress())
        for group in self.optimiser.param_groups:
            group["lr"] = group["rate"] * rate
        torch.nn.utils.clip_grad_norm_(self.learnt.values(), 1.0)
        self.optimiser.step()
        self.state["step"] += 1
        self.state["seen"] += n
        return sum(d[0] for d in done) / n

    # ---- scores, checkpoints ----

    @torch.no_grad()
    def right(self, w, chats):
        """Which drafts are the model's own choice, (positions, k); positions near the end, with
        fewer than k tokens behind them, are left out."""
        batch = self.batch(chats, 0.0)
        got = F.linear(bridge.draft(self.cfg, w, self.opt, batch), self.head).argmax(-1)
        return (got == batch.best)[(batch.best > -2).all(1)].cpu().numpy()

    def score(self, rounded=True):
        w = self.cast(sidecar.rounded(self.w) if rounded else self.w)
        parts = fit.in_pieces(self.pool.held[: self.opt.held], 4)

        def one(chats):
            with torch.no_grad():
                return self.right(w, chats)

        return np.concatenate(list(self.workers.map(one, parts)))

    def report(self, loss, speed):
        right = self.score()
        runs = fit.runs(right)
        line = dict(step=self.state["step"], seen=self.state["seen"], loss=round(loss, 4),
                    tokens=round(1 + runs.sum(), 4), runs=runs.round(4).tolist(), held=len(right),
                    rows=right.mean(0).round(4).tolist(), speed=round(speed),
                    spent=round(self.spent(), 1), time=time.strftime("%H:%M:%S"))
        self.state["log"].append(line)
        print(json.dumps(line), flush=True)
        if self.opt.form == "bridge" and line["tokens"] > self.best:
            self.best = line["tokens"]
            self.write(os.path.join(self.opt.run, "s3d.gguf"), runs)
        self.save()

    def write(self, path, runs):
        maker = "train/s3d.py" + (", closed form" if not self.state["step"] else "")
        sidecar.write(path, self.cfg.big, self.opt, self.w, self.state["vocab"], runs, maker)

    def save(self):
        state = self.state | {"w": {k: v.detach().cpu() for k, v in self.w.items()},
                              "optimiser": self.optimiser.state_dict(), "spent": self.spent()}
        torch.save(state, self.path + ".tmp")
        os.replace(self.path + ".tmp", self.path)

    def run(self):
        if not self.state["step"]:
            self.report(0.0, 0)
        mean, last, seen = 0.0, time.time(), self.state["seen"]
        while self.progress() < 1 and not self.opt.fit_only:
            loss = self.step()
            mean = 0.95 * mean + 0.05 * loss if mean else loss
            speed = (self.state["seen"] - seen) / (time.time() - last)
            if self.state["step"] % 10 == 0:
                print(f"{self.state['step']} {loss:.3f} {speed:.0f}/s "
                      f"{self.cache.bytes / 1e9:.1f} GB kept", flush=True)
            if time.time() - last > 60 * self.opt.every or self.progress() >= 1:
                self.report(mean, speed)
                last, seen = time.time(), self.state["seen"]


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("model")
    p.add_argument("run")
    p.add_argument("chats", nargs="+")
    numbers = lambda s: [float(i) for i in s.split(",")]
    p.add_argument("--form", choices=("bridge", "mask"), default="bridge")
    p.add_argument("-a", type=int, default=1, help="layers before the bridge")
    p.add_argument("-s", type=int, default=18, help="the layer behind it")
    p.add_argument("-k", type=int, default=3, help="rows that cross it")
    p.add_argument("--rank", type=int, default=32, help="of the adapters; 0: none")
    p.add_argument("--vocab", type=int, default=8192, help="tokens of the draft vocabulary")
    p.add_argument("--fit", type=int, default=96000, help="positions for the closed form")
    p.add_argument("--ridge", type=float, default=fit.RIDGE)
    p.add_argument("--start", help="a sidecar of the same shape to go on from, not the closed form")
    p.add_argument("--fit-only", action="store_true", help="write the closed form and stop")
    p.add_argument("--positions", type=float, default=1e6, help="to see in all, or")
    p.add_argument("--minutes", type=float, default=1e9, help="to train in all")
    p.add_argument("--batch", type=int, default=12, help="conversations in a step")
    p.add_argument("--part", type=int, default=3, help="of them at a time in a thread")
    p.add_argument("--lr", type=float, default=1e-3, help="of the adapters")
    p.add_argument("--bridge-lr", type=float, default=1e-3)
    p.add_argument("--weights", type=numbers, default=[1.0, 0.7, 0.5, 0.4], help="of the rows")
    p.add_argument("--hard", type=float, default=0.3,
                   help="weight of the greedy choice beside the distribution")
    p.add_argument("--held", type=int, default=1000, help="held-out conversations in a score")
    p.add_argument("--every", type=float, default=4, help="minutes between scores and checkpoints")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--cache", type=float, default=9, help="GB for what the full model left behind")
    p.add_argument("--float32", action="store_true", help="products in float32")
    p.add_argument("--device", default="cpu")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return p.parse_args()


if __name__ == "__main__":
    mallopt()
    Trainer(parse()).run()
