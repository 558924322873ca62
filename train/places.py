#!/usr/bin/env python3
"""places.py - where to put a bridge: the closed form for several places, by its acceptance.

    places.py MODEL.gguf CHATS... [-a 1,2,4,8] [-s 14,16,...] [--fit N] [--held N]
One full pass over the conversations serves all places.  For each it prints the chance that the
first draft holds with all features, without the deep row, without both previous rows, and the
tokens per
pass with k rows; greedy choice against the model's own, over the whole vocabulary."""

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

import bridge
import fit
import kept
import s3d


def sums_of(cfg, chats, opt, workers):
    """For every s the sums over the features of all a at once."""
    rows = [*opt.a, *opt.s, cfg.n_layers - 1]
    sums = {s: fit.Sums((len(opt.a) + 2) * cfg.width, opt.k * cfg.width) for s in opt.s}
    pieces = list(fit.in_pieces(chats, 12))
    for i, made in enumerate(workers.map(lambda c: kept.keep(cfg, c, rows, []), pieces)):
        for j, s in enumerate(opt.s):
            at = len(opt.a) + j
            features = [(x, 0) for x in range(len(opt.a))] + [(at, 1), (len(rows) - 1, 1)]
            fit.add_conversations(sums[s], made, features, at, opt.k)
        print(f"fit: {i + 1} of {len(pieces)} pieces", flush=True)
    return sums


def bridge_of(cfg, sums, opt, a, blocks):
    """The closed form with the blocks of features named in "ahs" (row a, deep row, row s)."""
    d, at = cfg.width, {"a": opt.a.index(a), "s": len(opt.a), "h": len(opt.a) + 1}
    columns = torch.cat([torch.arange(d) + d * at[b] for b in "ash" if b in blocks])
    some, bias = sums.solve(columns)
    weight = torch.zeros(len(bias), 3 * d)
    places = [torch.arange(d) + d * i for i, b in enumerate("ash") if b in blocks]
    weight[:, torch.cat(places)] = some
    return {"bridge.weight": weight, "bridge.bias": bias, "scale": torch.ones(3 * d)}


@torch.no_grad()
def right(cfg, w, shape, held, rows, head, place):
    """Which drafts hold, of one piece of held-out conversations."""
    at = [rows.index(shape.a), rows.index(shape.s), len(rows) - 1]
    views = [kept.Kept(k.chat, k.rows[at], k.kv) for k in held]
    batch = kept.Batch(cfg, views, shape, place)
    got = F.linear(bridge.draft(cfg, w, shape, batch), head).argmax(-1)
    return (got == batch.best)[(batch.best > -2).all(1)].numpy()


def main(opt):
    torch.set_num_threads(1)
    cfg = bridge.Frozen(opt.model, torch.float32 if opt.float32 else torch.bfloat16)
    pool = kept.Pool(opt.chats, 1)
    workers = ThreadPoolExecutor(opt.threads, initializer=lambda: torch.set_num_threads(1))
    sums = sums_of(cfg, fit.some(pool.train, opt.fit), opt, workers)
    rows = [*opt.a, *opt.s, cfg.n_layers - 1]
    pieces = fit.in_pieces(fit.some(pool.held, opt.held), 4)
    layers = range(min(opt.s), cfg.n_layers)
    held = list(workers.map(lambda c: kept.keep(cfg, c, rows, layers), pieces))
    head, place = cfg.head(), torch.arange(len(cfg.embd))

    def runs(s, a, blocks):
        shape = SimpleNamespace(form="bridge", a=a, s=s, k=opt.k)
        w = bridge_of(cfg, sums[s], opt, a, blocks)
        parts = workers.map(lambda p: right(cfg, w, shape, p, rows, head, place), held)
        return fit.runs(np.concatenate(list(parts)))

    print(f"fit on {sums[opt.s[0]].n} positions; a s: runs; a_1 without the deep row, both rows")
    for s in opt.s:
        for a in opt.a:
            all_rows = runs(s, a, "ash")
            less = [runs(s, a, b)[0] for b in ("as", "a")] if a in opt.without else []
            print(a, s, *(f"{r:.3f}" for r in all_rows), f"tokens {1 + all_rows.sum():.3f}",
                  *(f"{x:.3f}" for x in less), flush=True)


if __name__ == "__main__":
    s3d.mallopt()
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    numbers = lambda t: [int(i) for i in t.split(",")]
    p.add_argument("model")
    p.add_argument("chats", nargs="+")
    p.add_argument("-a", type=numbers, default=[1, 2, 4, 8])
    p.add_argument("-s", type=numbers, default=[14, 16, 18, 20, 22, 24, 26])
    p.add_argument("-k", type=int, default=4)
    p.add_argument("--without", type=numbers, default=[1], help="the a to leave rows out for")
    p.add_argument("--fit", type=int, default=50000)
    p.add_argument("--held", type=int, default=3000)
    p.add_argument("--float32", action="store_true", help="products in float32")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    main(p.parse_args())
