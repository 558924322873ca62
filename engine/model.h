/* model.h - what a GGUF file says about its network: configuration and named weights.
 *
 * struct model owns the gguf (and so the mapping); a backend copies or points into it.
 * Invariant: every tensor's shape was checked against the configuration before it got here. */
#ifndef S3D_MODEL_H
#define S3D_MODEL_H
#include "gguf.h"
#include "util.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MODEL_MAX_LAYERS 256

enum rope_kind { ROPE_PAIRS, ROPE_HALVES };     /* (2i, 2i+1), or (i, i + n_rot/2) */

struct model_config {
	char arch[32];
	int n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab;
	int n_out;              /* logits in a row: n_vocab, or fewer for some little models */
	int n_ctx_train;
	int n_rot;              /* dimensions of a head that RoPE turns */
	enum rope_kind rope;
	bool qkv_bias;
	float rope_base, rope_scale;    /* scale multiplies positions (linear scaling: 1/factor) */
	float norm_eps;
};

struct layer {          /* shapes: (rows, columns), a row is contiguous */
	const struct gguf_tensor *attn_norm;    /* (n_embd) */
	const struct gguf_tensor *wq;           /* (n_heads*head_dim, n_embd) */
	const struct gguf_tensor *wk, *wv;      /* (n_kv_heads*head_dim, n_embd) */
	const struct gguf_tensor *bq, *bk, *bv; /* biases of their rows, or NULL */
	const struct gguf_tensor *wo;           /* (n_embd, n_heads*head_dim) */
	const struct gguf_tensor *ffn_norm;     /* (n_embd) */
	const struct gguf_tensor *gate, *up;    /* (n_ff, n_embd) */
	const struct gguf_tensor *down;         /* (n_embd, n_ff) */
};

struct model {
	struct gguf *file;
	struct model_config cfg;
	const struct gguf_tensor *embd;         /* (n_vocab, n_embd); may be another model's */
	const struct gguf_tensor *norm;         /* (n_embd) */
	const struct gguf_tensor *output;       /* (n_out, n_embd); == embd when tied */
	int *out_id;                            /* (n_out) token ids of the logits, ascending;
						 * NULL: 0, 1, ... */
	const struct gguf_tensor *rope_freqs;   /* (n_rot/2) divisors, or NULL */
	struct layer layer[MODEL_MAX_LAYERS];
};

/* base: the big model whose weights a little one may borrow, and which then must outlive it; NULL:
 * a model that borrows is refused. */
struct model *model_open(const char *path, const struct model *base, char err[ERR_MAX]);
/* The same from an open file, which the model then owns (it is closed on failure too). */
struct model *model_bind(struct gguf *file, const struct model *base, char err[ERR_MAX]);
void model_close(struct model *);
const char *model_architectures(void);          /* "llama ..., qwen2 ..." */

#ifdef __cplusplus
}
#endif
#endif
