"""teacher.py - the file of conversations with the big model's opinion of every answer token.

A file is a head (magic, K, vocabulary) and records that are only ever appended, each whole:
    uint32 n_prompt, n_answer, number of the conversation, 1 if greedy
    uint16 ids[n_prompt + n_answer]
    uint16 top[n_answer][K]      the K likeliest tokens, the likeliest first
    float16 logp[n_answer][K]    their log-probabilities over the whole vocabulary
train/selfchat.c writes it.  Invariant: row i of top is the opinion before answer token i."""

import os
import struct

import numpy as np

MAGIC = b"S3DCHAT1"
HEAD = struct.Struct("<8sII")
RECORD = struct.Struct("<IIII")


class Chat:
    __slots__ = ("ids", "n_prompt", "number", "greedy", "top", "logp")

    @property
    def n_answer(self):
        return len(self.ids) - self.n_prompt


def parse(buf, at, k):
    """The conversation at this offset and the offset behind it, or None when it is not whole."""
    if at + RECORD.size > len(buf):
        return None
    c = Chat()
    c.n_prompt, n, c.number, c.greedy = RECORD.unpack_from(buf, at)
    at += RECORD.size
    end = at + 2 * (c.n_prompt + n) + 4 * n * k
    if end > len(buf):
        return None
    c.ids = np.frombuffer(buf, "<u2", c.n_prompt + n, at)
    at += 2 * len(c.ids)
    c.top = np.frombuffer(buf, "<u2", n * k, at).reshape(n, k)
    c.logp = np.frombuffer(buf, "<f2", n * k, at + 2 * n * k).reshape(n, k)
    return c, end


class File:
    """A file that may still grow: more() gives the conversations that came since."""

    def __init__(self, path):
        self.path = path
        self.at = 0
        self.k = 0

    def more(self):
        if not os.path.exists(self.path) or os.path.getsize(self.path) <= self.at:
            return []
        with open(self.path, "rb") as f:
            if not self.at:
                magic, self.k, _ = HEAD.unpack(f.read(HEAD.size))
                if magic != MAGIC:
                    raise SystemExit(f"{self.path}: not a file of conversations")
                self.at = HEAD.size
            f.seek(self.at)
            buf = f.read()
        chats, at = [], 0
        while (got := parse(buf, at, self.k)) is not None:
            chats.append(got[0])
            at = got[1]
        self.at += at
        return chats

