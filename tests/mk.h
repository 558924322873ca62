/* mk.h - writes GGUF models of random weights: tiny ones for tests, real shapes for benchmarks.
 *
 * The files have a byte-level BPE tokenizer with ChatML's control tokens, are valid for other GGUF
 * readers too, and depend on nothing but the spec (same spec, same bytes). */
#ifndef S3D_MK_H
#define S3D_MK_H
#include "engine/util.h"

struct mk_spec {
	int n_layers, n_embd, n_heads, n_kv_heads, n_ff, n_vocab, n_ctx;
	const char *type;       /* of the matrices: "F32", "Q4_0", ..., or a mixture as llama.cpp's
				 * quantiser makes them: "Q4_K_M", "Q5_K_M" */
	const char *embd_type;  /* of token_embd (and output), NULL: as that quantiser does */
	bool tied;              /* no output.weight */
	bool rope_freqs;        /* with rope_freqs.weight */
	uint64_t seed;
	const char *arch;       /* NULL: "llama"; "qwen2" has biases */
};
enum { MK_VOCAB_MIN = 272 };    /* 256 bytes, control tokens, a few merges */
#define MK_TINY { .n_layers = 3, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96, \
	.n_vocab = MK_VOCAB_MIN, .n_ctx = 512, .type = "F32", .seed = 1 }

int mk_write(const char *path, const struct mk_spec *, char err[ERR_MAX]);
#endif
