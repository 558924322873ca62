#!/usr/bin/env python3
"""Records what an independent program thinks of a text, for `s3dchat eval --kl`.

Reads a llama-architecture GGUF file, dequantises every weight to float32 with the gguf package,
puts them into transformers' LlamaForCausalLM (CPU, float32, eager attention) and stores the
logits of the rows that `s3dchat eval` scores: of each chunk of C tokens the rows C/2 .. C-2,
which predict tokens C/2+1 .. C-1.  The text is tokenised here with the `tokenizers` package, so
the file also holds an independent opinion about the token ids.

    make_reference_logits.py MODEL.gguf TEXT OUT [--chunk 512] [--chunks 4] [--top 0]

--top 0 stores whole rows of logits; --top N the N largest log-probabilities of a row and their
ids, which is small enough for a repository and gives a lower bound of the divergence.
--dtype float64 (norms and RoPE stay float32 inside transformers) shows what float32 costs.

File, little-endian: "S3DKLREF", then u32 version 1, chunks, chunk, rows, vocabulary, top;
u32 ids[chunks][chunk]; then per row f32 logits[vocabulary], or u32 ids[top] and f32 logp[top].

Made with torch 1.13.0, transformers 4.40.2, tokenizers 0.19.1, gguf (any).
"""
import argparse
import struct
import sys

import numpy as np
import torch
from gguf import GGUFReader
from gguf.quants import dequantize
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM


def field(reader, name):
    part = reader.fields[name]
    return part.contents()


def load_tokenizer(reader):
    if field(reader, "tokenizer.ggml.model") != "gpt2":
        sys.exit("only byte-level BPE is handled here")
    pre = field(reader, "tokenizer.ggml.pre")
    if pre != "smollm":
        sys.exit(f"pre-tokenizer {pre} is not handled here")
    vocab = {t: i for i, t in enumerate(field(reader, "tokenizer.ggml.tokens"))}
    merges = [tuple(m.split(" ")) for m in field(reader, "tokenizer.ggml.merges")]
    tok = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tok.decoder = decoders.ByteLevel()
    return tok


def unpermute(w, heads):
    """GGUF keeps the rows of q and k so that RoPE turns neighbours; transformers turns halves."""
    dim = w.shape[0] // heads
    return w.reshape(heads, dim // 2, 2, w.shape[1]).swapaxes(1, 2).reshape(w.shape)


def load_model(reader, dtype):
    arch = field(reader, "general.architecture")
    if arch != "llama":
        sys.exit(f"architecture {arch} is not handled here")
    get = lambda key: field(reader, f"llama.{key}")
    t = {x.name: dequantize(x.data, x.tensor_type).astype(np.float32) for x in reader.tensors}
    heads, kv = get("attention.head_count"), get("attention.head_count_kv")
    cfg = LlamaConfig(
        vocab_size=t["token_embd.weight"].shape[0], hidden_size=get("embedding_length"),
        intermediate_size=get("feed_forward_length"), num_hidden_layers=get("block_count"),
        num_attention_heads=heads, num_key_value_heads=kv, rope_theta=get("rope.freq_base"),
        rms_norm_eps=get("attention.layer_norm_rms_epsilon"), hidden_act="silu",
        max_position_embeddings=get("context_length"), tie_word_embeddings=False,
        attn_implementation="eager")
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
             "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
             "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    state = {"model.embed_tokens.weight": t["token_embd.weight"],
             "model.norm.weight": t["output_norm.weight"],
             "lm_head.weight": t.get("output.weight", t["token_embd.weight"])}
    for i in range(cfg.num_hidden_layers):
        for ours, theirs in names.items():
            w = t[f"blk.{i}.{ours}.weight"]
            if ours in ("attn_q", "attn_k"):
                w = unpermute(w, heads if ours == "attn_q" else kv)
            state[f"model.layers.{i}.{theirs}.weight"] = w
    model = LlamaForCausalLM(cfg)
    state = {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in state.items()}
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or any("inv_freq" not in m for m in missing):
        sys.exit(f"weights do not match: missing {missing}, unexpected {unexpected}")
    return model.to(dtype).eval()


def write_row(out, row, top):
    if not top:
        out.write(row.astype("<f4").tobytes())
        return
    row = row.astype(np.float64)
    logp = row - row.max()
    logp -= np.log(np.exp(logp).sum())
    best = np.argsort(-logp, kind="stable")[:top]
    out.write(best.astype("<u4").tobytes())
    out.write(logp[best].astype("<f4").tobytes())


def main():
    p = argparse.ArgumentParser()
    p.add_argument("model")
    p.add_argument("text")
    p.add_argument("out")
    p.add_argument("--chunk", type=int, default=512)
    p.add_argument("--chunks", type=int, default=4)
    p.add_argument("--top", type=int, default=0)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    reader = GGUFReader(a.model)
    with open(a.text, encoding="utf-8", newline="") as f:
        ids = load_tokenizer(reader).encode(f.read(), add_special_tokens=False).ids
    add_bos = "tokenizer.ggml.add_bos_token"
    if add_bos in reader.fields and field(reader, add_bos):
        bos = field(reader, "tokenizer.ggml.bos_token_id")
        ids.insert(0, bos)
        ids[::a.chunk] = [bos] * len(ids[::a.chunk])
    if len(ids) < a.chunk * a.chunks:
        sys.exit(f"{a.text} has only {len(ids)} tokens")
    model = load_model(reader, getattr(torch, a.dtype))
    vocab, first = model.config.vocab_size, a.chunk // 2
    rows = a.chunk - 1 - first
    nll = count = 0
    with open(a.out, "wb") as out:
        out.write(b"S3DKLREF" + struct.pack("<6I", 1, a.chunks, a.chunk, rows, vocab, a.top))
        out.write(np.array(ids[:a.chunk * a.chunks], dtype="<u4").tobytes())
        for i in range(a.chunks):
            part = ids[i * a.chunk:(i + 1) * a.chunk]
            with torch.no_grad():
                hidden = model.model(torch.tensor([part]))[0][0, first:first + rows]
                logits = model.lm_head(hidden)
            logp = torch.log_softmax(logits.double(), -1)
            target = torch.tensor(part[first + 1:first + 1 + rows])
            nll -= logp[torch.arange(rows), target].sum().item()
            count += rows
            for row in logits.numpy():
                write_row(out, row, a.top)
            print(f"chunk {i + 1}: perplexity {np.exp(nll / count):.5f}", file=sys.stderr)


if __name__ == "__main__":
    main()
