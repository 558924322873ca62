/* naive_kit.h - the forward pass written naively in double precision, one position at a time, which
 * backends are compared with.
 *
 * Included once by a test program.  struct naive borrows the model. */
#ifndef S3D_NAIVE_KIT_H
#define S3D_NAIVE_KIT_H
#include "tests/dense_kit.h"
#include "tests/forward_kit.h"

/* ---- the naive forward: one position at a time, all in double, nothing shared ---- */

struct naive {
	const struct model *m;
	double *k, *v;          /* (n_layers, CTX, kv width) */
	enum cache cache;
	double *in;             /* (n_layers, CTX, n_embd) rows that entered layers, or NULL */
	const struct bridge *bridge;    /* whose adapters act now, or NULL */
	struct grouping group;          /* layers that share their input; size 0: none */
	struct pruning prune;           /* of MLPs; its norms only say that there are some */
	/* The least distance, in parts of it, of a score that was just enough to be kept from the
	 * next: others may round that the other way. */
	double closest;
	struct decoded *decoded;        /* (TENSORS) for many positions; NULL: for each anew */
	/* Is shown what every matrix multiplies, or NULL. */
	void (*seen)(const struct gguf_tensor *t, const double *x);
};

static inline void naive_times(const struct naive *s, const struct gguf_tensor *t, const double *x,
			       double *y)
{
	struct decoded *d = s->decoded;

	if (s->seen)
		s->seen(t, x);
	if (!d) {
		dense(t, x, y);
		return;
	}
	while (d->t && d->t != t)
		d++;
	assert_true(d < s->decoded + TENSORS - 1);
	if (!d->t)
		*d = (struct decoded){ t, decode(t) };
	times(d->w, t, x, y);
}

static inline void naive_forget(struct naive *s)
{
	for (struct decoded *d = s->decoded; d && d->t; d++)
		free(d->w);
	free(s->decoded);
	s->decoded = NULL;
}

static inline void rms(const struct gguf_tensor *t, const double *x, double *y, double eps)
{
	double sum = 0;

	for (int64_t i = 0; i < t->dim[0]; i++)
		sum += x[i] * x[i];
	for (int64_t i = 0; i < t->dim[0]; i++)
		y[i] = x[i] / sqrt(sum / (double)t->dim[0] + eps) *
		       (double)((const float *)t->data)[i];
}

/* Speeds as published: linear scaling and factors of the set that the layer turns by. */
static inline double naive_angle(const struct model *m, int layer, int j, int pos)
{
	const struct model_config *c = &m->cfg;
	bool global = !c->window || !c->global_each || (layer + 1) % c->global_each == 0;
	bool local_base = !global && !strcmp(c->arch, "gemma3");
	int set = local_base || (!strcmp(c->arch, "phi3") && CTX > c->n_ctx_short);
	double base = local_base ? 10000 : (double)c->rope_base;
	const struct gguf_tensor *f = m->rope_freqs[set];
	double factor = f ? (double)((const float *)f->data)[j] : 1;

	return pos * (local_base ? 1 : (double)c->rope_scale) / pow(base, 2.0 * j / c->n_rot) /
	       factor;
}

static inline void rope(const struct model *m, int layer, double *x, int heads, int pos)
{
	for (int h = 0; h < heads; h++)
		for (int j = 0; j < m->cfg.n_rot / 2; j++) {
			bool pairs = m->cfg.rope == ROPE_PAIRS;
			int apart = pairs ? 1 : m->cfg.n_rot / 2;
			double *p = x + h * m->cfg.head_dim + (pairs ? 2 * j : j);
			double angle = naive_angle(m, layer, j, pos);
			double a = p[0] * (double)m->cfg.rope_gain;
			double b = p[apart] * (double)m->cfg.rope_gain;

			p[0] = a * cos(angle) - b * sin(angle);
			p[apart] = a * sin(angle) + b * cos(angle);
		}
}

static inline double capped(double x, double cap)
{
	return cap > 0 ? cap * tanh(x / cap) : x;
}

static inline void norm_heads(const struct gguf_tensor *w, double *x, int heads, double eps)
{
	for (int h = 0; w && h < heads; h++)
		rms(w, x + h * w->dim[0], x + h * w->dim[0], eps);
}

/* x += what a sub-layer gave, as the architecture wants it. */
static inline void add_residual(const struct model_config *c, const struct gguf_tensor *norm,
				double *y, double *x)
{
	if (norm)
		rms(norm, y, y, (double)c->norm_eps);
	for (int i = 0; i < c->n_embd; i++)
		x[i] += y[i] * (double)c->residual_scale;
}

static inline void naive_attention(struct naive *s, int l, int pos, const double *q, double *out)
{
	const struct model_config *c = &s->m->cfg;
	int kv = c->n_kv_heads * c->head_dim;
	bool local = c->window && (!c->global_each || (l + 1) % c->global_each);
	int first = local && pos >= c->window ? pos - c->window + 1 : 0;

	for (int h = 0; h < c->n_heads; h++) {
		int at = h / (c->n_heads / c->n_kv_heads) * c->head_dim;
		double sum = 0, *o = out + h * c->head_dim;

		memset(o, 0, sizeof(double) * (size_t)c->head_dim);
		for (int t = first; t <= pos; t++) {
			const double *k = s->k + ((size_t)l * CTX + (size_t)t) * (size_t)kv + at;
			const double *v = s->v + ((size_t)l * CTX + (size_t)t) * (size_t)kv + at;
			double dot = 0;

			for (int i = 0; i < c->head_dim; i++)
				dot += q[h * c->head_dim + i] * k[i];
			dot = exp(capped(dot * (double)c->attn_scale, (double)c->attn_cap));
			sum += dot;
			for (int i = 0; i < c->head_dim; i++)
				o[i] += dot * v[i];
		}
		for (int i = 0; i < c->head_dim; i++)
			o[i] /= sum;
	}
}

/* The cache holds f16 or q8_0; everything else here is double. */
static inline double as_f16(double x)
{
	return (double)quant_f16_to_f32(quant_f32_to_f16((float)x));
}

/* Every run of the largest power of two that divides dim times the Hadamard matrix. */
static inline void rotate_heads(double *x, int heads, int dim)
{
	unsigned run = 1;
	double y[WIDE];

	while ((unsigned)dim % (2 * run) == 0)
		run *= 2;
	for (unsigned i = 0; i < (unsigned)(heads * dim); i++) {
		y[i] = 0;
		for (unsigned j = 0; j < run; j++)
			y[i] += x[i / run * run + j] *
				(__builtin_popcount(i % run & j) % 2 ? -1 : 1) / sqrt(run);
	}
	memcpy(x, y, sizeof(*x) * (size_t)(heads * dim));
}

static inline void round_heads(double *x, int heads, int dim, bool q8)
{
	for (int i = 0; !q8 && i < heads * dim; i++)
		x[i] = as_f16(x[i]);
	for (int h = 0; q8 && h < heads; h++)
		for (int from = 0; from < dim; from += 32) {
			double *block = x + h * dim + from, most = 0, scale;
			int n = dim - from < 32 ? dim - from : 32;

			for (int i = 0; i < n; i++)
				most = fmax(most, fabs(block[i]));
			scale = as_f16(most / 127);
			for (int i = 0; i < n; i++)
				block[i] = nearbyint(block[i] / scale) * scale;
		}
}

static inline void add_bias(const struct gguf_tensor *bias, double *x)
{
	for (int64_t i = 0; bias && i < bias->dim[0]; i++)
		x[i] += (double)((const float *)bias->data)[i];
}

static inline void naive_embed(const struct naive *s, int pos, double *x)
{
	const struct gguf_tensor *e = s->m->embd;
	int d = s->m->cfg.n_embd;
	float row[WIDE];

	quant_row(e->type, (const uint8_t *)e->data + (size_t)tokens[pos] *
		  quant_bytes(quant_info((int)e->type), d), row, d);
	for (int i = 0; i < d; i++)
		x[i] = (double)row[i] * (double)s->m->cfg.embd_scale;
}

/* y[0..n-1] += what comes out of an adapter from `first` on, where one acts. */
static inline void naive_adapt(const struct naive *s, int l, enum adapt which, const double *x,
			       int first, int n, double *y)
{
	const struct adapter *a = s->bridge && s->bridge->adapt ? &s->bridge->adapt[l][which]
								: NULL;
	double low[WIDE], all[3 * WIDE];

	if (!a || !a->down)
		return;
	dense(a->down, x, low);
	dense(a->up, low, all);
	for (int i = 0; i < n; i++)
		y[i] += all[first + i];
}

static inline void naive_attend(struct naive *s, int l, int pos, double *x)
{
	const struct model_config *c = &s->m->cfg;
	const struct layer *w = &s->m->layer[l];
	int kv = c->n_kv_heads * c->head_dim, d = c->n_embd;
	double *k = s->k + ((size_t)l * CTX + (size_t)pos) * (size_t)kv;
	double *v = s->v + ((size_t)l * CTX + (size_t)pos) * (size_t)kv;
	double n[WIDE], q[WIDE], o[WIDE], y[WIDE];

	rms(w->norm[NORM_ATTN], x, n, (double)c->norm_eps);
	naive_times(s, w->mat[MAT_Q], n, q);
	naive_times(s, w->mat[MAT_K], n, k);
	naive_times(s, w->mat[MAT_V], n, v);
	naive_adapt(s, l, ADAPT_QKV, n, 0, c->n_heads * c->head_dim, q);
	naive_adapt(s, l, ADAPT_QKV, n, c->n_heads * c->head_dim, kv, k);
	naive_adapt(s, l, ADAPT_QKV, n, c->n_heads * c->head_dim + kv, kv, v);
	add_bias(w->bias[0], q);
	add_bias(w->bias[1], k);
	add_bias(w->bias[2], v);
	norm_heads(w->norm[NORM_Q], q, c->n_heads, (double)c->norm_eps);
	norm_heads(w->norm[NORM_K], k, c->n_kv_heads, (double)c->norm_eps);
	rope(s->m, l, q, c->n_heads, pos);
	rope(s->m, l, k, c->n_kv_heads, pos);
	if (s->cache & Q8_KEYS)
		rotate_heads(k, c->n_kv_heads, c->head_dim);
	round_heads(k, c->n_kv_heads, c->head_dim, s->cache & Q8_KEYS);
	if (s->cache & Q8_KEYS)         /* its own inverse */
		rotate_heads(k, c->n_kv_heads, c->head_dim);
	round_heads(v, c->n_kv_heads, c->head_dim, s->cache & Q8_VALUES);
	naive_attention(s, l, pos, q, o);
	naive_times(s, w->mat[MAT_OUT], o, y);
	naive_adapt(s, l, ADAPT_OUT, o, 0, d, y);
	add_residual(c, w->norm[NORM_ATTN_POST], y, x);
}

static inline double naive_act(const struct model_config *c, double x)
{
	if (!strncmp(c->arch, "gemma", 5))
		return x / 2 * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
	return x / (1 + exp(-x));
}

/* The root of the sum of squares of each column of n matrices from `first` on. */
static inline void naive_norms(const struct naive *s, int l, int first, int n, double *norm)
{
	float w[WIDE];
	int64_t cols = s->m->layer[l].mat[first]->dim[0];

	for (int64_t i = 0; i < cols; i++)
		norm[i] = 0;
	for (int m = first; m < first + n; m++) {
		const struct gguf_tensor *t = s->m->layer[l].mat[m];
		size_t row = quant_bytes(quant_info((int)t->type), cols);

		for (int64_t r = 0; r < t->dim[1]; r++) {
			quant_row(t->type, (const uint8_t *)t->data + (size_t)r * row, w, cols);
			for (int64_t i = 0; i < cols; i++)
				norm[i] += (double)w[i] * (double)w[i];
		}
	}
	for (int64_t i = 0; i < cols; i++)
		norm[i] = sqrt(norm[i]);
}

/* Zero but for the floor(part * n) numbers that have the largest scores, taken out one by one. */
static inline void naive_prune(struct naive *s, int l, int first, int mats, double part, int n,
			       double *x)
{
	int k = (int)(part * n + 1e-9);
	double norm[WIDE], kept[WIDE] = { 0 }, last = 0;

	if (part <= 0 || k >= n)
		return;
	naive_norms(s, l, first, mats, norm);
	for (int j = 0; j <= k; j++) {
		double score = 0;
		int best = -1;

		for (int i = 0; i < n; i++) {
			double one = fabs(x[i]) * (s->prune.norms ? norm[i] : 1);

			if (best < 0 || one > score) {
				best = i;
				score = one;
			}
		}
		if (j == k) {
			s->closest = fmin(s->closest, (last - score) / last);
			break;
		}
		last = score;
		kept[best] = x[best];
		x[best] = 0;
	}
	memcpy(x, kept, sizeof(*x) * (size_t)n);
}

static inline void naive_mlp(struct naive *s, int l, double *x)
{
	const struct model_config *c = &s->m->cfg;
	const struct layer *w = &s->m->layer[l];
	double n[WIDE], y[WIDE], gate[WIDE], up[WIDE];

	rms(w->norm[NORM_FFN], x, n, (double)c->norm_eps);
	naive_prune(s, l, MAT_GATE, 2, s->prune.in, c->n_embd, n);
	naive_times(s, w->mat[MAT_GATE], n, gate);
	naive_times(s, w->mat[MAT_UP], n, up);
	naive_adapt(s, l, ADAPT_GATE_UP, n, 0, c->n_ff, gate);
	naive_adapt(s, l, ADAPT_GATE_UP, n, c->n_ff, c->n_ff, up);
	for (int i = 0; i < c->n_ff; i++)
		gate[i] = naive_act(c, gate[i]) * up[i];
	naive_prune(s, l, MAT_DOWN, 1, s->prune.hidden, c->n_ff, gate);
	naive_times(s, w->mat[MAT_DOWN], gate, y);
	naive_adapt(s, l, ADAPT_DOWN, gate, 0, c->n_embd, y);
	add_residual(c, w->norm[NORM_FFN_POST], y, x);
}

static inline void naive_layer(struct naive *s, int l, int pos, double *x)
{
	size_t d = (size_t)s->m->cfg.n_embd;

	if (s->in)
		memcpy(s->in + ((size_t)l * CTX + (size_t)pos) * d, x, d * sizeof(*x));
	naive_attend(s, l, pos, x);
	naive_mlp(s, l, x);
}

/* Layers l..l+n-1 from one input by the paper's equations: a_k = A_k(x), b_k the a of the last
 * `bypass` layers before, m_k = M_k(x + a_k + b_k), x' = x + sum(a_k + m_k); as released b_k stays
 * in the sum. */
static inline void naive_group(struct naive *s, int l, int n, int pos, double *x)
{
	int d = s->m->cfg.n_embd;
	double a[GROUP_MAX][WIDE], sum[WIDE];

	memcpy(sum, x, sizeof(*x) * (size_t)d);
	for (int k = 0; k < n; k++) {
		double h[WIDE], in[WIDE];

		memcpy(h, x, sizeof(*x) * (size_t)d);
		naive_attend(s, l + k, pos, h);
		for (int i = 0; i < d; i++)
			a[k][i] = h[i] - x[i];
		for (int j = k - s->group.bypass > 0 ? k - s->group.bypass : 0; j < k; j++)
			for (int i = 0; i < d; i++)
				h[i] += a[j][i];
		memcpy(in, h, sizeof(*x) * (size_t)d);
		naive_mlp(s, l + k, h);
		for (int i = 0; i < d; i++)
			sum[i] += s->group.released ? h[i] - x[i] : a[k][i] + h[i] - in[i];
	}
	memcpy(x, sum, sizeof(*x) * (size_t)d);
}

/* Layers from..to-1 of the model, and the logits behind the last. */
static inline void naive_layers(struct naive *s, int from, int to, int pos, double *x,
				double *logits)
{
	double n[WIDE];

	for (int l = from; l < to; l++) {
		const struct grouping *g = &s->group;
		int left = g->to - l, some = left < g->size ? left : g->size;

		if (g->size < 2 || l < g->from || l >= g->to) {
			naive_layer(s, l, pos, x);
			continue;
		}
		naive_group(s, l, some, pos, x);
		l += some - 1;
	}
	if (to < s->m->cfg.n_layers)
		return;
	rms(s->m->norm, x, n, (double)s->m->cfg.norm_eps);
	naive_times(s, s->m->output, n, logits);
	for (int i = 0; i < s->m->cfg.n_vocab; i++)
		logits[i] = capped(logits[i] * (double)s->m->cfg.logit_scale,
				   (double)s->m->cfg.logit_cap);
}

static inline void naive_step(struct naive *s, int pos, double *logits)
{
	double x[WIDE];

	naive_embed(s, pos, x);
	naive_layers(s, 0, s->m->cfg.n_layers, pos, x, logits);
}

/* The backend's logits of `end` positions, so many rows a pass. */
static inline float *all_rows(struct rig *r, int end, int rows)
{
	size_t vocab = (size_t)r->m->cfg.n_vocab;
	float *got = malloc(sizeof(float) * (size_t)end * vocab);

	for (int pos = 0; pos < end; pos += rows) {
		int n = end - pos < rows ? end - pos : rows;
		float *some = run(r, NULL, pos, n, n);

		memcpy(got + (size_t)pos * vocab, some, sizeof(float) * (size_t)n * vocab);
		free(some);
	}
	return got;
}

/* A way to run a text, and how far from the naive logits it comes out. */
struct distance {
	int end, rows;          /* positions; of them in a pass */
	double most, rms;
};

static inline void distances_in(struct rig *r, enum cache cache, struct distance *d, int n)
{
	const struct model_config *c = &r->m->cfg;
	size_t kv = (size_t)c->n_layers * CTX * (size_t)(c->n_kv_heads * c->head_dim);
	struct naive s = { .m = r->m, .k = calloc(kv, sizeof(double)),
			   .v = calloc(kv, sizeof(double)), .cache = cache, .group = r->group,
			   .prune = r->prune, .closest = 1,
			   .decoded = calloc(TENSORS, sizeof(struct decoded)) };
	double *want = malloc(sizeof(double) * (size_t)c->n_vocab);
	float *got[4];
	int end = 0;

	assert_true(n <= 4);
	for (int i = 0; i < n; i++) {
		got[i] = all_rows(r, d[i].end, d[i].rows);
		end = d[i].end > end ? d[i].end : end;
		d[i].most = d[i].rms = 0;
	}
	for (int pos = 0; pos < end; pos++) {
		naive_step(&s, pos, want);
		for (int i = 0; i < n; i++)
			for (int v = 0; pos < d[i].end && v < c->n_vocab; v++) {
				double e = fabs(want[v] - (double)got[i][(size_t)pos *
							(size_t)c->n_vocab + (size_t)v]);

				d[i].most = e > d[i].most || isnan(e) ? e : d[i].most;
				d[i].rms += e * e;
			}
	}
	for (int i = 0; i < n; i++) {
		d[i].rms = sqrt(d[i].rms / d[i].end / c->n_vocab);
		free(got[i]);
	}
	naive_forget(&s);
	free(want);
	free(s.k);
	free(s.v);
}

/* Largest distance over `end` positions, so many rows a pass, and *rms. */
static inline double distance_in(struct rig *r, enum cache cache, int end, int rows,
				 double *rms_error)
{
	struct distance d = { .end = end, .rows = rows };

	distances_in(r, cache, &d, 1);
	*rms_error = d.rms;
	return d.most;
}
#endif
