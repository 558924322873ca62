"""sidecar.py - the GGUF file that a bridge ships in, and the draft vocabulary in it.

Invariant: what is written is what Q8_0 makes of the weights; scores are of the same roundings."""

import hashlib
import os
import struct

import gguf
import numpy as np
import torch

import quant

GROUP = 16  # a draft vocabulary has a multiple of so many tokens
Q8_0, F32 = gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.F32


def base_hash(reader):
    """Of every tensor of the base file: name, type, shape, its first and last 4096 bytes."""
    sha = hashlib.sha256()
    for t in reader.tensors:
        sha.update(t.name.encode() + b"\0" + struct.pack("<II", int(t.tensor_type), len(t.shape)))
        sha.update(struct.pack(f"<{len(t.shape)}Q", *(int(d) for d in t.shape)))
        data = t.data.reshape(-1).view(np.uint8)
        sha.update(data[:4096].tobytes() + data[-4096:].tobytes())
    return sha.hexdigest()


def choose_vocabulary(chats, n_vocab, n):
    """The n tokens that the model most often wants to write, and how much of what it wrote they
    are."""
    want, wrote = np.zeros(n_vocab), np.zeros(n_vocab)
    for c in chats:
        np.add.at(want, c.top.astype(np.int64), np.exp(c.logp.astype(np.float64)))
        np.add.at(wrote, c.ids[c.n_prompt :].astype(np.int64), 1)
    vocab = np.sort(np.argsort(-want, kind="stable")[: n // GROUP * GROUP])
    return vocab, wrote[vocab].sum() / wrote.sum()


def unscaled(w):
    """The tensors of the file in float32: features come as they are, not divided by their scale."""
    out = {k: v.detach().float().cpu() for k, v in w.items() if k != "scale"}
    if "bridge.weight" in out:  # not in the form with masks
        out["bridge.weight"] = out["bridge.weight"] / w["scale"].cpu()
    return out


def read(path, like):
    """What the file at path has in place of like, whose scale its features are divided by."""
    held = {t.name: torch.tensor(gguf.quants.dequantize(t.data, t.tensor_type))
            for t in gguf.GGUFReader(path).tensors}
    if {k: v.shape for k, v in held.items()} != {k: v.shape for k, v in unscaled(like).items()}:
        raise SystemExit(f"{path}: its tensors are not those of this shape and rank")
    held["bridge.weight"] *= like["scale"]
    return held | {"scale": like["scale"]}


def rounded(w):
    """w as it will be after it was written and read."""
    out = {k: quant.q8_0(v) if v.dim() > 1 else v for k, v in unscaled(w).items()}
    return out | {"scale": torch.ones_like(w["scale"], device="cpu")}


def write(path, big, shape, w, vocab, expected, maker):
    out = gguf.GGUFWriter(path + ".tmp", "s3d-sidecar")
    out.add_name(big.key("general.name"))
    out.add_string("s3d.base.sha256", base_hash(big.file))
    for key in "ask":
        out.add_uint32(f"s3d.{key}", getattr(shape, key))
    out.add_uint32("s3d.rank", shape.rank)
    if vocab is not None:
        out.add_key_value("s3d.vocabulary", [int(i) for i in vocab], gguf.GGUFValueType.ARRAY,
                          gguf.GGUFValueType.INT32)
    out.add_key_value("s3d.expected", [float(e) for e in expected], gguf.GGUFValueType.ARRAY,
                      gguf.GGUFValueType.FLOAT32)
    out.add_string("s3d.maker", maker)
    for name, t in unscaled(w).items():
        kind = Q8_0 if t.dim() > 1 else F32
        data = t.numpy()
        out.add_tensor(name, gguf.quants.quantize(data, kind) if kind != F32 else data,
                       raw_dtype=kind)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    os.replace(path + ".tmp", path)
