/* mk_arch.h - tiny random models of each kind that the engine knows, for mk_write_calm: mkmodel's
 * shapes "tiny-NAME", whose logits by transformers are in tests/vectors/arch-NAME.txt.
 *
 * A text of 300 tokens goes far beyond the windows, and beyond the short context of phi3 (half of
 * n_ctx).  After a change here or in what mk_write_calm writes make_arch_vectors.py has to run.
 */
#ifndef S3D_MK_ARCH_H
#define S3D_MK_ARCH_H
#include "tests/mk.h"

#define MK_ARCH(NAME, ARCH, LAYERS, ...) { NAME, { .n_layers = LAYERS, .n_embd = 64, .n_ff = 96, \
	.n_vocab = MK_VOCAB_MIN, .type = "F32", .arch = ARCH, __VA_ARGS__ } }

static const struct mk_arch {
	const char *name;
	struct mk_spec spec;
} mk_archs[] = {
	MK_ARCH("llama", "llama", 3, .n_heads = 4, .n_kv_heads = 2, .n_ctx = 512, .seed = 31,
		.rope_freqs = true),
	MK_ARCH("mistral", "llama", 3, .n_heads = 4, .n_kv_heads = 1, .n_ctx = 512, .seed = 32,
		.head_dim = 32),
	MK_ARCH("qwen2", "qwen2", 3, .n_heads = 4, .n_kv_heads = 2, .n_ctx = 512, .seed = 33,
		.tied = true),
	MK_ARCH("qwen3", "qwen3", 3, .n_heads = 4, .n_kv_heads = 2, .n_ctx = 512, .seed = 34,
		.tied = true, .head_dim = 32),
	MK_ARCH("gemma2", "gemma2", 4, .n_heads = 4, .n_kv_heads = 2, .n_ctx = 512, .seed = 35,
		.tied = true, .head_dim = 32, .window = 48),
	MK_ARCH("gemma3", "gemma3", 7, .n_heads = 4, .n_kv_heads = 1, .n_ctx = 2048, .seed = 36,
		.tied = true, .head_dim = 32, .window = 32),
	MK_ARCH("phi3", "phi3", 3, .n_heads = 2, .n_kv_heads = 1, .n_ctx = 384, .seed = 37,
		.window = 40),
	MK_ARCH("granite", "granite", 3, .n_heads = 4, .n_kv_heads = 2, .n_ctx = 512, .seed = 38,
		.tied = true),
};
enum { MK_ARCHS = sizeof(mk_archs) / sizeof(mk_archs[0]) };
#endif
