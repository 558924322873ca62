"""fit.py - the closed form of a bridge: least squares over sums, which conversations add to.

Row o of position n is B_o^T [features, 1], where B_o makes the row that the full model takes into
layer s at n+o, with a ridge of 1e-3 of the mean of the Gram matrix's diagonal."""

import numpy as np
import torch

RIDGE = 1e-3


class Sums:
    """Gram matrix and right-hand sides in float64; a piece's products are made in float32."""

    def __init__(self, n_in, n_out):
        self.gram = torch.zeros(n_in + 1, n_in + 1, dtype=torch.float64)
        self.right = torch.zeros(n_in + 1, n_out, dtype=torch.float64)
        self.n = 0

    def add(self, x, y):
        x = torch.cat((x.float(), x.new_ones(len(x), 1).float()), 1)
        self.gram += x.T @ x
        self.right += x.T @ y.float()
        self.n += len(x)

    def solve(self, columns=None, ridge=RIDGE):
        """(weight (n_out, n_in), bias), of those columns of the features only if they are given."""
        at = torch.arange(len(self.gram)) if columns is None else torch.cat(
            (columns, torch.tensor([len(self.gram) - 1])))
        gram, right = self.gram[at][:, at], self.right[at]
        gram = gram + ridge * gram.diagonal().mean() * torch.eye(len(at), dtype=torch.float64)
        b = torch.cholesky_solve(right, torch.linalg.cholesky(gram)).T.float()
        return b[:, :-1].contiguous(), b[:, -1].contiguous()

    def spread(self):
        """Root mean square of every feature."""
        return (self.gram.diagonal()[:-1] / self.n).sqrt().float()


def rows_of(k, o_max):
    """The pending positions whose o_max rows all have a row to become."""
    return k.pending[: max(0, len(k.pending) - o_max + 1)]


def add_conversations(sums, kept, features, target, o_max):
    """features: (index into k.rows, how many positions back); target: index into k.rows."""
    x, y = [], []
    for k in kept:
        n = rows_of(k, o_max)
        x.append(torch.cat([k.rows[i, n - back] for i, back in features], 1))
        y.append(torch.cat([k.rows[target, n + o] for o in range(o_max)], 1))
    sums.add(torch.cat(x), torch.cat(y))


def in_pieces(chats, size):
    chats = sorted(chats, key=lambda c: len(c.ids))
    for i in range(0, len(chats), size):
        yield chats[i : i + size]


def some(chats, positions):
    """The first conversations that have so many pending positions."""
    out, n = [], 0
    for c in chats:
        if n >= positions:
            break
        out.append(c)
        n += c.n_answer - 1
    return out


def runs(right):
    """Chances that the first 1, 2, ... k drafts all hold; right (positions, k)."""
    return np.cumprod(right, 1).mean(0)
