/* test_forward.c - the whole forward pass on tiny random models: against a naive one in double
 * precision, and the invariants that strategies rely on, to the bit. */
#include "engine/decode/session.h"
#include "tests/naive_kit.h"
#include "tests/ring_kit.h"

static const struct mk_spec specs[] = {
	MK_TINY,
	{ .n_layers = 3, .n_embd = 96, .n_heads = 6, .n_kv_heads = 2, .n_ff = 160,
	  .n_vocab = MK_VOCAB_MIN + 5, .n_ctx = 512, .type = "F16", .tied = true,
	  .rope_freqs = true, .seed = 2 },
	MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 4, .n_ff = 96,
		 .type = "Q4_1", .embd_type = "Q8_0", .tied = true, .seed = 3),
	MK_SMALL(.n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 1, .n_ff = 256,
		 .type = "Q4_K_M", .seed = 4),
	MK_SMALL(.n_layers = 2, .n_embd = 160, .n_heads = 2, .n_kv_heads = 1, .n_ff = 96,
		 .type = "F16", .seed = 7),
	MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 8, .n_kv_heads = 2, .n_ff = 96,
		 .type = "Q5_0", .seed = 5),
	MK_SMALL(.n_layers = 2, .n_embd = 96, .n_heads = 6, .n_kv_heads = 2, .n_ff = 160,
		 .type = "Q8_0", .tied = true, .seed = 6, .arch = "qwen2"),
	MK_OTHERS,
	MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 8, .n_kv_heads = 2, .n_ff = 96,
		 .type = "IQ4_NL", .seed = 13),
	MK_SMALL(.n_layers = 2, .n_embd = 256, .n_heads = 4, .n_kv_heads = 1, .n_ff = 256,
		 .type = "IQ4_XS", .seed = 14),
};
enum { N_SPECS = sizeof(specs) / sizeof(specs[0]) };

static double distance(struct rig *r, enum cache cache, double *rms_error)
{
	return distance_in(r, cache, LONG, LONG, rms_error);
}

static struct rig open_rig_with(enum cache cache, const struct mk_spec *spec, const char *kernels,
				int threads)
{
	struct backend_opt o = rig_opt(cache, kernels, threads);

	return open_rig_on(&backend_cpu, spec, &o);
}

static struct rig open_rig(const struct mk_spec *spec, const char *kernels, int threads)
{
	return open_rig_with(F16, spec, kernels, threads);
}

/* Logits have a spread of about 3.  Floats differ from double by rounding (which now and then turns
 * the last bit of an f16 in the cache); int8 activations by about 1 % of the spread a matrix. */
static void test_naive(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		struct rig exact = open_rig(&specs[i], "float", 2), fast;
		double rms_float, rms_fast, e = distance(&exact, F16, &rms_float);

		close_rig(&exact);
		fast = open_rig(&specs[i], "auto", 2);
		distance(&fast, F16, &rms_fast);
		close_rig(&fast);
		print_message("# spec %d: float at most %.2g, rms %.2g; auto rms %.2g\n", i, e,
			      rms_float, rms_fast);
		assert_true(e < 0.02);
		assert_true(rms_fast < 0.15);
	}
}

/* An int8 that is rounded the other way for the last bit of a float is a hundred times what an f16
 * is; so what is looked at is the mean, which a cache of the other type is far from. */
static void test_naive_q8(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		enum cache cache = Q8_KEYS + (unsigned)i % 3;
		/* matrices of F32 and F16 are exact with any kernels */
		const char *kernels = *specs[i].type == 'F' ? "generic" : "float";
		struct rig r = open_rig_with(cache, &specs[i], kernels, 2);
		double right, other, most = distance(&r, cache, &right);

		distance(&r, F16, &other);
		close_rig(&r);
		print_message("# spec %d, cache %d: rms %.2g, most %.2g; as if f16 %.2g\n", i,
			      (int)cache, right, most, other);
		assert_true(right < 0.2 * other);
		assert_true(most < 0.2);
	}
}

static void rows_alike(enum cache cache, const struct mk_spec *spec, const char *kernels)
{
	struct rig r = open_rig_with(cache, spec, kernels, 2);

	check_rows_alike(&r, 248, 248);   /* across the border of an attention block */
	close_rig(&r);
}

static void test_rows_alike(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		rows_alike(F16, &specs[i], "float");
		rows_alike(F16, &specs[i], "generic");
		rows_alike(F16, &specs[i], "auto");
		rows_alike(Q8, &specs[i], "generic");
		rows_alike(Q8_KEYS + i % 3, &specs[i], "auto");
	}
}

/* A prompt in one piece, in pieces, and token by token; with 1, 2 and 3 threads. */
static void pieces_and_threads(enum cache cache)
{
	for (int i = 0; i < N_SPECS; i++) {
		struct rig r = open_rig_with(cache, &specs[i], "auto", 1);
		float *whole = run(&r, NULL, 0, LONG, 1), *other;

		for (int pos = 0; pos < LONG - 1; pos++)
			free(run(&r, NULL, pos, 1, 0));
		other = run(&r, NULL, LONG - 1, 1, 1);
		same_rows(whole, other, 1, &r);
		free(other);
		close_rig(&r);
		for (int threads = 2; threads <= 3; threads++) {
			r = open_rig_with(cache, &specs[i], "auto", threads);
			free(run(&r, NULL, 0, 37, 0));
			other = run(&r, NULL, 37, LONG - 37, 1);
			same_rows(whole, other, 1, &r);
			free(other);
			close_rig(&r);
		}
		free(whole);
	}
}

static void test_pieces_and_threads(void **state)
{
	(void)state;
	pieces_and_threads(F16);
	pieces_and_threads(Q8);
}

/* Rows written ahead, by drafts that failed or by a pass that skipped layers, leave no trace. */
static void rollback(enum cache cache, const struct mk_spec *spec)
{
	struct rig r = open_rig_with(cache, spec, "auto", 2);

	check_rollback(&r);
	close_rig(&r);
}

static void test_rollback(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		rollback(F16, &specs[i]);
		rollback(Q8, &specs[i]);
	}
}

/* ---- rings: caches of local layers that are shorter than the context ---- */

static const struct mk_spec *windowed(int i)
{
	for (int j = 0; j < N_SPECS; j++)
		if (specs[j].window && specs[j].window < RING && i-- == 0)
			return &specs[j];
	return NULL;
}

static struct rig open_ring(enum cache cache, const struct mk_spec *spec, const char *kernels)
{
	struct backend_opt o = rig_opt(cache, kernels, 2);

	o.n_batch = STEP;
	return open_rig_on(&backend_cpu, spec, &o);
}

static void test_rings(void **state)
{
	const struct mk_spec *spec;

	(void)state;
	for (int i = 0; (spec = windowed(i)); i++) {
		struct rig ring = open_ring(F16, spec, "float"), all = open_rig(spec, "float", 2);
		double rms_error, most = distance_in(&ring, F16, CTX, STEP, &rms_error);

		print_message("# %s: at most %.2g, rms %.2g\n", spec->arch, most, rms_error);
		assert_true(most < 0.05 && rms_error < 0.003);
		assert_true(backend_cpu.kv_bytes(ring.kv) < backend_cpu.kv_bytes(all.kv) * 3 / 4);
		close_rig(&ring);
		close_rig(&all);
	}
}

static void test_ring_rollback(void **state)
{
	const struct mk_spec *spec;

	(void)state;
	for (int i = 0; (spec = windowed(i)); i++) {
		struct rig ring = open_ring(i % 2 ? Q8 : F16, spec, "auto");
		struct rig all = open_rig_with(i % 2 ? Q8 : F16, spec, "auto", 2);

		check_ring(&ring, &all, (int[]){ 10, 10 }, (int[]){ STEP, STEP }, RING);
		free(run(&ring, NULL, 0, 1, 1));
		assert_int_equal(ring.be->kv_back(ring.kv), 0);
		close_rig(&ring);
		close_rig(&all);
	}
}

/* A session that goes far back begins anew, and writes what it wrote. */
static void test_ring_session(void **state)
{
	struct rig r = open_ring(F16, windowed(0), "auto");
	struct session s;
	char err[ERR_MAX] = "";
	const float *l;
	float *want;
	int vocab = r.m->cfg.n_vocab;

	(void)state;
	assert_int_equal(session_open(&s, r.be, r.d, r.m, CTX, STEP, err), 0);
	assert_int_equal(session_set(&s, tokens, 600, err), 0);
	assert_non_null(session_extend(&s, tokens + 600, 5, err));
	assert_int_equal(session_set(&s, tokens, 590, err), 0);
	assert_int_equal(s.n_kv, 589);          /* near enough */
	assert_int_equal(session_set(&s, tokens, 300, err), 0);
	assert_int_equal(s.n_kv, 0);
	l = session_extend(&s, tokens + 300, 0, err);
	if (!l)
		fail_msg("%s", err);
	want = malloc(sizeof(float) * (size_t)vocab);
	memcpy(want, l, sizeof(float) * (size_t)vocab);
	for (int pos = 0; pos < 300; pos += 50) {
		float *row = run(&r, NULL, pos, 50, 1);

		if (pos == 250)
			same_rows(row, want, 1, &r);
		free(row);
	}
	free(want);
	session_close(&s);
	close_rig(&r);
}

/* Texts of different lengths that advance together: each row as if its text were alone. */
static void lanes(enum cache cache, const struct mk_spec *spec)
{
	enum { LANES = 5 };
	static const int past[LANES] = { 510, 0, 257, 31, 64 };
	struct rig r = open_rig_with(cache, spec, "auto", 2);
	struct lane lane[LANES];
	int next[LANES], vocab = r.m->cfg.n_vocab;
	char err[ERR_MAX];

	for (int i = 0; i < LANES; i++) {
		lane[i] = (struct lane){ backend_cpu.kv_new(r.d, CTX, err), past[i] };
		assert_non_null(lane[i].kv);
		next[i] = tokens[past[i]];
		struct batch text = { .tok = tokens, .n = past[i], .run = &r.whole };

		if (past[i])
			assert_non_null(backend_cpu.forward(r.d, lane[i].kv, &text));
	}
	struct batch b = { .tok = next, .n = LANES, .n_out = LANES, .lanes = lane,
			   .run = &r.whole };
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

static void test_lanes(void **state)
{
	const struct mk_spec *spec;

	(void)state;
	lanes(F16, &specs[0]);
	lanes(Q8, &specs[0]);
	for (int i = 0; (spec = windowed(i)); i++)
		lanes(F16, spec);
}

/* A cache of a type that there is no kernel for. */
static void test_cache_types(void **state)
{
	struct rig r = open_rig(&specs[0], "auto", 1);
	struct backend_opt o = { .n_threads = 1, .cache_v = quant_find("q4_0") };
	char err[ERR_MAX] = "";

	(void)state;
	assert_null(backend_cpu.open(r.m, &o, err));
	assert_non_null(strstr(err, "no cache of type Q4_0"));
	close_rig(&r);
}

/* With every sub-layer skipped only embedding, norm and output are left. */
static void test_skip_all(void **state)
{
	struct plan all = { .skip_attn = { ~0ull }, .skip_mlp = { ~0ull } };
	struct plan none = { .skip_attn = { 0 } };
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

	(void)state;
	check_refusals(&r);
	close_rig(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_naive),
		cmocka_unit_test(test_naive_q8),
		cmocka_unit_test(test_rows_alike),
		cmocka_unit_test(test_pieces_and_threads),
		cmocka_unit_test(test_rollback),
		cmocka_unit_test(test_rings),
		cmocka_unit_test(test_ring_rollback),
		cmocka_unit_test(test_ring_session),
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_cache_types),
		cmocka_unit_test(test_skip_all),
		cmocka_unit_test(test_refusals),
	};

	make_tokens();
	return cmocka_run_group_tests_name("forward", tests, NULL, NULL);
}
