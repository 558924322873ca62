/* layer.h - what a layer is made of: its matrices and its norms, each one row of a table.
 *
 * From these tables come the binding of a file's tensors (model.c), what backends load, count and
 * multiply (kernels/pass.h), and the sizes of adapters.  A new matrix is a row here and a line in
 * each forward.  Sizes are expressions in `c`, a struct model_config.  No state. */
#ifndef S3D_LAYER_H
#define S3D_LAYER_H

/* id, stage of a pass that multiplies by it, rows, columns, name in the file.  Matrices of a stage
 * stand together: they take the same activations, and what they make lies side by side. */
#define LAYER_MAT_TABLE(X) \
	X(MAT_Q, STAGE_QKV, (int64_t)c->n_heads * c->head_dim, c->n_embd, "attn_q.weight") \
	X(MAT_K, STAGE_QKV, (int64_t)c->n_kv_heads * c->head_dim, c->n_embd, "attn_k.weight") \
	X(MAT_V, STAGE_QKV, (int64_t)c->n_kv_heads * c->head_dim, c->n_embd, "attn_v.weight") \
	X(MAT_OUT, STAGE_WO, c->n_embd, (int64_t)c->n_heads * c->head_dim, "attn_output.weight") \
	X(MAT_GATE, STAGE_GATE_UP, c->n_ff, c->n_embd, "ffn_gate.weight") \
	X(MAT_UP, STAGE_GATE_UP, c->n_ff, c->n_embd, "ffn_up.weight") \
	X(MAT_DOWN, STAGE_DOWN, c->n_embd, c->n_ff, "ffn_down.weight")

/* id, whether the model has it, numbers, name in the file.  Norms of what enters attention and MLP,
 * of what these give before it is added, of every head of queries and of keys before RoPE. */
#define LAYER_NORM_TABLE(X) \
	X(NORM_ATTN, true, c->n_embd, "attn_norm.weight") \
	X(NORM_FFN, true, c->n_embd, "ffn_norm.weight") \
	X(NORM_ATTN_POST, c->post_norm, c->n_embd, "post_attention_norm.weight") \
	X(NORM_FFN_POST, c->post_norm, c->n_embd, "post_ffw_norm.weight") \
	X(NORM_Q, c->qk_norm, c->head_dim, "attn_q_norm.weight") \
	X(NORM_K, c->qk_norm, c->head_dim, "attn_k_norm.weight")

#define X(id, ...) id,
enum layer_mat { LAYER_MAT_TABLE(X) LAYER_MATS };
enum layer_norm { LAYER_NORM_TABLE(X) LAYER_NORMS };
#undef X
#endif
