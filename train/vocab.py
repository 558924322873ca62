#!/usr/bin/env python3
"""vocab.py - another draft vocabulary for a sidecar, everything else as it is.

    vocab.py IN.s3d.gguf OUT.s3d.gguf MODEL.gguf N CHATS...
The N tokens that the model most often wants to write in CHATS; 0: all."""

import sys

import gguf

import export
import llama
import sidecar
import teacher

OWN = {"general.architecture", "s3d.vocabulary"}  # what is written anew


def main(old, new, model, n, *paths):
    reader, w = gguf.GGUFReader(old), gguf.GGUFWriter(new, "s3d-sidecar")
    chats = [c for p in paths for c in teacher.File(p).more()]
    export.copy_keys(w, reader, OWN)
    if int(n):
        size = len(llama.Big(model).weight("token_embd.weight"))
        vocab, share = sidecar.choose_vocabulary(chats, size, int(n))
        print(f"{len(vocab)} tokens are {share:.4f} of those in answers")
        w.add_key_value("s3d.vocabulary", [int(i) for i in vocab], gguf.GGUFValueType.ARRAY,
                        gguf.GGUFValueType.INT32)
    for t in reader.tensors:
        w.add_tensor(t.name, t.data, raw_dtype=t.tensor_type)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
