/* test_forward.c - the whole forward pass on tiny random models: against a naive one in double
 * precision written here, and the invariants that strategies rely on, to the bit. */
#include "engine/session.h"
#include "tests/mk.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { CTX = 640, LONG = 300 };

static int tokens[CTX];

struct rig {
	struct model *m;
	struct dev *d;
	struct kv *kv;
};

static struct rig open_rig(const struct mk_spec *spec, const char *kernels, int threads)
{
	char err[ERR_MAX] = "", path[] = "build/test-XXXXXX";
	struct backend_opt o = { .n_threads = threads, .kernels = kernels, .n_batch = 512,
				 .n_out = 512 };
	struct rig r = { 0 };
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	if (mk_write(path, spec, err) != 0 || !(r.m = model_open(path, NULL, err)) ||
	    !(r.d = backend_cpu.open(r.m, &o, err)) || !(r.kv = backend_cpu.kv_new(r.d, CTX, err)))
		fail_msg("%s", err);
	remove(path);
	return r;
}

static void close_rig(struct rig *r)
{
	backend_cpu.kv_free(r->kv);
	backend_cpu.close(r->d);
	model_close(r->m);
}

static void check_peaks(const float *row, int n)
{
	for (int i = 0; i < row_peaks(n); i++) {
		float most = -INFINITY;

		for (int j = PEAK * i; j < PEAK * (i + 1) && j < n; j++)
			most = row[j] > most ? row[j] : most;
		assert_true(row[n + i] == most);
	}
}

/* Copies of the logits of the last n_out rows, without their peaks, which must be right. */
static float *run(struct rig *r, const struct plan *p, int pos, int n, int n_out)
{
	struct batch b = { .tok = tokens + pos, .n = n, .pos = pos, .plan = p, .n_out = n_out };
	const float *l = backend_cpu.forward(r->d, r->kv, &b);
	int vocab = r->m->cfg.n_vocab;
	size_t size = (size_t)vocab * sizeof(float);
	float *copy = malloc((size_t)n_out * size + 1);

	if (!l)
		fail_msg("%s", backend_cpu.error(r->d));
	for (int i = 0; i < n_out; i++) {
		check_peaks(row_at(l, vocab, i), vocab);
		memcpy(copy + (size_t)i * (size_t)vocab, row_at(l, vocab, i), size);
	}
	return copy;
}

static void same_rows(const float *a, const float *b, size_t rows, const struct rig *r)
{
	assert_memory_equal(a, b, rows * (size_t)r->m->cfg.n_vocab * sizeof(float));
}

/* ---- the naive forward: one position at a time, all in double, nothing shared ---- */

struct naive {
	const struct model *m;
	double *k, *v;          /* (n_layers, CTX, kv width) */
};

static void dense(const struct gguf_tensor *t, const double *x, double *y)
{
	float *w = malloc(sizeof(float) * (size_t)t->dim[0]);
	size_t row = quant_bytes(quant_info((int)t->type), t->dim[0]);

	for (int64_t r = 0; r < t->dim[1]; r++) {
		quant_row(t->type, (const uint8_t *)t->data + (size_t)r * row, w, t->dim[0]);
		y[r] = 0;
		for (int64_t i = 0; i < t->dim[0]; i++)
			y[r] += (double)w[i] * x[i];
	}
	free(w);
}

static void rms(const struct gguf_tensor *t, const double *x, double *y, double eps)
{
	double sum = 0;

	for (int64_t i = 0; i < t->dim[0]; i++)
		sum += x[i] * x[i];
	for (int64_t i = 0; i < t->dim[0]; i++)
		y[i] = x[i] / sqrt(sum / (double)t->dim[0] + eps) *
		       (double)((const float *)t->data)[i];
}

static void rope(const struct model *m, double *x, int heads, int pos)
{
	for (int h = 0; h < heads; h++)
		for (int j = 0; j < m->cfg.n_rot / 2; j++) {
			bool pairs = m->cfg.rope == ROPE_PAIRS;
			int apart = pairs ? 1 : m->cfg.n_rot / 2;
			double *p = x + h * m->cfg.head_dim + (pairs ? 2 * j : j);
			double factor = m->rope_freqs ?
				(double)((const float *)m->rope_freqs->data)[j] : 1;
			double angle = pos / pow((double)m->cfg.rope_base, 2.0 * j / m->cfg.n_rot) /
				       factor;
			double a = p[0], b = p[apart];

			p[0] = a * cos(angle) - b * sin(angle);
			p[apart] = a * sin(angle) + b * cos(angle);
		}
}

static void naive_attention(struct naive *s, int l, int pos, const double *q, double *out)
{
	const struct model_config *c = &s->m->cfg;
	int kv = c->n_kv_heads * c->head_dim;

	for (int h = 0; h < c->n_heads; h++) {
		int at = h / (c->n_heads / c->n_kv_heads) * c->head_dim;
		double sum = 0, *o = out + h * c->head_dim;

		memset(o, 0, sizeof(double) * (size_t)c->head_dim);
		for (int t = 0; t <= pos; t++) {
			const double *k = s->k + ((size_t)l * CTX + (size_t)t) * (size_t)kv + at;
			const double *v = s->v + ((size_t)l * CTX + (size_t)t) * (size_t)kv + at;
			double dot = 0;

			for (int i = 0; i < c->head_dim; i++)
				dot += q[h * c->head_dim + i] * k[i];
			dot = exp(dot / sqrt(c->head_dim));
			sum += dot;
			for (int i = 0; i < c->head_dim; i++)
				o[i] += dot * v[i];
		}
		for (int i = 0; i < c->head_dim; i++)
			o[i] /= sum;
	}
}

/* The cache holds f16; everything else here is double. */
static void round_to_f16(double *x, int n)
{
	for (int i = 0; i < n; i++)
		x[i] = (double)quant_f16_to_f32(quant_f32_to_f16((float)x[i]));
}

static void add_bias(const struct gguf_tensor *bias, double *x)
{
	for (int64_t i = 0; bias && i < bias->dim[0]; i++)
		x[i] += (double)((const float *)bias->data)[i];
}

static void naive_step(struct naive *s, int pos, double *logits)
{
	const struct model_config *c = &s->m->cfg;
	int kv = c->n_kv_heads * c->head_dim, d = c->n_embd;
	double x[256], n[256], q[256], o[256], y[256], gate[512], up[512];
	float row[256];

	quant_row(s->m->embd->type, (const uint8_t *)s->m->embd->data + (size_t)tokens[pos] *
		  quant_bytes(quant_info((int)s->m->embd->type), d), row, d);
	for (int i = 0; i < d; i++)
		x[i] = (double)row[i];
	for (int l = 0; l < c->n_layers; l++) {
		const struct layer *w = &s->m->layer[l];
		double *k = s->k + ((size_t)l * CTX + (size_t)pos) * (size_t)kv;
		double *v = s->v + ((size_t)l * CTX + (size_t)pos) * (size_t)kv;

		rms(w->attn_norm, x, n, (double)c->norm_eps);
		dense(w->wq, n, q);
		dense(w->wk, n, k);
		dense(w->wv, n, v);
		add_bias(w->bq, q);
		add_bias(w->bk, k);
		add_bias(w->bv, v);
		rope(s->m, q, c->n_heads, pos);
		rope(s->m, k, c->n_kv_heads, pos);
		round_to_f16(k, kv);
		round_to_f16(v, kv);
		naive_attention(s, l, pos, q, o);
		dense(w->wo, o, y);
		for (int i = 0; i < d; i++)
			x[i] += y[i];
		rms(w->ffn_norm, x, n, (double)c->norm_eps);
		dense(w->gate, n, gate);
		dense(w->up, n, up);
		for (int i = 0; i < c->n_ff; i++)
			gate[i] = gate[i] / (1 + exp(-gate[i])) * up[i];
		dense(w->down, gate, y);
		for (int i = 0; i < d; i++)
			x[i] += y[i];
	}
	rms(s->m->norm, x, n, (double)c->norm_eps);
	dense(s->m->output, n, logits);
}

/* Largest distance of the backend's logits from the naive ones over LONG positions, and *rms. */
static double distance(struct rig *r, double *rms_error)
{
	const struct model_config *c = &r->m->cfg;
	size_t kv = (size_t)c->n_layers * CTX * (size_t)(c->n_kv_heads * c->head_dim);
	struct naive s = { r->m, calloc(kv, sizeof(double)), calloc(kv, sizeof(double)) };
	double *want = malloc(sizeof(double) * (size_t)c->n_vocab), worst = 0, sum = 0;
	float *got = run(r, NULL, 0, LONG, LONG);

	for (int pos = 0; pos < LONG; pos++) {
		naive_step(&s, pos, want);
		for (int v = 0; v < c->n_vocab; v++) {
			double e = fabs(want[v] - (double)got[(size_t)pos * (size_t)c->n_vocab +
							       (size_t)v]);
			worst = e > worst || isnan(e) ? e : worst;
			sum += e * e;
		}
	}
	free(got);
	free(want);
	free(s.k);
	free(s.v);
	*rms_error = sqrt(sum / LONG / c->n_vocab);
	return worst;
}

static const struct mk_spec specs[] = {
	MK_TINY,
	{ 3, 96, 6, 2, 160, MK_VOCAB_MIN + 5, 512, "F16", NULL, true, true, 2, NULL },
	{ 2, 64, 4, 4, 96, MK_VOCAB_MIN, 512, "Q4_1", "Q8_0", true, false, 3, NULL },
	{ 2, 256, 4, 1, 256, MK_VOCAB_MIN, 512, "Q4_K_M", NULL, false, false, 4, NULL },
	{ 2, 64, 8, 2, 96, MK_VOCAB_MIN, 512, "Q5_0", NULL, false, false, 5, NULL },
	{ 2, 96, 6, 2, 160, MK_VOCAB_MIN, 512, "Q8_0", NULL, true, false, 6, "qwen2" },
};
enum { N_SPECS = sizeof(specs) / sizeof(specs[0]) };

/* Logits have a spread of about 3.  Floats differ from double by rounding (which now and then turns
 * the last bit of an f16 in the cache); int8 activations by about 1 % of the spread a matrix. */
static void test_naive(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		struct rig exact = open_rig(&specs[i], "float", 2), fast;
		double rms_float, rms_fast, e = distance(&exact, &rms_float);

		close_rig(&exact);
		fast = open_rig(&specs[i], "auto", 2);
		distance(&fast, &rms_fast);
		close_rig(&fast);
		print_message("# spec %d: float at most %.2g, rms %.2g; auto rms %.2g\n", i, e,
			      rms_float, rms_fast);
		assert_true(e < 0.02);
		assert_true(rms_fast < 0.15);
	}
}

static void rows_alike(const struct mk_spec *spec, const char *kernels)
{
	struct rig r = open_rig(spec, kernels, 2);
	size_t vocab = (size_t)r.m->cfg.n_vocab;
	float *one[16], *many;
	int pos = 248;          /* across the border of an attention block */

	free(run(&r, NULL, 0, pos, 1));
	for (int i = 0; i < 16; i++)
		one[i] = run(&r, NULL, pos + i, 1, 1);
	for (int n = 1; n <= 16; n++) {
		many = run(&r, NULL, pos, n, n);
		for (int i = 0; i < n; i++)
			same_rows(one[i], many + (size_t)i * vocab, 1, &r);
		free(many);
	}
	for (int i = 0; i < 16; i++)
		free(one[i]);
	close_rig(&r);
}

static void test_rows_alike(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		rows_alike(&specs[i], "float");
		rows_alike(&specs[i], "generic");
		rows_alike(&specs[i], "auto");
	}
}

/* A prompt in one piece, in pieces, and token by token; with 1, 2 and 3 threads. */
static void test_pieces_and_threads(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		struct rig r = open_rig(&specs[i], "auto", 1);
		float *whole = run(&r, NULL, 0, LONG, 1), *other;

		for (int pos = 0; pos < LONG - 1; pos++)
			free(run(&r, NULL, pos, 1, 0));
		other = run(&r, NULL, LONG - 1, 1, 1);
		same_rows(whole, other, 1, &r);
		free(other);
		close_rig(&r);
		for (int threads = 2; threads <= 3; threads++) {
			r = open_rig(&specs[i], "auto", threads);
			free(run(&r, NULL, 0, 37, 0));
			other = run(&r, NULL, 37, LONG - 37, 1);
			same_rows(whole, other, 1, &r);
			free(other);
			close_rig(&r);
		}
		free(whole);
	}
}

/* Rows written ahead, by drafts that failed or by a pass that skipped layers, leave no trace. */
static void test_rollback(void **state)
{
	struct plan half = { { 1 }, { 2 } };
	struct rig r = open_rig(&specs[0], "auto", 2);
	float *fresh, *again;

	(void)state;
	free(run(&r, NULL, 0, 100, 1));
	fresh = run(&r, NULL, 100, 4, 4);
	for (int i = 100; i < 116; i++)
		tokens[i] = (tokens[i] + 1) % MK_VOCAB_MIN;
	free(run(&r, NULL, 100, 16, 16));
	free(run(&r, &half, 100, 16, 16));
	for (int i = 100; i < 116; i++)
		tokens[i] = (tokens[i] + MK_VOCAB_MIN - 1) % MK_VOCAB_MIN;
	again = run(&r, NULL, 100, 4, 4);
	same_rows(fresh, again, 4, &r);
	free(fresh);
	free(again);
	close_rig(&r);
}

/* With every sub-layer skipped only embedding, norm and output are left. */
/* Texts of different lengths that advance together: each row as if its text were alone. */
static void test_lanes(void **state)
{
	enum { LANES = 5 };
	static const int past[LANES] = { 130, 0, 257, 31, 64 };
	struct rig r = open_rig(&specs[0], "auto", 2);
	struct lane lane[LANES];
	int next[LANES], vocab = r.m->cfg.n_vocab;
	char err[ERR_MAX];
	(void)state;

	for (int i = 0; i < LANES; i++) {
		lane[i] = (struct lane){ backend_cpu.kv_new(r.d, CTX, err), past[i] };
		assert_non_null(lane[i].kv);
		next[i] = tokens[past[i]];
		struct batch text = { .tok = tokens, .n = past[i] };

		if (past[i])
			assert_non_null(backend_cpu.forward(r.d, lane[i].kv, &text));
	}
	struct batch b = { .tok = next, .n = LANES, .n_out = LANES, .lanes = lane };
	const float *l = backend_cpu.forward(r.d, NULL, &b);
	float *together = malloc(LANES * (size_t)vocab * sizeof(float));

	for (int i = 0; i < LANES; i++)
		memcpy(together + (size_t)i * (size_t)vocab, row_at(l, vocab, i),
		       (size_t)vocab * sizeof(float));
	for (int i = 0; i < LANES; i++) {
		float *alone = run(&r, NULL, 0, past[i] + 1, 1);

		same_rows(together + (size_t)i * (size_t)vocab, alone, 1, &r);
		backend_cpu.kv_free(lane[i].kv);
		free(alone);
	}
	free(together);
	close_rig(&r);
}

static void test_skip_all(void **state)
{
	struct plan all = { { ~0ull }, { ~0ull } }, none = { { 0 }, { 0 } };
	struct rig r = open_rig(&specs[0], "float", 2);
	float *got = run(&r, &all, 0, 1, 1), *full = run(&r, NULL, 0, 1, 1);
	float *same = run(&r, &none, 0, 1, 1), row[64];
	double x[64], n[64], want[MK_VOCAB_MIN];

	(void)state;
	quant_row(QUANT_F32, (const float *)r.m->embd->data + tokens[0] * 64, row, 64);
	for (int i = 0; i < 64; i++)
		x[i] = (double)row[i];
	rms(r.m->norm, x, n, 1e-5);
	dense(r.m->output, n, want);
	for (int v = 0; v < MK_VOCAB_MIN; v++)
		assert_true(fabs(want[v] - (double)got[v]) < 1e-4);
	same_rows(full, same, 1, &r);
	assert_true(memcmp(full, got, sizeof(float) * MK_VOCAB_MIN) != 0);
	free(got);
	free(full);
	free(same);
	close_rig(&r);
}

static void test_refusals(void **state)
{
	struct rig r = open_rig(&specs[0], "auto", 1);
	int bad = MK_VOCAB_MIN;
	const struct { struct batch b; const char *says; } all[] = {
		{ { .tok = &bad, .n = 1 }, "vocabulary" },
		{ { .tok = tokens, .n = 513 }, "rows" },
		{ { .tok = tokens, .n = 1, .pos = CTX }, "positions" },
		{ { .tok = tokens, .n = 1, .pos = -1 }, "positions" },
		{ { .tok = tokens, .n = 0 }, "rows" },
		{ { .tok = tokens, .n = 1, .n_out = 2 }, "outputs" },
		{ { .tok = tokens, .n = 1, .n_out = -1 }, "outputs" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		assert_null(backend_cpu.forward(r.d, r.kv, &all[i].b));
		assert_non_null(strstr(backend_cpu.error(r.d), all[i].says));
	}
	close_rig(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_naive),
		cmocka_unit_test(test_rows_alike),
		cmocka_unit_test(test_pieces_and_threads),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_skip_all),
		cmocka_unit_test(test_refusals),
	};

	srand(3);
	for (int i = 0; i < CTX; i++)
		tokens[i] = rand() % MK_VOCAB_MIN;
	return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
