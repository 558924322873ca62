#!/usr/bin/env python3
"""Makes a reference for `s3dchat eval --kl` out of what llama-perplexity recorded.

    llama-perplexity -m MODEL -f TEXT -c 512 --chunks 4 --kl-divergence-base OUT.kld
    kld_to_reference.py OUT.kld OUT.ref

Input, little-endian: "_logits_", i32 chunk, vocabulary, chunks, ids[chunks][chunk], then of each
chunk the rows chunk/2 .. chunk-2: f32 scale, f32 least log-probability, u16 code[vocabulary] (and
one more if the vocabulary is odd); log-probability = least + scale * code, where code 0 also stands
for everything that is more than 16 below the likeliest token: it is left out here, as it is by
llama-perplexity.  Output as in make_reference_logits.py, whole rows."""
import struct
import sys

import numpy as np


def main(source, out):
    raw = open(source, "rb").read()
    if raw[:8] != b"_logits_":
        sys.exit(f"{source}: not a record of llama-perplexity")
    chunk, vocab, chunks = struct.unpack_from("<3i", raw, 8)
    ids = np.frombuffer(raw, "<i4", chunks * chunk, 20)
    rows, words = chunk - 1 - chunk // 2, 2 * ((vocab + 1) // 2) + 4
    codes = np.frombuffer(raw, "<u2", chunks * rows * words, 20 + 4 * len(ids)).reshape(-1, words)
    with open(out, "wb") as f:
        f.write(b"S3DKLREF" + struct.pack("<6I", 1, chunks, chunk, rows, vocab, 0))
        f.write(ids.astype("<u4").tobytes())
        for row in codes:
            scale, least = np.frombuffer(row[:4].tobytes(), "<f4")
            row = row[4 : 4 + vocab]
            f.write(np.where(row, least + scale * row, -1e4).astype("<f4").tobytes())


if __name__ == "__main__":
    main(*sys.argv[1:])
