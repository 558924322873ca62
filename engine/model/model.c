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

/* n matrices from `first` on, each a tensor of its own. */
static int bind_mats(struct model *m, int l, int first, int n, char err[ERR_MAX])
{
	for (int i = first; i < first + n; i++) {
		struct layer_shape s = layer_mat_shape(&m->cfg, (enum layer_mat)i);

		if (bind_some(m, l, &(struct wanted){ s.name, &m->layer[l].mat[i], s.rows, s.cols },
			      1, err) != 0)
			return -1;
	}
	return 0;
}

/* The same, one behind the other in one tensor. */
static int bind_fused(struct model *m, int l, const char *name, int first, int n, char err[ERR_MAX])
{
	struct layer *w = &m->layer[l];
	struct layer_shape s = layer_mat_shape(&m->cfg, (enum layer_mat)first);
	const struct gguf_tensor *all;
	int64_t rows = 0;

	for (int i = first; i < first + n; i++)
		rows += layer_mat_shape(&m->cfg, (enum layer_mat)i).rows;
	if (bind_some(m, l, &(struct wanted){ name, &all, rows, s.cols }, 1, err) != 0)
		return -1;
	rows = 0;
	for (int i = first; i < first + n; i++) {
		s = layer_mat_shape(&m->cfg, (enum layer_mat)i);
		w->mat[i] = cut(all, rows, s.rows, &w->part[i]);
		rows += s.rows;
	}
	return 0;
}

static int bind_qkv(struct model *m, int l, char err[ERR_MAX])
{
	return find(m, l, "attn_qkv.weight") ?
	       bind_fused(m, l, "attn_qkv.weight", MAT_Q, 3, err) :
	       bind_mats(m, l, MAT_Q, 3, err);
}

static int bind_gate_up(struct model *m, int l, char err[ERR_MAX])
{
	const struct gguf_tensor *up = find(m, l, "ffn_up.weight");

	if (up && up->dim[1] == 2 * (int64_t)m->cfg.n_ff && !find(m, l, "ffn_gate.weight"))
		return bind_fused(m, l, "ffn_up.weight", MAT_GATE, 2, err);
	return bind_mats(m, l, MAT_GATE, 2, err);
}

static int bind_norms(struct model *m, int l, char err[ERR_MAX])
{
	const struct model_config *c = &m->cfg;
#define X(id, has, n, name) { has, { name, &m->layer[l].norm[id], 0, n } },
	const struct {
		bool has;
		struct wanted t;
	} all[] = { LAYER_NORM_TABLE(X) };
#undef X

	for (int i = 0; i < LAYER_NORMS; i++)
		if (all[i].has && bind_some(m, l, &all[i].t, 1, err) != 0)
			return -1;
	return 0;
}

static int bind_biases(struct model *m, int l, char err[ERR_MAX])
{
	static const char *const names[] = { "attn_q.bias", "attn_k.bias", "attn_v.bias" };
	struct layer *w = &m->layer[l];

	for (int i = 0; m->cfg.qkv_bias && i < 3; i++)
		if (bind_some(m, l, &(struct wanted){ names[i], &w->bias[i], 0,
						      w->mat[MAT_Q + i]->dim[1] }, 1, err) != 0)
			return -1;
	return 0;
}

static int bind_layer(struct model *m, int l, char err[ERR_MAX])
{
	return bind_norms(m, l, err) || bind_qkv(m, l, err) || bind_biases(m, l, err) ||
	       bind_mats(m, l, MAT_OUT, 1, err) || bind_gate_up(m, l, err) ||
	       bind_mats(m, l, MAT_DOWN, 1, err) ? -1 : 0;
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
