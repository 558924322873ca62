#!/usr/bin/env python3
"""export.py - a trained little model to the GGUF file that ships.

    export.py MODEL.gguf RUN OUT.gguf [TEMPERATURE]
Logits are divided by TEMPERATURE (little.py --calibrate finds it), by way of the last norm.
The file has no embedding: it borrows MODEL's, whose SHA-256 it names.  Prints the file's own."""

import hashlib
import os
import sys

import gguf
import numpy as np
import torch

import llama
import quant

OWN = {  # keys that the little model does not take over as they are
    "general.architecture",  # GGUFWriter writes it
    "general.name",
    "general.finetune",
    "general.size_label",
    "general.file_type",
    "llama.block_count",
}


def copy_keys(w, file, own):
    """Every other key of the file, in its type and order."""
    for name, f in file.fields.items():
        if name.startswith("GGUF.") or name in own:
            continue
        sub = f.types[1] if f.types[0] == gguf.GGUFValueType.ARRAY else None
        w.add_key_value(name, f.contents(), f.types[0], sub)


def add_own_keys(w, big, state):
    embd = big.tensors["token_embd.weight"]
    w.add_name(f"{big.key('general.name')} little")
    w.add_block_count(state["n_layers"])
    w.add_array("s3dchat.borrows", ["token_embd.weight"])
    w.add_string("s3dchat.base.sha256", hashlib.sha256(embd.data.tobytes()).hexdigest())
    w.add_array("s3dchat.output_ids", [int(i) for i in state["vocab"]])


def main(model, run, out, temperature="1"):
    big = llama.Big(model)
    state = torch.load(os.path.join(run, "state.pt"), weights_only=False)
    w = gguf.GGUFWriter(out, "llama")
    copy_keys(w, big.file, OWN)
    add_own_keys(w, big, state)
    for name, t in state["w"].items():
        kind = gguf.GGMLQuantizationType[quant.kind(name)]
        data = t.detach().float().numpy()
        if name == "output_norm.weight":
            data = data / np.float32(temperature)
        if kind != gguf.GGMLQuantizationType.F32:
            data = gguf.quants.quantize(data, kind)
        w.add_tensor(name, data, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    with open(out, "rb") as f:
        print(hashlib.sha256(f.read()).hexdigest(), os.path.getsize(out), out)


if __name__ == "__main__":
    main(*sys.argv[1:])
