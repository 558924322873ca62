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
/* With the smallest vocabulary and a short context, as most have. */
#define MK_SMALL(...) { .n_vocab = MK_VOCAB_MIN, .n_ctx = 512, __VA_ARGS__ }
#define MK_TINY MK_SMALL(.n_layers = 3, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96, \
	.type = "F32", .seed = 1)
/* One of each architecture beside llama and qwen2, with windows shorter than most texts. */
#define MK_OTHERS \
	MK_SMALL(.n_layers = 3, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96, \
		 .type = "F32", .tied = true, .seed = 8, .arch = "qwen3", .head_dim = 32), \
	MK_SMALL(.n_layers = 4, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96, \
		 .type = "F32", .tied = true, .seed = 9, .arch = "gemma2", .head_dim = 32, \
		 .window = 48), \
	MK_SMALL(.n_layers = 7, .n_embd = 64, .n_heads = 4, .n_kv_heads = 1, .n_ff = 96, \
		 .type = "Q8_0", .tied = true, .seed = 10, .arch = "gemma3", .head_dim = 32, \
		 .window = 24), \
	MK_SMALL(.n_layers = 3, .n_embd = 64, .n_heads = 2, .n_kv_heads = 1, .n_ff = 96, \
		 .type = "F16", .seed = 11, .arch = "phi3", .window = 100), \
	MK_SMALL(.n_layers = 3, .n_embd = 64, .n_heads = 4, .n_kv_heads = 4, .n_ff = 96, \
		 .type = "Q4_0", .tied = true, .seed = 12, .arch = "granite")

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
