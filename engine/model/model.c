/* model.c - weights by name, every shape checked.
 *
 * What an architecture has beside the usual is told by its configuration (model_config.c).
 * Invariant: as in model.h; every tensor of the file has a use. */
#include "engine/model/model.h"
#include "engine/model/borrow.h"
#include "engine/model/model_config.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The tensor called name with this shape (rows 0: a vector of cols). */
static const struct gguf_tensor *bind(struct model *m, const char *name, int64_t rows,
				      int64_t cols, char err[ERR_MAX])
{
	const struct gguf_tensor *t = gguf_tensor_find(m->file, name);
	int64_t want_rows = rows ? rows : 1;

	if (!t) {
		fail(err, "%s: tensor %s is missing", gguf_path(m->file), name);
		return NULL;
	}
	m->used[t - gguf_tensor_at(m->file, 0)] = true;
	if (t->dim[0] != cols || t->dim[1] != want_rows || t->dim[2] != 1 || t->dim[3] != 1) {
		fail(err, "%s: tensor %s is %lld x %lld x %lld x %lld, expected %lld x %lld",
		     gguf_path(m->file), name, (long long)t->dim[0], (long long)t->dim[1],
		     (long long)t->dim[2], (long long)t->dim[3], (long long)cols,
		     (long long)want_rows);
		return NULL;
	}
	return t;
}

/* A tensor that a layer may have. */
struct wanted {
	const char *name;
	const struct gguf_tensor **to;
	int64_t rows, cols;
};

static int bind_some(struct model *m, int l, const struct wanted *all, int n, char err[ERR_MAX])
{
	for (int i = 0; i < n; i++) {
		char name[64];

		snprintf(name, sizeof(name), "blk.%d.%s", l, all[i].name);
		*all[i].to = bind(m, name, all[i].rows, all[i].cols, err);
		if (!*all[i].to)
			return -1;
	}
	return 0;
}

/* Rows from..from+rows-1 of a fused matrix as one of their own. */
static const struct gguf_tensor *cut(const struct gguf_tensor *all, int64_t from, int64_t rows,
				     struct gguf_tensor *part)
{
	size_t each = all->bytes / (size_t)all->dim[1];

	*part = *all;
	part->dim[1] = rows;
	part->data = (const uint8_t *)all->data + (size_t)from * each;
	part->bytes = (size_t)rows * each;
	return part;
}

static const struct gguf_tensor *find(const struct model *m, int l, const char *name)
{
	char full[64];

	snprintf(full, sizeof(full), "blk.%d.%s", l, name);
	return gguf_tensor_find(m->file, full);
}

static int bind_qkv(struct model *m, int l, char err[ERR_MAX])
{
	const struct model_config *c = &m->cfg;
	int64_t q = (int64_t)c->n_heads * c->head_dim, kv = (int64_t)c->n_kv_heads * c->head_dim;
	struct layer *w = &m->layer[l];
	const struct gguf_tensor *all;

	if (!find(m, l, "attn_qkv.weight"))
		return bind_some(m, l, (const struct wanted[]){
			{ "attn_q.weight", &w->wq, q, c->n_embd },
			{ "attn_k.weight", &w->wk, kv, c->n_embd },
			{ "attn_v.weight", &w->wv, kv, c->n_embd } }, 3, err);
	if (bind_some(m, l, &(struct wanted){ "attn_qkv.weight", &all, q + 2 * kv, c->n_embd }, 1,
		      err) != 0)
		return -1;
	w->wq = cut(all, 0, q, &w->part[0]);
	w->wk = cut(all, q, kv, &w->part[1]);
	w->wv = cut(all, q + kv, kv, &w->part[2]);
	return 0;
}

static int bind_gate_up(struct model *m, int l, char err[ERR_MAX])
{
	const struct model_config *c = &m->cfg;
	struct layer *w = &m->layer[l];
	const struct gguf_tensor *all = find(m, l, "ffn_up.weight");

	if (!all || all->dim[1] != 2 * (int64_t)c->n_ff || find(m, l, "ffn_gate.weight"))
		return bind_some(m, l, (const struct wanted[]){
			{ "ffn_gate.weight", &w->gate, c->n_ff, c->n_embd },
			{ "ffn_up.weight", &w->up, c->n_ff, c->n_embd } }, 2, err);
	if (bind_some(m, l, &(struct wanted){ "ffn_up.weight", &all, 2 * (int64_t)c->n_ff,
					      c->n_embd }, 1, err) != 0)
		return -1;
	w->gate = cut(all, 0, c->n_ff, &w->part[3]);
	w->up = cut(all, c->n_ff, c->n_ff, &w->part[4]);
	return 0;
}

/* What some architectures have and others have not. */
static int bind_extras(struct model *m, int l, char err[ERR_MAX])
{
	const struct model_config *c = &m->cfg;
	struct layer *w = &m->layer[l];
	const struct {
		bool has;
		struct wanted t;
	} all[] = {
		{ c->qkv_bias, { "attn_q.bias", &w->bq, 0, w->wq->dim[1] } },
		{ c->qkv_bias, { "attn_k.bias", &w->bk, 0, w->wk->dim[1] } },
		{ c->qkv_bias, { "attn_v.bias", &w->bv, 0, w->wv->dim[1] } },
		{ c->qk_norm, { "attn_q_norm.weight", &w->q_norm, 0, c->head_dim } },
		{ c->qk_norm, { "attn_k_norm.weight", &w->k_norm, 0, c->head_dim } },
		{ c->post_norm, { "post_attention_norm.weight", &w->attn_post, 0, c->n_embd } },
		{ c->post_norm, { "post_ffw_norm.weight", &w->ffn_post, 0, c->n_embd } },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].has && bind_some(m, l, &all[i].t, 1, err) != 0)
			return -1;
	return 0;
}

static int bind_layer(struct model *m, int l, char err[ERR_MAX])
{
	const struct model_config *c = &m->cfg;
	struct layer *w = &m->layer[l];
	const struct wanted norm = { "attn_norm.weight", &w->attn_norm, 0, c->n_embd };
	const struct wanted all[] = {
		{ "attn_output.weight", &w->wo, c->n_embd, (int64_t)c->n_heads * c->head_dim },
		{ "ffn_norm.weight", &w->ffn_norm, 0, c->n_embd },
		{ "ffn_down.weight", &w->down, c->n_embd, c->n_ff },
	};

	return bind_some(m, l, &norm, 1, err) || bind_qkv(m, l, err) || bind_gate_up(m, l, err) ||
	       bind_some(m, l, all, sizeof(all) / sizeof(all[0]), err) ? -1 :
	       bind_extras(m, l, err);
}

/* Kinds of model that go by the same name; asked first, because they lack other tensors. */
static int refuse_kinds(const struct model *m, char err[ERR_MAX])
{
	for (int64_t i = 0; i < gguf_n_tensors(m->file); i++) {
		struct gguf_str n = gguf_tensor_at(m->file, i)->name;
		bool is_bias = n.n > 5 && !memcmp(n.s + n.n - 5, ".bias", 5);
		bool is_expert = n.n > 9 && memmem(n.s, n.n, "_exps", 5) != NULL;

		if ((is_bias && !m->cfg.qkv_bias) || is_expert)
			return fail(err, "%s: tensor %.*s: %s are not supported in architecture "
				    "%s", gguf_path(m->file), n.n > 80 ? 80 : (int)n.n, n.s,
				    is_bias ? "biases" : "mixtures of experts", m->cfg.arch);
	}
	return 0;
}

/* A tensor without a use here would be ignored silently, and the answers would be wrong. */
static int refuse_extras(const struct model *m, char err[ERR_MAX])
{
	for (int64_t i = 0; i < gguf_n_tensors(m->file); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(m->file, i);

		if (!m->used[i])
			return fail(err, "%s: tensor %.*s has no use in architecture %s with %d "
				    "layers", gguf_path(m->file),
				    t->name.n > 80 ? 80 : (int)t->name.n, t->name.s, m->cfg.arch,
				    m->cfg.n_layers);
	}
	return 0;
}

/* The embedding table, the file's own or base's; it says how many tokens there are. */
static int bind_embd(struct model *m, const struct model *base, char err[ERR_MAX])
{
	struct model_config *c = &m->cfg;
	const struct gguf_tensor *own = gguf_tensor_find(m->file, "token_embd.weight");

	if (borrow_asked(m->file)) {
		if (borrow_embd(m, base, err) != 0)
			return -1;
		if (m->embd->dim[0] != c->n_embd)
			return fail(err, "%s: embeddings of width %d cannot be borrowed from %s, "
				    "where they have %lld", gguf_path(m->file), c->n_embd,
				    gguf_path(base->file), (long long)m->embd->dim[0]);
		c->n_vocab = base->cfg.n_vocab;
		return 0;
	}
	if (!own || own->dim[1] > 1 << 24)
		return fail(err, "%s: tensor token_embd.weight is %s", gguf_path(m->file),
			    own ? "too large" : "missing");
	c->n_vocab = (int)own->dim[1];
	m->embd = bind(m, "token_embd.weight", c->n_vocab, c->n_embd, err);
	return m->embd ? 0 : -1;
}

/* One set of factors that all contexts have, or those of short and of long ones. */
static int bind_rope(struct model *m, char err[ERR_MAX])
{
	static const char *const names[] = { "rope_freqs.weight", "rope_factors_short.weight",
					     "rope_factors_long.weight" };
	bool is_long = m->cfg.n_ctx_short > 0;

	for (int i = is_long; i < (is_long ? 3 : 1); i++) {
		const struct gguf_tensor **to = &m->rope_freqs[i == 2];

		if (!gguf_tensor_find(m->file, names[i]) && !is_long)
			continue;
		*to = bind(m, names[i], 0, m->cfg.n_rot / 2, err);
		if (!*to)
			return -1;
	}
	return 0;
}

static int bind_all(struct model *m, const struct model *base, char err[ERR_MAX])
{
	struct model_config *c = &m->cfg;

	if (bind_embd(m, base, err) != 0 || borrow_ids(m, err) != 0)
		return -1;
	m->norm = bind(m, "output_norm.weight", 0, c->n_embd, err);
	if (!m->norm)
		return -1;
	m->output = m->embd;
	if (m->out_id || gguf_tensor_find(m->file, "output.weight"))
		m->output = bind(m, "output.weight", c->n_out, c->n_embd, err);
	if (!m->output)
		return -1;
	if (bind_rope(m, err) != 0)
		return -1;
	for (int l = 0; l < c->n_layers; l++)
		if (bind_layer(m, l, err) != 0)
			return -1;
	return refuse_extras(m, err);
}

struct model *model_bind(struct gguf *file, const struct model *base, char err[ERR_MAX])
{
	struct model *m = mem_new(1, sizeof(*m), err);

	if (!m) {
		gguf_close(file);
		return NULL;
	}
	m->file = file;
	m->used = mem_new((size_t)gguf_n_tensors(file) + 1, sizeof(*m->used), err);
	if (!m->used || model_config_read(m, err) != 0 || refuse_kinds(m, err) != 0 ||
	    bind_all(m, base, err) != 0) {
		model_close(m);
		return NULL;
	}
	return m;
}

struct model *model_open(const char *path, const struct model *base, char err[ERR_MAX])
{
	struct gguf *file = gguf_open(path, err);

	return file ? model_bind(file, base, err) : NULL;
}

int model_mute(struct model *m, int i, char err[ERR_MAX])
{
	if (!m->mute)
		m->mute = mem_new((size_t)m->cfg.n_out + 3, 1, err);
	if (!m->mute)
		return -1;
	m->mute[i] = 1;
	return 0;
}

void model_close(struct model *m)
{
	if (!m)
		return;
	gguf_close(m->file);
	mem_free(m->out_id);
	mem_free(m->mute);
	mem_free(m->used);
	mem_free(m);
}
