/* model_config.c - see model_config.h.
 *
 * A new architecture is a row in the table below, plus what differs in struct model_config.
 * Invariant: every number was checked before it got into the configuration. */
#include "engine/model/model_config.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

struct architecture {
	const char *name, *models;
	enum rope_kind rope;
	enum activation act;
	bool qkv_bias, qk_norm, post_norm;
	bool embd_root;         /* embeddings times the root of their width */
	bool windowed;          /* may have local layers */
	int window;             /* of a file that does not say */
	int global_each;
	float rope_base_1;      /* of local layers */
	float attn_cap, logit_cap;      /* of a file that does not say */
	bool may_not_turn;      /* rope.scaling.finetuned false: without RoPE */
	int wide_layers;        /* a model of so many has scores of width n_embd / n_heads */
};

static const struct architecture architectures[] = {
	{ .name = "llama", .models = "Llama, Mistral, TinyLlama, SmolLM2", .rope = ROPE_PAIRS },
	{ .name = "qwen2", .models = "Qwen 2, 2.5", .rope = ROPE_HALVES, .qkv_bias = true },
	{ .name = "qwen3", .models = "Qwen 3", .rope = ROPE_HALVES, .qk_norm = true },
	{ .name = "gemma2", .models = "Gemma 2", .rope = ROPE_HALVES, .act = ACT_GELU,
	  .post_norm = true, .embd_root = true, .windowed = true, .window = 4096,
	  .global_each = 2, .attn_cap = 50, .logit_cap = 30, .wide_layers = 46 },
	{ .name = "gemma3", .models = "Gemma 3", .rope = ROPE_HALVES, .act = ACT_GELU,
	  .qk_norm = true, .post_norm = true, .embd_root = true, .windowed = true,
	  .global_each = 6, .rope_base_1 = 10000, .wide_layers = 62 },
	{ .name = "phi3", .models = "Phi 3, 3.5, 4", .rope = ROPE_HALVES, .windowed = true },
	{ .name = "granite", .models = "Granite 3", .rope = ROPE_PAIRS,
	  .may_not_turn = true },
};
enum { N_ARCHITECTURES = sizeof(architectures) / sizeof(architectures[0]) };

/* Why others are refused, by name or by the beginning of it. */
static const struct {
	const char *name, *kind;
} others[] = {
	{ "mamba", "a recurrent model" }, { "rwkv", "a recurrent model" },
	{ "arwkv", "a recurrent model" }, { "falcon-h1", "a hybrid of attention and recurrence" },
	{ "granitehybrid", "a hybrid of attention and recurrence" },
	{ "jamba", "a hybrid of attention and recurrence" },
	{ "lfm2", "a hybrid of attention and convolutions" },
	{ "nemotron_h", "a hybrid of attention and recurrence" },
	{ "plamo2", "a hybrid of attention and recurrence" },
	{ "qwen3next", "a hybrid of attention and recurrence" },
	{ "qwen35", "a hybrid of attention and recurrence" },
	{ "kimi-linear", "a hybrid of attention and recurrence" },
	{ "qwen2moe", "a mixture of experts" }, { "qwen3moe", "a mixture of experts" },
	{ "llama4", "a mixture of experts" }, { "phimoe", "a mixture of experts" },
	{ "olmoe", "a mixture of experts" }, { "granitemoe", "a mixture of experts" },
	{ "deepseek", "a mixture of experts" }, { "gpt-oss", "a mixture of experts" },
	{ "glm4moe", "a mixture of experts" }, { "dbrx", "a mixture of experts" },
	{ "grok", "a mixture of experts" }, { "arctic", "a mixture of experts" },
	{ "ernie4_5-moe", "a mixture of experts" }, { "minimax", "a mixture of experts" },
	{ "t5", "an encoder and decoder" }, { "bert", "an encoder" },
	{ "nomic-bert", "an encoder" }, { "jina-bert", "an encoder" },
	{ "modern-bert", "an encoder" }, { "clip", "an encoder of images" },
	{ "s3d-sidecar", "what a model drafts for itself with (--sidecar)" },
};

const char *model_architectures(void)
{
	static char text[256];
	size_t n = 0;

	if (*text)
		return text;
	for (int i = 0; i < N_ARCHITECTURES; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s (%s)", i ? ", " : "",
				      architectures[i].name, architectures[i].models);
	return text;
}

/* ---- keys "ARCH.key" ---- */

/* What converters write for each layer counts if it is the same for all: then the array's one value
 * is *out.  1: there is none, -1: values differ. */
static int same_for_all(const struct gguf *g, const char *name, bool whole, double *out)
{
	enum gguf_type type;
	int64_t n;

	if (!gguf_array(g, name, &type, &n) || n < 1 || n > MODEL_MAX_LAYERS ||
	    type == GGUF_STRING || type == GGUF_BOOL ||
	    (type == GGUF_F32 || type == GGUF_F64) == whole)
		return 1;
	for (int64_t i = 0; i < n; i++) {
		double v = whole ? (double)gguf_array_int(g, name, i) :
				   gguf_array_float(g, name, i);

		if (i && v != *out)
			return -1;
		*out = v;
	}
	return 0;
}

static int differs(const struct gguf *g, const char *name, char err[ERR_MAX])
{
	return fail(err, "%s: %s is not the same for all layers; that is not supported",
		    gguf_path(g), name);
}

/* A whole number in lo..hi; fallback < 0: the key must be there. */
static int want(const struct model *m, const char *key, int64_t lo, int64_t hi, int64_t fallback,
		int *out, char err[ERR_MAX])
{
	const struct gguf *g = m->file;
	char name[96];
	int64_t v = fallback;
	double each = 0;
	int rc;

	snprintf(name, sizeof(name), "%s.%s", m->cfg.arch, key);
	rc = same_for_all(g, name, true, &each);
	if (rc < 0)
		return differs(g, name, err);
	if (rc == 0)
		v = (int64_t)each;
	else if (!gguf_int(g, name, &v) && (fallback < 0 || gguf_has(g, name)))
		return fail(err, "%s: %s is %s", gguf_path(g), name,
			    gguf_has(g, name) ? "not a whole number" : "missing");
	if (v < lo || v > hi)
		return fail(err, "%s: %s = %lld is out of range %lld..%lld", gguf_path(g), name,
			    (long long)v, (long long)lo, (long long)hi);
	*out = (int)v;
	return 0;
}

/* The same for a number; here all that may be missing has a fallback of at least lo. */
static int want_float(const struct model *m, const char *key, double lo, double hi,
		      double fallback, float *out, char err[ERR_MAX])
{
	const struct gguf *g = m->file;
	char name[96];
	double v = fallback;
	int rc;

	snprintf(name, sizeof(name), "%s.%s", m->cfg.arch, key);
	rc = same_for_all(g, name, false, &v);
	if (rc < 0)
		return differs(g, name, err);
	if (rc && !gguf_float(g, name, &v) && (fallback < lo || gguf_has(g, name)))
		return fail(err, "%s: %s is %s", gguf_path(g), name,
			    gguf_has(g, name) ? "not a floating-point number" : "missing");
	if (!(v >= lo && v <= hi))
		return fail(err, "%s: %s = %g is out of range", gguf_path(g), name, v);
	*out = (float)v;
	return 0;
}

/* ---- the architecture ---- */

static bool is_name(struct gguf_str s, const char *name)
{
	return s.n == strlen(name) && !memcmp(s.s, name, s.n);
}

static const char *kind_of(struct gguf_str s)
{
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (s.n >= strlen(others[i].name) &&
		    !memcmp(s.s, others[i].name, strlen(others[i].name)))
			return others[i].kind;
	return NULL;
}

static const struct architecture *find_arch(struct model *m, char err[ERR_MAX])
{
	struct gguf_str s = { "", 0 };
	const char *kind;

	if (!gguf_string(m->file, "general.architecture", &s)) {
		fail(err, "%s: no general.architecture; is it a language model?",
		     gguf_path(m->file));
		return NULL;
	}
	for (int i = 0; i < N_ARCHITECTURES; i++)
		if (is_name(s, architectures[i].name)) {
			snprintf(m->cfg.arch, sizeof(m->cfg.arch), "%s", architectures[i].name);
			return &architectures[i];
		}
	kind = kind_of(s);
	fail(err, "%s: architecture '%.*s'%s%s%s is not supported; supported: %s",
	     gguf_path(m->file), s.n > 40 ? 40 : (int)s.n, s.s, kind ? " (" : "", kind ? kind : "",
	     kind ? ")" : "", model_architectures());
	return NULL;
}

static bool is_one_of(struct gguf_str s, const char *const names[], int n)
{
	for (int i = 0; i < n; i++)
		if (is_name(s, names[i]))
			return true;
	return false;
}

/* The factor of positions that the file has under its name, or its oldest one; 1 where it has none,
 * and where it has 0, as converters wrote for a model that is not scaled. */
static int read_factor(struct model *m, float *factor, char err[ERR_MAX])
{
	char name[96];

	snprintf(name, sizeof(name), "%s.rope.scaling.factor", m->cfg.arch);
	if (want_float(m, gguf_has(m->file, name) ? "rope.scaling.factor" : "rope.scale_linear", 0,
		       1e6, 0, factor, err) != 0)
		return -1;
	if (*factor == 0)
		*factor = 1;
	return *factor >= 0.01f ? 0 : fail(err, "%s: %s = %g is out of range",
					   gguf_path(m->file), name, (double)*factor);
}

/* Linear scaling is a factor on positions, and what a factor without a type means; of a long
 * context the factors are tensors.  Other kinds need code that is not here, but for YaRN by a
 * factor of 1, which changes nothing. */
static int read_scaling(struct model *m, char err[ERR_MAX])
{
	static const char *const unscaled[] = { "none", "default", "longrope", "su" };
	static const char *const scaled[] = { "", "linear" };
	struct model_config *c = &m->cfg;
	struct gguf_str kind = { "", 0 };
	char key[96];
	float factor;
	bool none, linear;

	snprintf(key, sizeof(key), "%s.rope.scaling.type", c->arch);
	if (!gguf_string(m->file, key, &kind) && gguf_has(m->file, key))
		return fail(err, "%s: %s is not a string", gguf_path(m->file), key);
	none = is_one_of(kind, unscaled, 4);
	linear = is_one_of(kind, scaled, 2);
	factor = 1;
	if (!none && read_factor(m, &factor, err) != 0)
		return -1;
	if (!none && !linear && !(is_name(kind, "yarn") && factor == 1))
		return fail(err, "%s: rope scaling '%.*s' is not supported; supported: none, "
			    "linear, longrope, and factors in rope_freqs.weight",
			    gguf_path(m->file), kind.n > 40 ? 40 : (int)kind.n, kind.s);
	c->rope_scale = 1.0f / factor;
	return want_float(m, "rope.scaling.attn_factor", 0.01, 100, 1, &c->rope_gain, err);
}

/* Whether a cache is a long one decides between two sets of factors, where a file has them. */
static int read_long(struct model *m, char err[ERR_MAX])
{
	struct model_config *c = &m->cfg;

	if (!gguf_tensor_find(m->file, "rope_factors_long.weight"))
		return 0;
	if (want(m, "rope.scaling.original_context_length", 0, 1 << 24, c->n_ctx_train,
		 &c->n_ctx_short, err) != 0)
		return -1;
	if (!c->n_ctx_short)
		c->n_ctx_short = c->n_ctx_train;
	return 0;
}

static int read_rope(struct model *m, const struct architecture *a, char err[ERR_MAX])
{
	struct model_config *c = &m->cfg;
	char key[96];
	bool turns = true;

	snprintf(key, sizeof(key), "%s.rope.scaling.finetuned", c->arch);
	if (a->may_not_turn && gguf_bool(m->file, key, &turns) && !turns)
		return fail(err, "%s: %s is false: models without RoPE are not supported",
			    gguf_path(m->file), key);
	c->rope = a->rope;
	if (want_float(m, "rope.freq_base", 1, 1e12, 10000, &c->rope_base, err) ||
	    read_scaling(m, err) || read_long(m, err))
		return -1;
	if (a->rope_base_1 <= 0 || !c->window)
		return 0;
	return want_float(m, "rope.freq_base_swa", 1, 1e12, (double)a->rope_base_1,
			  &c->rope_base_1, err);
}

static int read_heads(struct model *m, char err[ERR_MAX])
{
	struct model_config *c = &m->cfg;
	const struct gguf *g = m->file;
	int value;

	if (want(m, "attention.head_count", 1, 1024, -1, &c->n_heads, err) ||
	    want(m, "attention.head_count_kv", 1, 1024, c->n_heads, &c->n_kv_heads, err))
		return -1;
	if (c->n_heads % c->n_kv_heads)
		return fail(err, "%s: %d heads cannot share %d key heads", gguf_path(g), c->n_heads,
			    c->n_kv_heads);
	if (want(m, "attention.key_length", 2, 4096, c->n_embd / c->n_heads, &c->head_dim, err) ||
	    want(m, "attention.value_length", 2, 4096, c->head_dim, &value, err) ||
	    want(m, "rope.dimension_count", 2, c->head_dim, c->head_dim, &c->n_rot, err))
		return -1;
	if (value != c->head_dim)
		return fail(err, "%s: values of %d dimensions beside keys of %d are not supported",
			    gguf_path(g), value, c->head_dim);
	if (c->n_rot % 2)
		return fail(err, "%s: rope.dimension_count %d is odd", gguf_path(g), c->n_rot);
	return 0;
}

static int read_window(struct model *m, const struct architecture *a, char err[ERR_MAX])
{
	struct model_config *c = &m->cfg;

	if (!a->windowed)
		return 0;
	if (want(m, "attention.sliding_window", 0, 1 << 24, a->window, &c->window, err) ||
	    want(m, "attention.sliding_window_pattern", 0, MODEL_MAX_LAYERS, a->global_each,
		 &c->global_each, err))
		return -1;
	return 0;
}

static int read_scales(struct model *m, const struct architecture *a, char err[ERR_MAX])
{
	struct model_config *c = &m->cfg;
	int width = c->n_layers == a->wide_layers ? c->n_embd / c->n_heads : c->head_dim;
	double embd = a->embd_root ? sqrt((double)c->n_embd) : 1;
	float divisor;

	if (want_float(m, "embedding_scale", 1e-6, 1e6, embd, &c->embd_scale, err) ||
	    want_float(m, "residual_scale", 1e-6, 1e6, 1, &c->residual_scale, err) ||
	    want_float(m, "attention.scale", 1e-6, 1e6, 1 / sqrt((double)width), &c->attn_scale,
		       err) ||
	    want_float(m, "logit_scale", 1e-6, 1e6, 1, &divisor, err) ||
	    want_float(m, "attn_logit_softcapping", 0, 1e6, (double)a->attn_cap, &c->attn_cap,
		       err) ||
	    want_float(m, "final_logit_softcapping", 0, 1e6, (double)a->logit_cap, &c->logit_cap,
		       err))
		return -1;
	c->logit_scale = 1 / divisor;
	return 0;
}

int model_config_read(struct model *m, char err[ERR_MAX])
{
	const struct architecture *a = find_arch(m, err);
	struct model_config *c = &m->cfg;

	if (!a)
		return -1;
	c->qkv_bias = a->qkv_bias;
	c->qk_norm = a->qk_norm;
	c->post_norm = a->post_norm;
	c->act = a->act;
	if (want(m, "block_count", 1, MODEL_MAX_LAYERS, -1, &c->n_layers, err) ||
	    want(m, "embedding_length", 1, 1 << 17, -1, &c->n_embd, err) ||
	    want(m, "feed_forward_length", 1, 1 << 20, -1, &c->n_ff, err) ||
	    want(m, "context_length", 1, 1 << 24, -1, &c->n_ctx_train, err) ||
	    read_heads(m, err) || read_window(m, a, err) || read_rope(m, a, err) ||
	    read_scales(m, a, err))
		return -1;
	return want_float(m, "attention.layer_norm_rms_epsilon", 0, 1, -1, &c->norm_eps, err);
}
