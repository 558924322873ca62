/* model.h - what a GGUF file says about its network: configuration and named weights.
 *
 * struct model owns the gguf (and so the mapping); a backend copies or points into it.
 * Invariant: every tensor's shape was checked against the configuration before it got here. */
#ifndef S3D_MODEL_H
#define S3D_MODEL_H
#include "engine/gguf/gguf.h"
#include "engine/model/layer.h"
#include "base/util.h"
#ifdef __cplusplus
extern "C" {
#endif

#define MODEL_MAX_LAYERS 256

enum rope_kind { ROPE_PAIRS, ROPE_HALVES };     /* (2i, 2i+1), or (i, i + n_rot/2) */
enum activation { ACT_SILU, ACT_GELU };         /* of the gate; GELU by its tanh formula */
enum { ROPE_SETS = 2 };         /* of speeds that a model may turn its heads by */

struct model_config {
	char arch[32];
	int n_layers, n_embd, n_heads, n_kv_heads, head_dim, n_ff, n_vocab;
	int n_out;              /* logits in a row: n_vocab, or fewer for some little models */
	int n_ctx_train;
	int n_rot;              /* dimensions of a head that RoPE turns */
	enum rope_kind rope;
	/* Of set 0; scale multiplies positions (linear scaling: 1/factor).  Set 1 turns by
	 * rope_base_1 and unscaled positions; 0: there is none, but for factors of a long context.
	 */
	float rope_base, rope_scale, rope_base_1;
	float rope_gain;        /* multiplies what RoPE gives (of extended contexts), or 1 */
	int n_ctx_short;        /* a longer cache turns by set 1; 0: none does */
	bool qkv_bias, qk_norm, post_norm;
	enum activation act;
	/* Multiply embeddings, what a sub-layer adds to the residual stream, scores, logits. */
	float embd_scale, residual_scale, attn_scale, logit_scale;
	/* x becomes cap * tanh(x / cap): scores, logits (after their scale).  0: it does not. */
	float attn_cap, logit_cap;
	int window;             /* positions that a local layer sees, its own too; 0: none is */
	int global_each;        /* every so many layers the last is not local; 0: all are */
	float norm_eps;
};

static inline bool layer_local(const struct model_config *c, int layer)
{
	return c->window && (!c->global_each || (layer + 1) % c->global_each);
}
/* The set of speeds that a layer turns by in a cache of n_ctx positions. */
static inline int layer_rope(const struct model_config *c, int layer, int n_ctx)
{
	return c->n_ctx_short ? n_ctx > c->n_ctx_short :
	       c->rope_base_1 > 0 && layer_local(c, layer);
}
static inline int rope_sets(const struct model_config *c)
{
	return c->n_ctx_short || c->rope_base_1 > 0 ? 2 : 1;
}

/* The tensors of a layer; NULL: the model has none. */
struct layer {
	const struct gguf_tensor *mat[LAYER_MATS];      /* (rows, columns), a row is contiguous */
	const struct gguf_tensor *norm[LAYER_NORMS];
	const struct gguf_tensor *bias[3];      /* of the rows of MAT_Q, MAT_K, MAT_V */
	struct gguf_tensor part[LAYER_MATS];    /* where the file has several in one */
};

struct layer_shape {
	int64_t rows, cols;
	const char *name;       /* in the file, behind blk.N. */
};
static inline struct layer_shape layer_mat_shape(const struct model_config *c, enum layer_mat which)
{
#define X(id, stage, rows, cols, name) { rows, cols, name },
	const struct layer_shape all[] = { LAYER_MAT_TABLE(X) };
#undef X

	return all[which];
}

struct model {
	struct gguf *file;
	struct model_config cfg;
	const struct gguf_tensor *embd;         /* (n_vocab, n_embd); may be another model's */
	const struct gguf_tensor *norm;         /* (n_embd) */
	const struct gguf_tensor *output;       /* (n_out, n_embd); == embd when tied */
	int *out_id;                            /* (n_out) token ids of the logits, ascending;
						 * NULL: 0, 1, ... */
	unsigned char *mute;                    /* (n_out, and up to a multiple of 4) 1: an output
						 * that is no token, so its logit is -infinity;
						 * NULL: there is none */
	/* (n_rot/2) divisors of each set of speeds, or NULL */
	const struct gguf_tensor *rope_freqs[ROPE_SETS];
	struct layer layer[MODEL_MAX_LAYERS];
	bool *used;             /* which of the file's tensors have a place above */
};

/* base: the big model whose weights a little one may borrow, and which then must outlive it; NULL:
 * a model that borrows is refused. */
struct model *model_open(const char *path, const struct model *base, char err[ERR_MAX]);
/* The same from an open file, which the model then owns (it is closed on failure too). */
struct model *model_bind(struct gguf *file, const struct model *base, char err[ERR_MAX]);
void model_close(struct model *);
/* Output i is no token: before a backend opens the model. */
int model_mute(struct model *, int i, char err[ERR_MAX]);
const char *model_architectures(void);          /* "llama (Llama ...), qwen2 ..." */

#ifdef __cplusplus
}
#endif
#endif
