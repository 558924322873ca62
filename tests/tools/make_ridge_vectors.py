#!/usr/bin/env python3
# Records tests/vectors/ridge.txt: least squares by numpy over rows that tests/test_closed_form.c
# makes in the same way.  numpy solves the augmented problem [F; sqrt(keep)] B = [Y; 0] by its
# singular values, without normal equations or Cholesky's factor.
#   pip install numpy; tests/tools/make_ridge_vectors.py >tests/vectors/ridge.txt
import numpy as np

WIDTH, LAYERS, K, A, S = 32, 6, 3, (1, 2), (3, 4)
SITES = (*A, *S, LAYERS - 1)
TEXTS = (150, 7, 3, 220, 90)    # rows of each text

def rows(text, n):
    """What enters each site at each position: whole numbers over 64, from a counter, which follow
    from the row before so that there is something to foretell."""
    out = np.zeros((len(SITES), n, WIDTH))
    for i in range(len(SITES)):
        for p in range(n):
            for j in range(WIDTH):
                x = (text * 7919 + i * 104729 + p * 1299709 + j * 15485863 + 12345) % 2147483647
                x = x * 48271 % 2147483647
                noise = (x // 64 % 257 - 128) / 64
                before = out[i, p - 1, (j + 1) % WIDTH] if p else 0
                below = out[0, p, j] if i else 0
                out[i, p, j] = np.float32(before * 0.5 + below * 0.25 + noise + (j % 5) * 0.125)
    return out

def main():
    print("# numpy", np.__version__, "- a, s, row, feature, element, value")
    texts = [rows(t, n) for t, n in enumerate(TEXTS)]
    for a in range(len(A)):
        for s in range(len(S)):
            f, y = [], []
            for x in texts:
                # the first position of a text does not count, nor do those that end too soon
                for n in range(2, x.shape[1] - K + 1):
                    at = len(A) + s
                    f.append(np.concatenate([x[a, n], x[at, n - 1], x[-1, n - 1], [1]]))
                    y.append(np.concatenate([x[at, n + o] for o in range(K)]))
            f, y = np.array(f), np.array(y)
            keep = 1e-3 * np.mean((f * f).sum(0))
            augmented = np.concatenate([f, np.sqrt(keep) * np.eye(f.shape[1])])
            b = np.linalg.lstsq(augmented, np.concatenate([y, np.zeros((f.shape[1], y.shape[1]))]),
                                rcond=None)[0]
            for i in range(0, f.shape[1]):
                for o in range(K):
                    for j in range(i % 32, WIDTH, 32):
                        print(a, s, o, i, j, f"{b[i, o * WIDTH + j]:.9g}")

main()
