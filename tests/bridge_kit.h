/* bridge_kit.h - bridges of random numbers for tests, small enough that what crosses is like what
 * the layers are used to; and what both backends are asked about them.
 *
 * struct crossing owns the tensors' bytes. */
#ifndef S3D_BRIDGE_KIT_H
#define S3D_BRIDGE_KIT_H
#include "tests/naive_kit.h"

enum { ROWS = BRIDGE_ROWS, RANK = 32, TENSORS_MAX = 2 + 2 * ADAPTS * 8 };

struct crossing {
	struct bridge g;
	struct plan p;
	struct schedule over;   /* of the model that it was given for */
	struct gguf_tensor t[TENSORS_MAX];
	int n;
	struct adapter adapt[8][ADAPTS];
};

/* A hundred codes and a scale, or numbers: mean square `size` squared / 3. */
static inline const struct gguf_tensor *random_tensor(struct crossing *x, enum quant_type type,
						      int rows, int cols, float size)
{
	struct gguf_tensor *t = &x->t[x->n++];
	size_t n = (size_t)rows * (size_t)cols, bytes = quant_bytes(quant_info((int)type),
								    (int64_t)n);
	uint8_t *data = malloc(bytes);

	assert_true(x->n <= TENSORS_MAX);
	for (size_t i = 0; i < n; i++) {
		float v = (float)(rand() % 2001 - 1000) / 1000.0f * size;
		uint16_t h = quant_f32_to_f16(type == QUANT_Q8_0 ? size / 100 : v);

		if (type == QUANT_F32)
			memcpy(data + 4 * i, &v, 4);
		else if (type == QUANT_F16)
			memcpy(data + 2 * i, &h, 2);
		else if (i % 32 == 0)
			memcpy(data + i / 32 * 34, &h, 2);
		if (type == QUANT_Q8_0)
			data[i / 32 * 34 + 2 + i % 32] = (uint8_t)(rand() % 201 - 100);
	}
	*t = (struct gguf_tensor){ .type = type, .n_dims = rows == 1 ? 1 : 2, .data = data,
				   .dim = { cols, rows, 1, 1 }, .bytes = bytes };
	return t;
}

static inline void make_adapters(struct crossing *x, const struct model_config *c,
				 enum quant_type type, int rank)
{
	for (int l = x->g.s; l < c->n_layers; l++)
		for (int i = 0; i < ADAPTS; i++) {
			enum adapt which = (enum adapt)i;
			int in = adapt_in(c, which);

			if (l == x->g.s && which == ADAPT_OUT)
				continue;       /* one is missing */
			x->adapt[l][i].down = random_tensor(x, type, rank, in,
							    1 / sqrtf((float)in));
			x->adapt[l][i].up = random_tensor(x, type, adapt_out(c, which), rank,
							  0.3f);
		}
	x->g.rank = rank;
	x->g.adapt = x->adapt;
}

static inline void make_crossing(struct crossing *x, const struct model_config *c, int a, int s,
				 int k, enum quant_type type, bool adapters)
{
	int in = BRIDGE_PARTS * c->n_embd;

	*x = (struct crossing){ .g = { .a = a, .s = s, .k = k } };
	x->g.weight = random_tensor(x, type, k * c->n_embd, in, 1.7f / sqrtf((float)in));
	x->g.bias = random_tensor(x, QUANT_F32, 1, k * c->n_embd, 0.1f);
	x->p = (struct plan){ .bridge = &x->g };
	if (adapters)
		make_adapters(x, c, type, RANK);
}

/* To the device and cache of the rig, which keep it until the next one. */
static inline void give_bridge(struct crossing *x, struct rig *r)
{
	int fed[] = { x->g.s, r->m->cfg.n_layers - 1 };
	char err[ERR_MAX];

	if (r->be->draft->kv_keep(r->kv, fed, 2, err) != 0 ||
	    r->be->draft->bridge(r->d, &x->g, err) != 0)
		fail_msg("%s", err);
	schedule_make(&x->over, r->m, &x->p);
}

static inline void make_bridge(struct crossing *x, struct rig *r, int a, int s,
			       enum quant_type type, bool adapters)
{
	make_crossing(x, &r->m->cfg, a, s, ROWS, type, adapters);
	give_bridge(x, r);
}

/* For a model of two layers, in Q8_0 and with adapters. */
static inline void make_tiny_crossing(struct crossing *x)
{
	make_crossing(x, &(struct model_config){ .n_layers = 2, .n_embd = 64, .n_heads = 2,
						 .n_kv_heads = 1, .head_dim = 32, .n_ff = 96 },
		      0, 1, ROWS, QUANT_Q8_0, true);
}

static inline void free_bridge(struct crossing *x)
{
	for (int i = 0; i < x->n; i++)
		free((void *)(uintptr_t)x->t[i].data);
}

/* Copies of all logits of n rows behind the bridge, for tokens[pos]. */
static inline float *cross_rows(struct rig *r, const struct crossing *x, int pos, int rows)
{
	struct batch b = { .tok = tokens + pos, .n = 1, .pos = pos, .run = &x->over,
			   .n_out = rows };
	const float *l = r->be->forward(r->d, r->kv, &b);
	int n = x->g.vocab ? x->g.n_vocab : r->m->cfg.n_out;
	float *copy = malloc((size_t)(rows * n) * sizeof(*copy));

	if (!l)
		fail_msg("%s", r->be->error(r->d));
	for (int i = 0; i < rows; i++) {
		check_peaks(row_at(l, n, i), n);
		memcpy(copy + (size_t)i * (size_t)n, row_at(l, n, i), (size_t)n * sizeof(*copy));
	}
	return copy;
}

static inline float *cross(struct rig *r, const struct crossing *x, int pos)
{
	return cross_rows(r, x, pos, x->g.k);
}

/* The text up to a position, so many rows a pass: up to 16 give the same bits on every backend. */
static inline void read_text(struct rig *r, int end, int rows)
{
	for (int pos = 0; pos < end; pos += rows)
		free(run(r, NULL, pos, end - pos < rows ? end - pos : rows, 0));
}

/* ---- the naive pass over a bridge ---- */

static inline void naive_cross(struct naive *s, const struct bridge *g, int pos, double *logits)
{
	int d = s->m->cfg.n_embd, layers = s->m->cfg.n_layers, fed[] = { g->s, layers - 1 };
	double f[3 * WIDE] = { 0 }, y[BRIDGE_ROWS * WIDE];

	naive_embed(s, pos, f);
	naive_layers(s, 0, g->a, pos, f, NULL);
	for (int i = 0; pos && i < 2; i++)
		memcpy(f + (i + 1) * d, s->in + ((size_t)fed[i] * CTX + (size_t)pos - 1) *
		       (size_t)d, (size_t)d * sizeof(*f));
	dense(g->weight, f, y);
	add_bias(g->bias, y);
	s->bridge = g;
	for (int o = 0; o < g->k; o++)
		naive_layers(s, g->s, layers, pos + o, y + o * d,
			     logits + o * s->m->cfg.n_vocab);
	s->bridge = NULL;
}

static inline struct naive naive_open(const struct model *m)
{
	size_t rows = (size_t)m->cfg.n_layers * CTX;
	size_t kv = rows * (size_t)(m->cfg.n_kv_heads * m->cfg.head_dim);

	return (struct naive){ .m = m, .k = calloc(kv, sizeof(double)),
			       .v = calloc(kv, sizeof(double)), .cache = F16,
			       .in = calloc(rows * (size_t)m->cfg.n_embd, sizeof(double)) };
}

/* Root mean square of the difference, relative to that of the logits. */
static inline double apart(const double *want, const float *got, int n)
{
	double e = 0, all = 0;

	for (int i = 0; i < n; i++) {
		e += (want[i] - (double)got[i]) * (want[i] - (double)got[i]);
		all += want[i] * want[i];
	}
	return sqrt(e / all);
}

/* ---- what is asked of every backend ---- */

enum { AT = 127 };

/* Full passes give what they give without a bridged one before them; and a bridged one gives what
 * it did, after drafts that were wrong, however the text before came into the cache. */
static inline void check_no_trace(struct rig *r, int rows)
{
	float *full, *again, *draft, *redraft;
	struct crossing x;

	make_bridge(&x, r, 1, r->m->cfg.n_layers - 1, QUANT_Q8_0, true);
	read_text(r, AT, rows);
	full = run(r, NULL, AT, ROWS + 1, ROWS + 1);
	draft = cross(r, &x, AT);
	again = run(r, NULL, AT, ROWS + 1, ROWS + 1);
	same_rows(full, again, ROWS + 1, r);
	free(again);
	redraft = cross(r, &x, AT);     /* all rows behind AT are of no use now */
	same_rows(draft, redraft, ROWS, r);
	free(redraft);
	for (int i = AT - 20; i < AT; i++) {    /* once more, in other pieces, with a draft each */
		free(cross(r, &x, i));
		free(run(r, NULL, i, 1, 0));
	}
	redraft = cross(r, &x, AT);
	same_rows(draft, redraft, ROWS, r);
	free(redraft);
	free(full);
	free(draft);
	free_bridge(&x);
}

/* A verify pass writes rows that go: as far back as the cache keeps rows they are still those of
 * the text; further back they count as zeros, as at the start. */
static inline void check_kept(struct rig *r, int rows)
{
	float *at[2], *old[2], *fresh[2], *one, *two;
	struct crossing x;

	make_bridge(&x, r, 1, r->m->cfg.n_layers - 2, QUANT_F16, true);
	for (int i = 0; i < 2; i++) {
		int pos = AT - i * KEEP_ROWS;

		read_text(r, pos, rows);
		at[i] = cross(r, &x, pos);
	}
	read_text(r, AT, rows);
	one = cross(r, &x, AT - KEEP_ROWS + 1);
	read_text(r, AT, rows);
	free(cross(r, &x, AT));         /* a draft's rows are not kept: none goes for them */
	two = cross(r, &x, AT - KEEP_ROWS + 1);
	same_rows(one, two, ROWS, r);
	free(one);
	free(two);
	read_text(r, AT + KEEP_ROWS - 1, rows);
	for (int i = 0; i < 2; i++)
		old[i] = cross(r, &x, AT - i * KEEP_ROWS);
	same_rows(at[0], old[0], ROWS, r);
	assert_true(memcmp(at[1], old[1], sizeof(float) * MK_VOCAB_MIN) != 0);
	give_bridge(&x, r);             /* keeps nothing yet */
	for (int i = 0; i < 2; i++)
		fresh[i] = cross(r, &x, AT - i * KEEP_ROWS);
	assert_true(memcmp(at[0], fresh[0], sizeof(float) * MK_VOCAB_MIN) != 0);
	same_rows(old[1], fresh[1], ROWS, r);
	free_bridge(&x);
	for (int i = 0; i < 2; i++) {
		free(at[i]);
		free(old[i]);
		free(fresh[i]);
	}
}

/* Texts that advance together keep their rows as one alone does. */
static inline void check_lanes(struct rig *r)
{
	struct lane lane = { r->kv, AT - 1 };
	struct batch b = { .tok = tokens + AT - 1, .n = 1, .run = &r->whole,
			   .lanes = &lane };
	struct crossing x;
	float *one, *two;

	make_bridge(&x, r, 1, r->m->cfg.n_layers - 2, QUANT_F16, true);
	read_text(r, AT, 16);
	one = cross(r, &x, AT);
	tokens[AT - 1]++;
	free(run(r, NULL, AT - 1, 1, 0));
	tokens[AT - 1]--;
	two = cross(r, &x, AT);
	assert_true(memcmp(one, two, sizeof(float) * MK_VOCAB_MIN) != 0);
	free(two);
	assert_non_null(r->be->forward(r->d, NULL, &b));
	two = cross(r, &x, AT);
	same_rows(one, two, ROWS, r);
	free(one);
	free(two);
	free_bridge(&x);
}

enum { VOCAB = 3 * PEAK };

static inline void set_vocabulary(struct crossing *x, int vocab[VOCAB])
{
	for (int i = 0; i < VOCAB; i++)
		vocab[i] = i * 5 + i % 3;
	x->g.vocab = vocab;
	x->g.n_vocab = VOCAB;
}

/* The logits of a draft vocabulary are those of the whole one. */
static inline void check_vocabulary(struct rig *r)
{
	int vocab[VOCAB], n = r->m->cfg.n_vocab;
	struct crossing x;
	float *all, *some;
	char err[ERR_MAX];

	make_bridge(&x, r, 1, 2, QUANT_Q8_0, false);
	read_text(r, AT, 16);
	all = cross(r, &x, AT);
	set_vocabulary(&x, vocab);
	if (r->be->draft->bridge(r->d, &x.g, err) != 0)
		fail_msg("%s", err);
	some = cross(r, &x, AT);
	for (int row = 0; row < ROWS; row++)
		for (int j = 0; j < VOCAB; j++)
			assert_true(some[row * VOCAB + j] == all[row * n + vocab[j]]);
	free(all);
	free(some);
	free_bridge(&x);
}

/* Fewer rows than the bridge has are its first ones, to the bit. */
static inline void check_fewer(struct rig *r)
{
	struct crossing x;
	float *all, *some;

	make_bridge(&x, r, 1, 2, QUANT_Q8_0, true);
	read_text(r, AT, 16);
	all = cross(r, &x, AT);
	for (int rows = 1; rows < ROWS; rows++) {
		some = cross_rows(r, &x, AT, rows);
		same_rows(all, some, (size_t)rows, r);
		free(some);
	}
	free(all);
	free_bridge(&x);
}

static inline void check_misfit(struct rig *r, const struct bridge *g, const char *says)
{
	char err[ERR_MAX] = "";

	assert_int_equal(r->be->draft->bridge(r->d, g, err), -1);
	if (!strstr(err, says))
		fail_msg("'%s' and not '%s'", err, says);
}

/* Bridges that do not fit the model, which has 6 layers. */
static inline void check_misfits(struct rig *r)
{
	static const struct { int a, s, k; } ends[] = {
		{ 4, 4, 2 }, { -1, 4, 2 }, { 1, 6, 2 }, { 1, 4, 0 }, { 1, 4, 5 },
	};
	struct gguf_tensor bad;
	struct adapter adapt;
	struct crossing x;
	struct bridge g;
	int vocab[PEAK];

	make_bridge(&x, r, 1, 4, QUANT_F16, true);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		g = x.g;
		g.a = ends[i].a;
		g.s = ends[i].s;
		g.k = ends[i].k;
		check_misfit(r, &g, "6 layers, and at most 4");
	}
	g = x.g;
	g.k = 2;
	check_misfit(r, &g, "2 rows of this model");
	g = x.g;
	g.bias = g.weight;
	check_misfit(r, &g, "shape or type");
	bad = *x.g.weight;
	bad.type = QUANT_Q4_0;
	g = x.g;
	g.weight = &bad;
	check_misfit(r, &g, "shape or type");
	g = x.g;
	for (int i = 0; i < PEAK; i++)
		vocab[i] = MK_VOCAB_MIN - PEAK + 1 + i;
	g.vocab = vocab;
	g.n_vocab = PEAK;
	check_misfit(r, &g, "token 272 of a draft vocabulary, in place 15");
	vocab[3] = vocab[2];
	check_misfit(r, &g, "in place 3");
	g.n_vocab = PEAK - 1;
	check_misfit(r, &g, "of 15 tokens");
	g = x.g;
	g.rank = 16;
	check_misfit(r, &g, "rank 16");
	adapt = x.adapt[5][ADAPT_DOWN];
	x.adapt[5][ADAPT_DOWN].up = NULL;
	check_misfit(r, &x.g, "adapter 3 of layer 5");
	x.adapt[5][ADAPT_DOWN] = adapt;
	free_bridge(&x);
}

/* Passes over a bridge that cannot be run, of a model of 6 layers; and what it takes. */
static inline void check_bridge_refusals(struct rig *r)
{
	static const struct { int s, n, pos, n_out; const char *says; } all[] = {
		{ 4, 2, 0, 2, "one row" }, { 4, 1, 0, 0, "to make 0" }, { 4, 1, 0, 5, "to make 5" },
		{ 4, 1, CTX - 1, 2, "takes 640 positions" }, { 3, 1, 0, 2, "layers 3 and 5" },
	};
	struct lane lane = { r->kv, 0 };
	struct crossing x;
	struct batch b = { .tok = tokens, .n = 1, .run = &x.over, .lanes = &lane, .n_out = 2 };
	size_t bytes = r->be->kv_bytes(r->kv), weights = r->be->memory(r->d).weights;
	size_t rows = sizeof(float) * KEEP_ROWS * 2 * (size_t)r->m->cfg.n_embd;
	char err[ERR_MAX];

	make_bridge(&x, r, 1, 4, QUANT_Q8_0, false);
	assert_in_range(r->be->kv_bytes(r->kv) - bytes, rows, rows + 256);
	assert_in_range(r->be->memory(r->d).weights - weights, x.g.weight->bytes,
			2 * x.g.weight->bytes);
	assert_null(r->be->forward(r->d, NULL, &b));
	assert_non_null(strstr(r->be->error(r->d), "several texts"));
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		x.g.s = all[i].s;
		if (r->be->draft->bridge(r->d, &x.g, err) != 0)
			fail_msg("%s", err);
		schedule_make(&x.over, r->m, &x.p);
		b = (struct batch){ .tok = tokens, .n = all[i].n, .pos = all[i].pos, .run = &x.over,
				    .n_out = all[i].n_out };
		check_refused(r, b, all[i].says);
	}
	assert_int_equal(r->be->draft->bridge(r->d, NULL, err), 0);
	assert_int_equal(r->be->memory(r->d).weights, weights);
	check_refused(r, b, "was not given");
	assert_int_equal(r->be->draft->kv_keep(r->kv, (int[]){ 1, 6 }, 2, err), -1);
	assert_non_null(strstr(err, "layer 6"));
	assert_int_equal(r->be->draft->kv_keep(r->kv, (int[]){ 1, 2, 3 }, 3, err), -1);
	assert_non_null(strstr(err, "1 to 2"));
	free_bridge(&x);
}
#endif
