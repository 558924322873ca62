#!/usr/bin/env python3
"""little.py - trains a little model that drafts for a big one.

    little.py MODEL.gguf RUN CHATS... [--tokens N] [--layers 0,1,29] ...
The little model is a few of the big one's layers, its embedding (frozen, borrowed at run time) and
an output head for the commonest tokens only.  It learns the big model's opinion of the big model's
own answers.  RUN/state.pt is everything: a run goes on from there.  CHATS may still grow."""

import argparse
import json
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

import llama
import quant
import teacher

HELD_OUT = 32  # every conversation whose number this divides is never trained on
CHUNK = 512  # rows of the head's logits at a time: they stay in the cache


# ---- data ----


class Pool:
    """Conversations in the order of training: those not seen yet first, then all again."""

    def __init__(self, paths, seed):
        self.files = [teacher.File(p) for p in paths]
        self.rng = np.random.default_rng(seed)
        self.fresh, self.seen, self.again, self.held = [], [], [], []
        self.tokens = 0

    def refill(self):
        for chat in (c for f in self.files for c in f.more()):
            (self.fresh if chat.number % HELD_OUT else self.held).append(chat)
            self.tokens += chat.n_answer
        self.rng.shuffle(self.fresh)

    def draw(self, n):
        self.refill()
        out = self.fresh[:n]
        del self.fresh[:n]
        self.seen += out
        while len(out) < n:
            if not self.again:
                self.again = list(self.seen)
                self.rng.shuffle(self.again)
            out.append(self.again.pop())
        return out


def windows(pool, rows, n):
    """Batches of about `rows` positions, padding included, out of n conversations at a time that
    are sorted by length so that little is padded."""
    while True:
        chats = sorted(pool.draw(n), key=lambda c: len(c.ids))
        batches, batch = [], []
        for c in chats:
            if batch and (len(batch) + 1) * len(c.ids) > rows:
                batches.append(batch)
                batch = []
            batch.append(c)
        batches.append(batch)
        if len(batches) > 1 and len(batch) < len(batches[-2]) / 2:
            batches[-2] += batches.pop()
        pool.rng.shuffle(batches)
        yield from batches


class Rows:
    """A batch: padded ids, the places of the rows that predict answer tokens, and their targets."""

    def __init__(self, chats, place, hard):
        n = max(len(c.ids) for c in chats) - 1
        ids = np.zeros((len(chats), n), np.int64)
        for i, c in enumerate(chats):
            ids[i, : len(c.ids) - 1] = c.ids[:-1]
        self.ids = torch.from_numpy(ids)
        self.at = torch.cat(
            [torch.arange(c.n_prompt - 1, len(c.ids) - 1) + i * n for i, c in enumerate(chats)]
        )
        top = torch.from_numpy(np.concatenate([c.top for c in chats]).astype(np.int64))
        p = torch.from_numpy(np.concatenate([c.logp for c in chats]).astype(np.float32)).exp()
        p *= 1 - hard
        p[:, 0] += hard
        self.index = place[top]
        self.p = p * (self.index >= 0)
        self.best = self.index[:, 0]
        self.index = self.index.clamp(min=0)
        self.lengths = [c.n_answer for c in chats]


# ---- model ----


class HeadLoss(torch.autograd.Function):
    """sum over rows of sum_j p[j] * -log softmax(W h)[index[j]], a chunk of rows at a time; the
    gradients are made on the way, so that the logits are never kept."""

    @staticmethod
    def forward(ctx, h, w, index, p):
        gh, gw, loss = torch.empty_like(h), torch.zeros_like(w, dtype=torch.float32), 0.0
        for i in range(0, len(h), CHUNK):
            part = slice(i, i + CHUNK)
            logits = F.linear(h[part], w).float()
            mass = p[part].sum(-1, keepdim=True)
            lse = logits.logsumexp(-1, keepdim=True)
            loss += (mass * lse).sum() - (p[part] * logits.gather(1, index[part])).sum()
            d = logits.sub_(lse).exp_().mul_(mass).scatter_add_(1, index[part], -p[part])
            d = d.to(h.dtype)
            gh[part] = d @ w
            gw += d.T @ h[part]
        ctx.save_for_backward(gh, gw)
        return loss

    @staticmethod
    def backward(ctx, g):
        gh, gw = ctx.saved_tensors
        return gh * g.to(gh.dtype), gw * g, None, None


def choose_vocabulary(chats, n_vocab, n_out):
    """The tokens that the big model most often wants to write, by its own probabilities."""
    count = np.zeros(n_vocab)
    for c in chats:
        np.add.at(count, c.top.astype(np.int64), np.exp(c.logp.astype(np.float64)))
    return np.sort(np.argsort(-count, kind="stable")[:n_out])


def begin_new(big, opt, pool):
    """A few of the big model's layers: weights, the head's tokens, how many layers."""
    pool.refill()
    vocab = choose_vocabulary(pool.fresh + pool.held, big.tensors["token_embd.weight"].shape[1],
                              opt.vocabulary)
    w = big.layers(opt.layers)
    w["output.weight"] = big.weight("token_embd.weight")[vocab]
    return w, vocab, len(opt.layers)


def begin_from(big, opt):
    """A little model that was exported; before its last layer come opt.add of the big model's,
    whose output projections are zero at first, so that it starts as good as it was."""
    old = llama.Big(opt.begin)
    last, n = f"blk.{old.n_layers - 1}.", old.n_layers + len(opt.add)
    w = {k.replace(last, f"blk.{n - 1}."): old.weight(k) for k in old.tensors}
    for name, v in big.layers(opt.add).items():
        if name.startswith("blk."):
            _, i, part, _ = name.split(".")
            silent = part in ("attn_output", "ffn_down")
            w[f"blk.{old.n_layers - 1 + int(i)}.{part}.weight"] = v * (not silent)
    return w, np.array(old.key("s3dchat.output_ids")), n


def start(big, opt, pool):
    w, vocab, n_layers = begin_from(big, opt) if opt.begin else begin_new(big, opt, pool)
    return {"w": w, "vocab": vocab, "n_layers": n_layers, "step": 0, "seen": 0, "log": [],
            "options": vars(opt)}


class Trainer:
    def __init__(self, opt):
        self.opt = opt
        self.big = llama.Big(opt.model)
        self.embd = self.big.weight("token_embd.weight").bfloat16()
        self.pool = Pool(opt.chats, opt.seed)
        self.path = os.path.join(opt.run, "state.pt")
        os.makedirs(opt.run, exist_ok=True)
        old = os.path.exists(self.path)
        self.state = (torch.load(self.path, weights_only=False) if old
                      else start(self.big, opt, self.pool))
        self.w = {k: v.requires_grad_() for k, v in self.state["w"].items()}
        self.n_layers = self.state["n_layers"]
        self.place = torch.full((self.embd.shape[0],), -1)
        self.place[torch.from_numpy(self.state["vocab"])] = torch.arange(len(self.state["vocab"]))
        self.optimiser = torch.optim.AdamW(self.w.values(), lr=opt.lr, betas=(0.9, 0.95),
                                           weight_decay=0.0, fused=True)
        if old:
            self.optimiser.load_state_dict(self.state["optimiser"])

    def progress(self):
        return self.state["seen"] / self.opt.tokens

    def learning_rate(self):
        warm = min(1.0, (self.state["step"] + 1) / 20)
        return self.opt.lr * warm * max(0.0, 1 - self.progress())

    def cast(self):
        """The weights as the products use them: rounded to the file's types near the end, so that
        the rest learns to live with it."""
        rounded = self.progress() >= self.opt.round_from
        return {k: (quant.straight_through(k, v) if rounded else v).bfloat16()
                for k, v in self.w.items()}

    def hidden(self, w, rows):
        h = llama.hidden(w, self.big, self.embd[rows.ids], self.n_layers)
        return h.flatten(0, 1)[rows.at]

    def step(self, chats):
        rows = Rows(chats, self.place, self.opt.hard)
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate()
        self.optimiser.zero_grad(set_to_none=True)
        w = self.cast()
        loss = HeadLoss.apply(self.hidden(w, rows), w["output.weight"], rows.index, rows.p)
        loss = loss / len(rows.at)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.w.values(), 1.0)
        self.optimiser.step()
        self.state["step"] += 1
        self.state["seen"] += len(rows.at)
        return loss.item(), rows.ids.numel()

    @torch.no_grad()
    def score(self, rounded=False):
        """Agreement with the big model's greedy choice, and tokens per round with 4 and 8 drafts,
        on held-out greedy answers."""
        w = {k: (quant.straight_through(k, v) if rounded else v).bfloat16()
             for k, v in self.w.items()}
        agree = []
        held = sorted((c for c in self.pool.held if c.greedy), key=lambda c: c.number)
        for i in range(0, min(len(held), self.opt.held), 16):
            rows = Rows(held[i : i + 16], self.place, 0.0)
            got = F.linear(self.hidden(w, rows), w["output.weight"]).argmax(-1)
            agree += (got == rows.best).split(rows.lengths)
        flat = torch.cat(agree).float().mean().item()
        return flat, rounds(agree, 4), rounds(agree, 8)

    @torch.no_grad()
    def calibrate(self):
        """Held-out answers with the logits divided by some temperatures: how sure the little model
        is of its choice, and what the big model thinks of it.  They should be the same."""
        w = {k: quant.straight_through(k, v).bfloat16() for k, v in self.w.items()}
        sure, right, n = torch.zeros(21), 0.0, 0
        for i in range(0, len(self.pool.held), 16):
            rows = Rows(self.pool.held[i : i + 16], self.place, 0.0)
            logits = F.linear(self.hidden(w, rows), w["output.weight"]).float()
            right += (rows.p * (rows.index == logits.argmax(-1, keepdim=True))).sum().item()
            n += len(logits)
            for j in range(len(sure)):
                sure[j] += (logits / (0.8 + j / 20)).softmax(-1).amax(-1).sum()
        for j, s in enumerate(sure):
            print(f"{0.8 + j / 20:.2f} {s / n:.4f} of {right / n:.4f}")

    def save(self):
        self.state["optimiser"] = self.optimiser.state_dict()
        torch.save(self.state, self.path + ".tmp")
        os.replace(self.path + ".tmp", self.path)

    def report(self, loss, speed):
        agree, four, eight = self.score(self.progress() >= self.opt.round_from)
        line = dict(step=self.state["step"], seen=self.state["seen"], data=self.pool.tokens,
                    loss=round(loss, 4), agree=round(agree, 4), rounds4=round(four, 3),
                    rounds8=round(eight, 3), speed=round(speed), lr=self.learning_rate(),
                    time=time.strftime("%H:%M:%S"))
        self.state["log"].append(line)
        print(json.dumps(line), flush=True)
        self.save()

    def run(self):
        source = windows(self.pool, self.opt.rows, 600)
        mean, last, seen = 0.0, time.time(), self.state["seen"]
        self.pool.refill()
        while self.progress() < 1:
            loss, n = self.step(next(source))
            mean = loss if not mean else 0.95 * mean + 0.05 * loss
            if self.state["step"] % 10 == 0:
                print(f"{self.state['step']} {loss:.3f} {n} rows", flush=True)
            if self.state["step"] % self.opt.every == 0 or self.progress() >= 1:
                self.report(mean, (self.state["seen"] - seen) / (time.time() - last))
                last, seen = time.time(), self.state["seen"]


def rounds(agree, k):
    """Tokens per pass of the big model when up to k tokens are drafted: along its own greedy
    answer a draft is accepted exactly as far as the little model agrees (the rest is teacher
    forced alike), and each pass adds a token of its own."""
    tokens = passes = 0
    for a in agree:
        i, a = 0, a.tolist()
        while i < len(a):
            j = 0
            while j < k and i + j < len(a) and a[i + j]:
                j += 1
            i += j + 1
            passes += 1
        tokens += len(a)
    return tokens / passes


def parse():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("model")
    p.add_argument("run")
    p.add_argument("chats", nargs="+")
    numbers = lambda s: [int(i) for i in s.split(",")]
    p.add_argument("--layers", type=numbers, default=[0, 1, 29], help="of the big model, to begin")
    p.add_argument("--from", dest="begin", metavar="LITTLE.gguf",
                   help="begin with a little model that was exported instead")
    p.add_argument("--add", type=numbers, default=[],
                   help="with --from: layers of the big model put in before its last")
    p.add_argument("--vocabulary", type=int, default=8192, help="rows of the output head")
    p.add_argument("--tokens", type=float, default=5e6, help="answer tokens to see in all")
    p.add_argument("--rows", type=int, default=5000, help="positions in a batch")
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--hard", type=float, default=0.3,
                   help="weight of the greedy choice beside the distribution")
    p.add_argument("--round-from", type=float, default=0.7,
                   help="from this part of the run on weights are rounded to the file's types")
    p.add_argument("--held", type=int, default=48, help="held-out answers in a score")
    p.add_argument("--every", type=int, default=50, help="steps between scores and checkpoints")
    p.add_argument("--seed", type=int, default=1, help="of the order of the conversations")
    p.add_argument("--calibrate", action="store_true",
                   help="no training: how sure the little model is, at some temperatures")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    return p.parse_args()


if __name__ == "__main__":
    options = parse()
    torch.set_num_threads(options.threads)
    trainer = Trainer(options)
    if options.calibrate:
        trainer.pool.refill()
        trainer.calibrate()
    else:
        trainer.run()
