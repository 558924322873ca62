/* model.c - configuration and weights by name, every shape checked.
 *
 * Architectures llama (Llama, Mistral, TinyLlama, SmolLM2) and qwen2.  A new one is a row in the
 * table below plus what differs in model_config.  Invariant: as in model.h. */
#include "engine/model.h"
#include "engine/borrow.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct architecture {
	const char *name;
	enum rope_kind rope;
	bool qkv_bias;
};

static const struct architecture architectures[] = {
	{ "llama", ROPE_PAIRS, false },
	{ "qwen2", ROPE_HALVES, true },
};

const char *model_architectures(void)
{
	return "llama (Llama, Mistral, TinyLlama, SmolLM2), qwen2 (Qwen 2, 2.5)";
}

/* A whole number "ARCH.key" in lo..hi; fallback < 0: the key must be there. */
static int want(const struct gguf *g, const char *arch, const char *key, int64_t lo, int64_t hi,
		int64_t fallback, int *out, char err[ERR_MAX])
{
	char name[96];
	int64_t v = fallback;

	snprintf(name, sizeof(name), "%s.%s", arch, key);
	if (!gguf_int(g, name, &v) && (fallback < 0 || gguf_has(g, name)))
		return fail(err, "%s: %s is %s", gguf_path(g), name,
			    gguf_has(g, name) ? "not a whole number" : "missing");
	if (v < lo || v > hi)
		return fail(err, "%s: %s = %lld is out of range %lld..%lld", gguf_path(g), name,
			    (long long)v, (long long)lo, (long long)hi);
	*out = (int)v;
	return 0;
}

/* The same for a number; here all that may be missing has a fallback of at least lo. */
static int want_float(const struct gguf *g, const char *arch, const char *key, double lo, double hi,
		      double fallback, float *out, char err[ERR_MAX])
{
	char name[96];
	double v = fallback;

	snprintf(name, sizeof(name), "%s.%s", arch, key);
	if (!gguf_float(g, name, &v) && (fallback < lo || gguf_has(g, name)))
		return fail(err, "%s: %s is %s", gguf_path(g), name,
			    gguf_has(g, name) ? "not a floating-point number" : "missing");
	if (!(v >= lo && v <= hi))
		return fail(err, "%s: %s = %g is out of range", gguf_path(g), name, v);
	*out = (float)v;
	return 0;
}

static const struct architecture *find_arch(struct model *m, char err[ERR_MAX])
{
	struct gguf_str s = { "", 0 };

	if (!gguf_string(m->file, "general.architecture", &s)) {
		fail(err, "%s: no general.architecture; is it a language model?",
		     gguf_path(m->file));
		return NULL;
	}
	for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++) {
		const struct architecture *a = &architectures[i];

		if (s.n == strlen(a->name) && !memcmp(s.s, a->name, s.n)) {
			snprintf(m->cfg.arch, sizeof(m->cfg.arch), "%s", a->name);
			return a;
		}
	}
	fail(err, "%s: architecture '%.*s' is not supported; supported: %s", gguf_path(m->file),
	     s.n > 40 ? 40 : (int)s.n, s.s, model_architectures());
	return NULL;
}

/* Linear scaling is a factor on positions, and what a factor without a type means; other kinds
 * need code that is not here. */
static int read_scaling(struct model *m, char err[ERR_MAX])
{
	struct model_config *c = &m->cfg;
	struct gguf_str kind = { "", 0 };
	char key[96];
	float factor = 1;
	bool none, linear;

	snprintf(key, sizeof(key), "%s.rope.scaling.type", c->arch);
	if (!gguf_string(m->file, key, &kind) && gguf_has(m->file, key))
		return fail(err, "%s: %s is not a string", gguf_path(m->file), key);
	none = kind.n == 4 && !memcmp(kind.s, "none", 4);
	linear = kind.n == 0 || (kind.n == 6 && !memcmp(kind.s, "linear", 6));
	if (!none && !linear)
		return fail(err, "%s: rope scaling '%.*s' is not supported; supported: none, "
			    "linear, and factors in rope_freqs.weight", gguf_path(m->file),
			    kind.n > 40 ? 40 : (int)kind.n, kind.s);
	if (linear && want_float(m->file, c->arch, "rope.scaling.factor", 0.01, 1e6, 1, &factor,
				 err) != 0)
		return -1;
	c->rope_scale = 1.0f / factor;
	return 0;
}

static int read_heads(struct model *m, char err[ERR_MAX])
{
	struct model_config *c = &m->cfg;
	const struct gguf *g = m->file;

	if (want(g, c->arch, "attention.head_count", 1, 1024, -1, &c->n_heads, err) ||
	    want(g, c->arch, "attention.head_count_kv", 1, 1024, c->n_heads, &c->n_kv_heads, err))
		return -1;
	if (c->n_heads % c->n_kv_heads)
		return fail(err, "%s: %d heads cannot share %d key heads", gguf_path(g), c->n_heads,
			    c->n_kv_heads);
	if (want(g, c->arch, "attention.key_length", 2, 4096, c->n_embd / c->n_heads, &c->head_dim,
		 err) ||
	    want(g, c->arch, "rope.dimension_count", 2, c->head_dim, c->head_dim, &c->n_rot, err))
		return -1;
	if (c->n_rot % 2)
		return fail(err, "%s: rope.dimension_count %d is odd", gguf_path(g), c->n_rot);
	return 0;
}

static int read_config(struct model *m, char err[ERR_MAX])
{
	const struct architecture *a = find_arch(m, err);
	struct model_config *c = &m->cfg;
	const struct gguf *g = m->file;

	if (!a)
		return -1;
	c->rope = a->rope;
	c->qkv_bias = a->qkv_bias;
	if (want(g, c->arch, "block_count", 1, MODEL_MAX_LAYERS, -1, &c->n_layers, err) ||
	    want(g, c->arch, "embedding_length", 1, 1 << 17, -1, &c->n_embd, err) ||
	    want(g, c->arch, "feed_forward_length", 1, 1 << 20, -1, &c->n_ff, err) ||
	    want(g, c->arch, "context_length", 1, 1 << 24, -1, &c->n_ctx_train, err) ||
	    read_heads(m, err))
		return -1;
	if (want_float(g, c->arch, "attention.layer_norm_rms_epsilon", 0, 1, -1, &c->norm_eps,
		       err) ||
	    want_float(g, c->arch, "rope.freq_base", 1, 1e12, 10000, &c->rope_base, err))
		return -1;
	return read_scaling(m, err);
}

/* The tensor called name with this shape (rows 0: a vector of cols). */
static const struct gguf_tensor *bind(const struct model *m, const char *name, int64_t rows,
				      int64_t cols, char err[ERR_MAX])
{
	const struct gguf_tensor *t = gguf_tensor_find(m->file, name);
	int64_t want_rows = rows ? rows : 1;

	if (!t) {
		fail(err, "%s: tensor %s is missing", gguf_path(m->file), name);
		return NULL;
	}
	if (t->dim[0] != cols || t->dim[1] != want_rows || t->dim[2] != 1 || t->dim[3] != 1) {
		fail(err, "%s: tensor %s is %lld x %lld x %lld x %lld, expected %lld x %lld",
		     gguf_path(m->file), name, (long long)t->dim[0], (long long)t->dim[1],
		     (long long)t->dim[2], (long long)t->dim[3], (long long)cols,
		     (long long)want_rows);
		return NULL;
	}
	return t;
}

static int bind_biases(struct model *m, int l, char err[ERR_MAX])
{
	struct layer *w = &m->layer[l];
	const struct {
		char letter;
		const struct gguf_tensor **to, *matrix;
	} all[] = { { 'q', &w->bq, w->wq }, { 'k', &w->bk, w->wk }, { 'v', &w->bv, w->wv } };

	for (size_t i = 0; m->cfg.qkv_bias && i < sizeof(all) / sizeof(all[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "blk.%d.attn_%c.bias", l, all[i].letter);
		*all[i].to = bind(m, name, 0, all[i].matrix->dim[1], err);
		if (!*all[i].to)
			return -1;
	}
	return 0;
}

static int bind_layer(struct model *m, int l, char err[ERR_MAX])
{
	const struct model_config *c = &m->cfg;
	int64_t q = (int64_t)c->n_heads * c->head_dim, kv = (int64_t)c->n_kv_heads * c->head_dim;
	struct layer *w = &m->layer[l];
	const struct {
		const char *name;
		const struct gguf_tensor **to;
		int64_t rows, cols;
	} all[] = {
		{ "attn_norm", &w->attn_norm, 0, c->n_embd },
		{ "attn_q", &w->wq, q, c->n_embd },
		{ "attn_k", &w->wk, kv, c->n_embd },
		{ "attn_v", &w->wv, kv, c->n_embd },
		{ "attn_output", &w->wo, c->n_embd, q },
		{ "ffn_norm", &w->ffn_norm, 0, c->n_embd },
		{ "ffn_gate", &w->gate, c->n_ff, c->n_embd },
		{ "ffn_up", &w->up, c->n_ff, c->n_embd },
		{ "ffn_down", &w->down, c->n_embd, c->n_ff },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "blk.%d.%s.weight", l, all[i].name);
		*all[i].to = bind(m, name, all[i].rows, all[i].cols, err);
		if (!*all[i].to)
			return -1;
	}
	return bind_biases(m, l, err);
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

static bool is_bound(const struct model *m, const struct gguf_tensor *t)
{
	bool bound = t == m->embd || t == m->norm || t == m->output || t == m->rope_freqs;

	for (int l = 0; l < m->cfg.n_layers && !bound; l++) {
		const struct layer *w = &m->layer[l];

		bound = t == w->attn_norm || t == w->wq || t == w->wk || t == w->wv ||
			t == w->wo || t == w->ffn_norm || t == w->gate || t == w->up ||
			t == w->down || t == w->bq || t == w->bk || t == w->bv;
	}
	return bound;
}

/* A tensor without a use here would be ignored silently, and the answers would be wrong. */
static int refuse_extras(const struct model *m, char err[ERR_MAX])
{
	for (int64_t i = 0; i < gguf_n_tensors(m->file); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(m->file, i);

		if (!is_bound(m, t))
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
	if (gguf_tensor_find(m->file, "rope_freqs.weight")) {
		m->rope_freqs = bind(m, "rope_freqs.weight", 0, c->n_rot / 2, err);
		if (!m->rope_freqs)
			return -1;
	}
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
	if (read_config(m, err) != 0 || refuse_kinds(m, err) != 0 ||
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

void model_close(struct model *m)
{
	if (!m)
		return;
	gguf_close(m->file);
	mem_free(m->out_id);
	mem_free(m);
}
