#!/usr/bin/env python3
"""Records what PyTorch makes of the little model that ships, for test_little.c.

    make_little_vector.py BIG.gguf LITTLE.gguf OUT.txt
Every weight is dequantised to float32 with the gguf package and run by train/llama.py, which
trained it; nothing of the program itself takes part.  OUT: the ids of a conversation (the frame,
a question and the begin of an answer) on the first line, then for each of the last ROWS positions
the logarithm of the sum of all exponentials and the TOP largest logits as id:logit.

Made with torch 2.15.0, gguf 0.19.0, numpy 2.4.6."""

import os
import sys

import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../train"))
import llama  # noqa: E402

ROWS, TOP = 16, 12
# "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face
# <|im_end|>\n<|im_start|>user\nWhat is rain?<|im_end|>\n<|im_start|>assistant\nRain is ..."
IDS = [1, 9690, 198, 2683, 359, 253, 5356, 5646, 11173, 3365, 3511, 308, 34519, 28, 7018, 411, 407,
       19712, 8182, 2, 198, 1, 4093, 198]


def main(big_path, path, out):
    big, little = llama.Big(big_path), llama.Big(path)
    question, answer = ids_of(big, "What is rain?"), ids_of(big, "Rain is water that falls from")
    ids = IDS + question + [2, 198, 1, 520, 9531, 198] + answer
    w = little.layers(range(little.n_layers))
    vocab = little.key("s3dchat.output_ids")
    x = big.weight("token_embd.weight")[torch.tensor([ids])]
    h = llama.hidden(w, little, x, little.n_layers)[0]
    logits = F.linear(h, little.weight("output.weight"))
    with open(out, "w") as f:
        print(*ids, file=f)
        for row in logits[-ROWS:]:
            best, at = row.topk(TOP)
            pairs = (f"{vocab[i]}:{v:.5f}" for i, v in zip(at.tolist(), best.tolist()))
            print(f"{row.logsumexp(-1):.5f}", *pairs, file=f)


def ids_of(big, text):
    """Longest pieces first, which for these plain words is what BPE gives."""
    tokens = {t: i for i, t in enumerate(big.key("tokenizer.ggml.tokens"))}
    text, out = text.replace(" ", "\u0120"), []
    while text:
        n = next(n for n in range(len(text), 0, -1) if text[:n] in tokens)
        out.append(tokens[text[:n]])
        text = text[n:]
    return out


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main(*sys.argv[1:])
