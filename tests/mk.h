/* mk.h - writes GGUF models of random weights: tiny ones for tests, real shapes for benchmarks.
 *
 * The files have a byte-level BPE tokenizer with ChatML's control tokens, are valid for other GGUF
 * readers too, and depend on nothing but the spec (same spec, same bytes). */
#ifndef S3D_MK_H
#define S3D_MK_H
#include "base/util.h"

struct mk_spec {
	int n_layers, n_embd, n_heads, n_kv_heads, n_ff, n_vocab, n_ctx;
	const char *type;       /* of the matrices: "F32", "Q4_0", ..., or a mixture as llama.cpp's
				 * quantiser makes them: "Q4_K_M", "Q5_K_M" */
	const char *embd_type;  /* of token_embd (and output), NULL: as that quantiser does */
	bool tied;              /* no output.weight */
	bool rope_freqs;        /* with rope_freqs.weight */
	uint64_t seed;
	const char *arch;       /* NULL: "llama"; else a name of engine/model/model_config.c */
	int head_dim;           /* 0: n_embd / n_heads */
	int window;             /* of local layers; 0: there are none */
};
enum { MK_VOCAB_MIN = 272 };    /* 256 bytes, control tokens, a few merges */
#define MK_TINY { .n_layers = 3, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96, \
	.n_vocab = MK_VOCAB_MIN, .n_ctx = 512, .type = "F32", .seed = 1 }
/* One of each architecture beside llama and qwen2, with windows shorter than most texts. */
#define MK_OTHERS \
	{ 3, 64, 4, 2, 96, MK_VOCAB_MIN, 512, "F32", NULL, true, false, 8, "qwen3", 32, 0 }, \
	{ 4, 64, 4, 2, 96, MK_VOCAB_MIN, 512, "F32", NULL, true, false, 9, "gemma2", 32, 48 }, \
	{ 7, 64, 4, 1, 96, MK_VOCAB_MIN, 512, "Q8_0", NULL, true, false, 10, "gemma3", 32, 24 }, \
	{ 3, 64, 2, 1, 96, MK_VOCAB_MIN, 512, "F16", NULL, false, false, 11, "phi3", 0, 100 }, \
	{ 3, 64, 4, 4, 96, MK_VOCAB_MIN, 512, "Q4_0", NULL, true, false, 12, "granite", 0, 0 }

int mk_write(const char *path, const struct mk_spec *, char err[ERR_MAX]);
/* The same, but scores of attention and logits have a spread of 1 and not of 4 and 3: what others
 * round differently shows less. */
int mk_write_calm(const char *path, const struct mk_spec *, char err[ERR_MAX]);
/* The same with a SentencePiece vocabulary: bytes, and words that all begin with a space. */
int mk_write_spm(const char *path, const struct mk_spec *, char err[ERR_MAX]);
/* Likewise, or byte-level, and the last tokens are those which the chat frames put by id. */
int mk_write_frames(const char *path, const struct mk_spec *, bool spm, char err[ERR_MAX]);
#define MK_TAGS "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "[INST]", "[/INST]", \
	"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "<start_of_turn>", "<end_of_turn>", "<|system|>", \
	"<|user|>", "<|assistant|>", "<|end|>", "<|im_sep|>", "<｜User｜>", "<｜Assistant｜>", \
	"<｜end▁of▁sentence｜>", "<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>"
#endif
