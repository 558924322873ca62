/* test_sweep.c - calibrate --cqil: its table against figures made by hand from whole rows of
 * logits, and against the rule by which ranges are tried and advised. */
#include "tests/sweep_kit.h"
#include "engine/probe.h"

static double entered[LAYERS][CHUNK][WIDTH];    /* what went into each layer in the last pass */

static void watch(void *ctx, const char *stage, int layer, const float *rows, int n, int width)
{
	(void)ctx;
	if (layer + 1 >= LAYERS || (layer >= 0 && strcmp(stage, "down") != 0))
		return;
	assert_int_equal(width, WIDTH);
	for (int i = 0; i < n; i++)
		for (int k = 0; k < width; k++)
			entered[layer + 1][i][k] = (double)rows[i * width + k];
}

/* Chances of all rows of the text under such groups, one chunk in one pass each. */
static void chances(const char *groups, int *ids, double (*p)[CHUNK][VOCAB], double *alike)
{
	char err[ERR_MAX];
	struct engine_opt o = { .model = model, .backend = "cpu", .cqil = groups, .n_ctx = CHUNK,
				.strategy = "plain",
				.be = { .n_threads = 1, .n_batch = 4 * CHUNK, .n_out = CHUNK,
					.watch = watch } };
	struct engine *e = engine_open(&o, err);

	if (!e)
		fail_msg("%s", err);
	for (int c = 0; c < CHUNKS; c++) {
		const float *rows = probe_look(e, ids + c * CHUNK, CHUNK, 0, CHUNK, err);

		assert_non_null(rows);
		for (int i = 0; i < CHUNK; i++) {
			const float *row = probe_row(e, rows, i);
			double sum = 0;

			for (int v = 0; v < VOCAB; v++)
				sum += p[c][i][v] = exp((double)row[v]);
			for (int v = 0; v < VOCAB; v++)
				p[c][i][v] /= sum;
		}
		for (int i = 0; alike && i < CHUNK - 1; i++)
			for (int l = 0; l + 1 < LAYERS; l++) {
				double ab = 0, aa = 0, bb = 0;

				for (int k = 0; k < WIDTH; k++) {
					double a = entered[l][i][k], b = entered[l + 1][i][k];

					ab += a * b, aa += a * a, bb += b * b;
				}
				alike[l] += ab / sqrt(aa) / sqrt(bb) / (CHUNKS * (CHUNK - 1));
			}
	}
	engine_close(e);
}

static int likeliest(const double *p)
{
	int best = 0;

	for (int v = 1; v < VOCAB; v++)
		if (p[v] > p[best])
			best = v;
	return best;
}

static int *read_ids(void)
{
	char err[ERR_MAX];
	struct model *m = model_open(model, NULL, err);
	struct tokenizer *tok = tokenizer_open(m->file, err);
	size_t n;
	const char *bytes = get(text, &n);
	int *ids;

	assert_false(tokenizer_add_bos(tok));
	assert_true(tokenizer_encode_new(tok, bytes, n, false, 0, &ids, err) / CHUNK == CHUNKS);
	tokenizer_close(tok);
	model_close(m);
	return ids;
}

static void near(double a, double b, double most)
{
	if (!(fabs(a - b) <= most * (1 + fabs(b))))
		fail_msg("%.12g instead of %.12g", a, b);
}

static void check_row(const struct sweep_row *row, const int *ids, double (*dense)[CHUNK][VOCAB],
		      double (*p)[CHUNK][VOCAB])
{
	double nll = 0, kl = 0, apart = 0;
	long same = 0;

	for (int c = 0; c < CHUNKS; c++)
		for (int i = FIRST; i < CHUNK - 1; i++) {
			int next = ids[c * CHUNK + i + 1];

			nll -= log(p[c][i][next]);
			apart += pow(log(p[c][i][next] / dense[c][i][next]), 2);
			for (int v = 0; v < VOCAB; v++)
				kl += dense[c][i][v] * log(dense[c][i][v] / p[c][i][v]);
			same += likeliest(p[c][i]) == likeliest(dense[c][i]);
		}
	near(row->nll, nll, 1e-7);
	near(row->kl, kl, 1e-7);
	near(row->apart, apart, 1e-7);
	assert_int_equal(row->same, same);
}

static int steps(const struct grouping *g)
{
	int n = 0;

	for (int l = 0; l < LAYERS; l++)
		n += l < g->from || l >= g->to || (l - g->from) % g->size == 0;
	return n;
}

static const struct sweep_row *row_of(const struct sweep_result *r, int from, int to, int size,
				      int bypass)
{
	for (int i = 0; i < r->n; i++) {
		const struct grouping *g = &r->row[i].group;

		if (g->from == from && g->to == to && g->size == size && g->bypass == bypass)
			return &r->row[i];
	}
	return NULL;
}

static double loss(const struct sweep_result *r, const struct sweep_row *row)
{
	return exp((row->nll - r->dense) / (CHUNKS * SCORED)) - 1;
}

/* Every group alone, from the best of them outward, and each range of that with a bypass; nothing
 * else.  Returns how many rows that is. */
static int check_order(const struct sweep_result *r, int size)
{
	const struct sweep_row *at = NULL, *next, *side;
	int n = 0;

	for (int from = 0; from + size <= LAYERS; from++, n++) {
		next = row_of(r, from, from + size, size, 0);
		assert_non_null(next);
		at = !at || next->kl < at->kl ? next : at;
	}
	for (;; at = next) {
		const struct grouping *g = &at->group;

		assert_non_null(row_of(r, g->from, g->to, size, 1));
		n++;
		if (loss(r, at) > 0.05)
			return n;
		next = NULL;
		for (int end = 0; end < 2; end++) {
			int from = end ? g->from : g->from - size, to = end ? g->to + size : g->to;

			if (from < 0 || to > LAYERS)
				continue;
			side = row_of(r, from, to, size, 0);
			assert_non_null(side);
			next = !next || side->kl < next->kl ? side : next;
			n++;
		}
		if (!next)
			return n;
	}
}

static void check_advice(const struct sweep_result *r)
{
	static const double most[ADVICE_N] = { 0.005, 0.01, 0.02, 0.05 };

	for (int k = 0; k < ADVICE_N; k++) {
		int least = LAYERS;

		for (int i = 0; i < r->n; i++)
			if (loss(r, &r->row[i]) <= most[k] && steps(&r->row[i].group) < least)
				least = steps(&r->row[i].group);
		if (r->best[k] < 0) {
			assert_int_equal(least, LAYERS);
			continue;
		}
		assert_int_equal(r->row[r->best[k]].steps, least);
		assert_true(loss(r, &r->row[r->best[k]]) <= most[k]);
	}
}

static void check_table(int seed)
{
	static double dense[CHUNKS][CHUNK][VOCAB], p[CHUNKS][CHUNK][VOCAB];
	double alike[LAYERS] = { 0 };
	struct mk_spec one = spec;
	struct sweep_result r;
	struct sweep_row self = { .nll = 0 };
	int *ids, n = 0;

	one.seed = (uint64_t)seed;
	make(&one);
	must(&r);
	ids = read_ids();
	chances("off", ids, dense, alike);
	self.nll = r.dense;
	self.same = CHUNKS * SCORED;
	check_row(&self, ids, dense, dense);
	assert_int_equal(r.rows, CHUNKS * SCORED);
	for (int l = 0; l + 1 < LAYERS; l++)
		near(r.alike[l], alike[l], 1e-9);
	for (int i = 0; i < r.n; i++) {
		const struct grouping *g = &r.row[i].group;
		char groups[64];

		snprintf(groups, sizeof(groups), "%d:%d:%d:%d", g->from, g->to, g->size,
			 g->bypass);
		chances(groups, ids, p, NULL);
		check_row(&r.row[i], ids, dense, p);
		assert_int_equal(r.row[i].steps, steps(g));
	}
	for (int size = 2; size <= 4; size++)
		n += check_order(&r, size);
	assert_int_equal(n, r.n);
	check_advice(&r);
	assert_int_equal(access(part, F_OK), -1);
	print_message("# %d rows, %d for 5 %%\n", r.n, r.best[ADVICE_N - 1]);
	mem_free(ids);
	sweep_free(&r);
}

static void test_table(void **state)
{
	(void)state;
	check_table(32);                /* whose ranges grow */
	check_table(31);                /* and where no group is worth it */
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_table) };

	return cmocka_run_group_tests(tests, begin, end);
}
