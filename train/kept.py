"""kept.py - what the full model leaves behind of each conversation, for a bridge to learn from.

A position n of an answer is `pending`: its token is known, what follows is to be drafted.  Row o of
it predicts token n+o+1, which is opinion n+o+1 - n_prompt of the recorded ones (teacher.py).
Invariant: a conversation goes through the full model once, its rows and keys stay in memory."""

import numpy as np
import torch

import bridge
import teacher


class Pool:
    """Conversations in the order of training, each once in an epoch; new ones as the files grow."""

    def __init__(self, paths, seed):
        self.files = [teacher.File(p) for p in paths]
        self.rng = np.random.default_rng(seed)
        self.train, self.held, self.epoch = [], [], []
        self.refill()

    def refill(self):
        for c in (c for f in self.files for c in f.more()):
            if c.n_answer > 1:
                (self.held if held_out(c) else self.train).append(c)

    def draw(self, n):
        """About n conversations of like length."""
        if len(self.epoch) == 0:
            self.refill()
            order = list(self.train)
            self.rng.shuffle(order)
            for i in range(0, len(order), 16 * n):
                some = sorted(order[i : i + 16 * n], key=lambda c: len(c.ids))
                parts = [some[j : j + n] for j in range(0, len(some), n)]
                self.rng.shuffle(parts)
                self.epoch += parts
        return self.epoch.pop()


def held_out(c):
    """One in 32: as many greedy as sampled ones, never trained on."""
    return c.number % 64 in (0, 33)


class Kept:
    """Of one conversation: rows (layers, positions, width) and kv {layer: (K, V)}."""

    def __init__(self, chat, rows, kv):
        self.chat, self.rows, self.kv = chat, rows, kv
        self.pending = np.arange(chat.n_prompt, len(chat.ids) - 1)


def keep(cfg, chats, rows, layers):
    """The full pass over conversations, as a list of Kept."""
    n = max(len(c.ids) for c in chats) - 1
    ids = np.zeros((len(chats), n), np.int64)
    for i, c in enumerate(chats):
        ids[i, : len(c.ids) - 1] = c.ids[:-1]
    got, kv = {}, {}

    def out(l, what):
        if isinstance(what, tuple):
            kv[l] = what
        else:
            got[l] = what.to(cfg.dtype)

    bridge.full_pass(cfg, torch.from_numpy(ids).to(cfg.device), rows, layers, out)
    made = []
    for i, c in enumerate(chats):
        m = len(c.ids) - 1
        made.append(Kept(c, torch.stack([got[l][i, :m] for l in rows]),
                         {l: tuple(t[i, :, :m].clone() for t in kv[l]) for l in layers}))
    return made


class Cache:
    """Kept conversations by number; `most` bytes of them at most stay."""

    def __init__(self, cfg, rows, layers, most):
        self.cfg, self.rows, self.layers, self.most = cfg, list(rows), list(layers), most
        self.kept, self.bytes = {}, 0

    def get(self, chats):
        new = [c for c in chats if c.number not in self.kept]
        kept = keep(self.cfg, new, self.rows, self.layers) if new else []
        made = {k.chat.number: k for k in kept}
        for number, k in made.items():
            size = k.rows.nbytes + sum(t.nbytes for kv in k.kv.values() for t in kv)
            if self.bytes + size <= self.most:
                self.kept[number] = k
                self.bytes += size
        return [made.get(c.number) or self.kept[c.number] for c in chats]


class Batch:
    """Pending positions of some conversations with what a bridged pass reads, and their targets.

    features: [row that enters layer a at n; the ones that entered s and L-1 at n-1]
    index, p (positions, k, top): the likeliest tokens' places in the draft vocabulary and their
    chances, 0 where a token is not in it or the answer has ended; best: the likeliest one's place,
    -1 if not in it, -2 behind the end."""

    def __init__(self, cfg, kept, shape, place, hard=0.0):
        self.kept, heads = kept, shape.k * cfg.n_heads // cfg.n_kv
        self.features = torch.cat([feature_rows(k) for k in kept])
        device = self.features.device
        self.position = torch.from_numpy(np.concatenate([k.pending for k in kept])).to(device)
        self.lengths = [len(k.pending) for k in kept]
        said = (opinions(k.chat, shape.k, place, hard) for k in kept)
        targets = [torch.cat(t) for t in zip(*said)]
        self.index, self.p, self.best = (t.to(device) for t in targets)
        self.where, self.masks = [], []
        at = 0
        for k in kept:
            self.where.append(slice(at, at + len(k.pending)))
            self.masks.append(before(k, heads))
            at += len(k.pending)

    def past(self, l):
        return [(at, *k.kv[l], m) for at, k, m in zip(self.where, self.kept, self.masks)]


def feature_rows(k):
    n = k.pending
    return torch.cat((k.rows[0, n], k.rows[1, n - 1], k.rows[2, n - 1]), 1)


def before(kept, heads):
    """Mask of one conversation, for `heads` queries at each pending position n, as the kernel wants
    it: they see the keys before n."""
    key = next(iter(kept.kv.values()))[0]
    n = torch.from_numpy(kept.pending).to(key.device)
    unseen = torch.arange(key.shape[1], device=key.device)[None] >= n[:, None]
    mask = torch.zeros(unseen.shape, dtype=key.dtype, device=key.device)
    return mask.masked_fill_(unseen, -torch.inf).repeat_interleave(heads, 0)


def opinions(c, k, place, hard):
    """(positions, k, top) places and chances, and places of the likeliest tokens (positions, k)."""
    row = np.arange(len(c.ids) - 1 - c.n_prompt)[:, None] + 1 + np.arange(k)
    there = torch.from_numpy(row < c.n_answer)
    row = np.minimum(row, c.n_answer - 1)
    index = place[torch.from_numpy(c.top[row].astype(np.int64))]
    p = torch.from_numpy(c.logp[row].astype(np.float32)).exp() * (1 - hard)
    p[..., 0] += hard
    best = index[..., 0].masked_fill(~there, -2)
    return index.clamp(min=0), p * (index >= 0) * there[..., None], best
