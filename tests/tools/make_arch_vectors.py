#!/usr/bin/env python3
"""Records what transformers makes of the tiny random models of tests/mk_arch.h, for test_arch.c
and test_cuda_arch.c.

    make build/release/tests/mkmodel && tests/tools/make_arch_vectors.py [NAME ...]
For each shape tiny-NAME (all of them without a NAME) mkmodel writes the GGUF file; its tensors
become the float32 weights of the architecture's transformers model (eager attention, CPU, one
thread), which reads a fixed text longer than the window in one pass.  Keys and values alone are
rounded to f16, as the program's cache keeps them; what that does to the logits is in the head of
tests/vectors/arch-NAME.txt.  Then follow the sha256 of the GGUF file, the ids of the text, and for
each pass "run N K" (its first N tokens; a model with factors for long contexts has a short pass
too) the logits of K positions.

Nothing here comes from the program under test.  Names of tensors are looked up in the gguf
package's own table; what the keys mean was read in transformers' models and, for what a converter
does on the way, in ggml-org/llama.cpp (conversion/*.py, src/models/*.cpp, 2026).  transformers' own
GGUF loader gave the same parameters to the bit for llama, qwen2, gemma2, gemma3 and phi3 (it knows
no granite, and no heads of another width in qwen3), but leaves out factors of RoPE, scaling, caps
and phi3's window.
 - llama and granite: the rows of Q and K are reordered so that RoPE turns neighbours, not halves;
   rope_freqs divides speeds (transformers has the rule that the factors come from instead);
 - gemma2 and gemma3: 1 was added to all norm weights.  Scores are divided by the root of the head's
   width, but of n_embd / heads in the models of 27B (46 and 62 layers), which no key tells;
 - gemma3: linear scaling is for the global layers; local ones turn by base 10000;
 - phi3: Q, K, V and gate, up are fused, here and there.  The long factors act on all of a text as
   soon as it is longer than the original context, and attn_factor multiplies sine and cosine of
   both sets.  llama.cpp asks for the size of its context instead of the text's length;
 - phi3's window is transformers' too, but llama.cpp (2026) reads it and sees the whole text;
 - granite: logit_scale divides.
A window of W is a position and the W - 1 before it, here and there.

Made with transformers 5.24.0, torch 2.15.0, gguf 0.19.0, numpy 2.4.6."""

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile

import gguf
import numpy as np
import torch
import transformers

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
MKMODEL = os.path.join(ROOT, "build/release/tests/mkmodel")
LENGTH = 300
CLASSES = {"llama": "Llama", "qwen2": "Qwen2", "qwen3": "Qwen3", "gemma2": "Gemma2",
           "gemma3": "Gemma3", "phi3": "Phi3", "granite": "Granite"}


class File:
    """Keys and float32 tensors of a GGUF file."""

    def __init__(self, path):
        reader = gguf.GGUFReader(path)
        self.fields = reader.fields
        self.arch = self.fields["general.architecture"].contents()
        self.tensors = {t.name: gguf.dequantize(t.data, t.tensor_type).astype(np.float32)
                        for t in reader.tensors}

    def key(self, name, fallback=None):
        name = f"{self.arch}.{name}"
        if name not in self.fields and fallback is None:
            sys.exit(f"no {name}")
        return self.fields[name].contents() if name in self.fields else fallback

    def has(self, name):
        return f"{self.arch}.{name}" in self.fields

    def floats(self, name):
        return [float(x) for x in self.tensors[name]]


def shape(f):
    """What all configurations share."""
    heads = f.key("attention.head_count")
    width = f.key("embedding_length")
    return dict(
        vocab_size=f.tensors["token_embd.weight"].shape[0], hidden_size=width,
        intermediate_size=f.key("feed_forward_length"), num_hidden_layers=f.key("block_count"),
        num_attention_heads=heads, num_key_value_heads=f.key("attention.head_count_kv", heads),
        head_dim=f.key("attention.key_length", width // heads),
        rms_norm_eps=f.key("attention.layer_norm_rms_epsilon"),
        max_position_embeddings=f.key("context_length"),
        tie_word_embeddings="output.weight" not in f.tensors,
        bos_token_id=None, eos_token_id=None, pad_token_id=None)


def plain_rope(f):
    rope = {"rope_type": "default", "rope_theta": f.key("rope.freq_base", 10000.0)}
    if f.has("rope.scaling.factor"):
        assert f.key("rope.scaling.type") == "linear"
        rope.update(rope_type="linear", factor=f.key("rope.scaling.factor"))
    return rope


def of_llama(f):
    return dict(rope_parameters=plain_rope(f))


def of_gemma(f):
    c = shape(f)
    large = f.key("block_count") == {"gemma2": 46, "gemma3": 62}[f.arch]
    width = c["hidden_size"] // c["num_attention_heads"] if large else c["head_dim"]
    return dict(query_pre_attn_scalar=width, hidden_activation="gelu_pytorch_tanh",
                sliding_window=f.key("attention.sliding_window"))


def of_gemma2(f):
    return dict(**of_gemma(f), rope_parameters=plain_rope(f),
                attn_logit_softcapping=f.key("attn_logit_softcapping", 50.0),
                final_logit_softcapping=f.key("final_logit_softcapping", 30.0))


def of_gemma3(f):
    local = {"rope_type": "default", "rope_theta": f.key("rope.freq_base_swa", 10000.0)}
    return dict(**of_gemma(f), rope_parameters={"full_attention": plain_rope(f),
                                                "sliding_attention": local})


def of_phi3(f):
    rope = plain_rope(f)
    rope["partial_rotary_factor"] = f.key("rope.dimension_count") / shape(f)["head_dim"]
    orig = f.key("rope.scaling.original_context_length", f.key("context_length"))
    if "rope_factors_long.weight" in f.tensors:
        rope.update(rope_type="longrope", long_factor=f.floats("rope_factors_long.weight"),
                    short_factor=f.floats("rope_factors_short.weight"),
                    factor=f.key("context_length") / orig,
                    attention_factor=f.key("rope.scaling.attn_factor"))
    return dict(rope_parameters=rope, original_max_position_embeddings=orig,
                sliding_window=f.key("attention.sliding_window", 0) or None)


def of_granite(f):
    return dict(rope_parameters=plain_rope(f), embedding_multiplier=f.key("embedding_scale"),
                residual_multiplier=f.key("residual_scale"),
                attention_multiplier=f.key("attention.scale"),
                logits_scaling=f.key("logit_scale"))


SPECIAL = {"llama": of_llama, "qwen2": of_llama, "qwen3": of_llama, "gemma2": of_gemma2,
           "gemma3": of_gemma3, "phi3": of_phi3, "granite": of_granite}


def halves(w, heads):
    """The order of rows that turns neighbours, undone."""
    dim = w.shape[0] // heads
    return w.reshape(heads, dim // 2, 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def weights(f, names, heads, kv_heads):
    """Every parameter in names, and no tensor of the file left over."""
    archs = {v: k for k, v in gguf.MODEL_ARCH_NAMES.items()}
    table = gguf.get_tensor_name_map(archs[f.arch], f.key("block_count"))
    left = set(f.tensors) - {"rope_freqs.weight", "rope_factors_long.weight",
                             "rope_factors_short.weight"}
    out = {}
    for name in names:
        stem, kind = name.rsplit(".", 1)
        at = f"{table.get_name(stem)}.{kind}"
        if name == "lm_head.weight" and at not in f.tensors:
            at = "token_embd.weight"
        w = f.tensors[at]
        if f.arch in ("llama", "granite") and ".attn_q." in at:
            w = halves(w, heads)
        if f.arch in ("llama", "granite") and ".attn_k." in at:
            w = halves(w, kv_heads)
        if f.arch in ("gemma2", "gemma3") and at.endswith("norm.weight"):
            w = w - 1
        out[name] = torch.from_numpy(np.ascontiguousarray(w))
        left.discard(at)
    if left:
        sys.exit(f"tensors without a place: {sorted(left)}")
    return out


def build(f):
    cls = CLASSES[f.arch]
    kind = cls + "TextConfig" if cls == "Gemma3" else cls + "Config"
    cfg = getattr(transformers, kind)(**shape(f), **SPECIAL[f.arch](f),
                                      attn_implementation="eager")
    model = getattr(transformers, cls + "ForCausalLM")(cfg)
    model.load_state_dict(weights(f, model.state_dict(), cfg.num_attention_heads,
                                  cfg.num_key_value_heads), strict=True)
    if "rope_freqs.weight" in f.tensors:
        model.model.rotary_emb.inv_freq /= torch.tensor(f.floats("rope_freqs.weight"))
    return model.float().eval()


@contextlib.contextmanager
def cache_in_f16(model):
    """Keys and values as the program's cache keeps them, and all else in float32."""
    module = sys.modules[type(model).__module__]
    exact = module.eager_attention_forward

    def attend(layer, q, k, v, *rest, **more):
        return exact(layer, q, k.half().float(), v.half().float(), *rest, **more)

    module.eager_attention_forward = attend
    yield
    module.eager_attention_forward = exact


def logits(model, ids):
    return model(torch.tensor([ids]), use_cache=False).logits[0]


def text(vocab):
    ids, x = [], 12345
    for _ in range(LENGTH):
        x = (x * 1103515245 + 12345) % (1 << 31)
        ids.append((x >> 16) % vocab)
    return ids


def runs(f):
    """(tokens, positions whose logits are kept): on both sides of the window's edges."""
    w = f.key("attention.sliding_window", 0) or 40
    lengths = [LENGTH]
    if "rope_factors_long.weight" in f.tensors:
        lengths.insert(0, f.key("rope.scaling.original_context_length"))
    return [(n, [p for p in (2, w - 1, w, w + 1, 2 * w + 50, n - 1) if p < n]) for n in lengths]


def tiny_file(name):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.gguf")
        subprocess.run([MKMODEL, "--shape", "tiny-" + name, path], check=True)
        with open(path, "rb") as f:
            digest = hashlib.sha256(f.read()).hexdigest()
        return File(path), digest


def record(name):
    f, digest = tiny_file(name)
    model, ids = build(f), text(shape(f)["vocab_size"])
    lines, moved = [], 0
    for n, positions in runs(f):
        exact = logits(model, ids[:n])
        with cache_in_f16(model):
            rounded = logits(model, ids[:n])
        moved = max(moved, (exact - rounded)[positions].abs().max().item())
        lines.append(f"run {n} {len(positions)}")
        lines += [" ".join([str(p)] + [f"{x:.5f}" for x in rounded[p].tolist()])
                  for p in positions]
        print(f"{name}: {n} tokens, spread {exact.std():.2f}, f16 cache {moved:.5f}")
    return [f"# {CLASSES[f.arch]}ForCausalLM of transformers {transformers.__version__}, torch "
            f"{torch.__version__.split('+')[0]}; mkmodel --shape tiny-{name}; the f16 cache moves "
            f"logits by at most {moved:.5f}", f"sha256 {digest}",
            " ".join(["tokens", str(len(ids))] + [str(i) for i in ids])] + lines


def main(names):
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    for name in names or sorted(shapes()):
        lines = record(name)
        with open(os.path.join(ROOT, f"tests/vectors/arch-{name}.txt"), "w") as out:
            print(*lines, sep="\n", file=out)


def shapes():
    """The shapes whose names begin with tiny-, as mkmodel's usage lists them."""
    usage = subprocess.run([MKMODEL], capture_output=True, text=True).stderr
    return [s.removeprefix("tiny-") for s in usage.split() if s.startswith("tiny-")]


if __name__ == "__main__":
    main(sys.argv[1:])
