/* test_cut.c - a pass that two cpu devices share, rows of the residual stream going from one to the
 * other, makes what one device makes, to the bit; and a device with some of the layers refuses
 * others.
 *
 * struct pair owns both parts' devices and caches. */
#include "tests/forward_kit.h"

static const struct mk_spec models[] = {
	MK_SMALL(.n_layers = 5, .n_embd = 96, .n_heads = 6, .n_kv_heads = 2, .n_ff = 160,
		 .type = "Q4_1", .embd_type = "Q8_0", .tied = true, .seed = 24),
	MK_SMALL(.n_layers = 3, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96,
		 .type = "F32", .tied = true, .seed = 8, .arch = "qwen3", .head_dim = 32),
	MK_SMALL(.n_layers = 7, .n_embd = 64, .n_heads = 4, .n_kv_heads = 1, .n_ff = 96,
		 .type = "Q8_0", .tied = true, .seed = 10, .arch = "gemma3", .head_dim = 32,
		 .window = 24),
};
enum { MODELS = sizeof(models) / sizeof(models[0]) };

struct pair {
	struct dev *d[2];
	struct kv *kv[2];
	struct schedule run[2];
};

/* The first part has its layers only, the other device all of them. */
static struct pair open_pair(const struct rig *r, struct backend_opt o, int at)
{
	struct pair p;
	char err[ERR_MAX];

	for (int i = 0; i < 2; i++) {
		o.split = !i;
		o.host_layers = i ? 0 : at;
		assert_non_null(p.d[i] = backend_cpu.open(r->m, &o, err));
		assert_non_null(p.kv[i] = backend_cpu.kv_new(p.d[i], CTX, err));
	}
	assert_int_equal(schedule_cut(&r->whole, at, &p.run[0], &p.run[1], err), 0);
	return p;
}

static void close_pair(struct pair *p)
{
	for (int i = 0; i < 2; i++) {
		backend_cpu.kv_free(p->kv[i]);
		backend_cpu.close(p->d[i]);
	}
}

static void check_pass(struct rig *r, struct pair *p, int pos, int n)
{
	struct batch b = { .tok = tokens + pos, .n = n, .pos = pos, .run = &p->run[0] };
	float *want = run(r, NULL, pos, n, n);
	const float *got;

	assert_non_null(b.rows = backend_cpu.forward(p->d[0], p->kv[0], &b));
	b.tok = NULL;
	b.run = &p->run[1];
	b.n_out = n;
	assert_non_null(got = backend_cpu.forward(p->d[1], p->kv[1], &b));
	for (int i = 0; i < n; i++)
		same_rows(want + (size_t)i * (size_t)r->m->cfg.n_vocab,
			  row_at(got, r->m->cfg.n_vocab, i), 1, r);
	free(want);
}

/* A cache of fewer layers takes less memory; the layers' share of it. */
static void check_sizes(const struct rig *r, const struct pair *p, int at)
{
	size_t all = backend_cpu.kv_bytes(p->kv[1]), some = backend_cpu.kv_bytes(p->kv[0]);

	if (!r->m->cfg.window)
		assert_int_equal(some * (size_t)r->m->cfg.n_layers, all * (size_t)at);
	assert_true(some <= all && backend_cpu.memory(p->d[0]).work <
		    backend_cpu.memory(p->d[1]).work);
}

static void test_same(void **state)
{
	(void)state;
	for (int i = 0; i < MODELS; i++)
		for (int at = 1; at <= models[i].n_layers; at++) {
			struct backend_opt o = rig_opt(i ? F16 : Q8, "auto", 2);
			struct rig r = open_rig_on(&backend_cpu, &models[i], &o);
			struct pair p = open_pair(&r, o, at);

			check_pass(&r, &p, 0, 40);
			check_pass(&r, &p, 40, 1);
			check_pass(&r, &p, 41, 16);
			check_pass(&r, &p, 42, 3);
			check_sizes(&r, &p, at);
			close_pair(&p);
			close_rig(&r);
		}
}

/* Before, behind and across a cut, where they end. */
static void test_groups(void **state)
{
	struct backend_opt o = rig_opt(F16, "auto", 2);
	struct rig r = open_rig_on(&backend_cpu, &models[2], &o);
	struct pair p;

	(void)state;
	group_layers(&r, &(struct grouping){ 0, 7, 4, 1, false });
	p = open_pair(&r, o, 4);
	check_pass(&r, &p, 0, 30);
	check_pass(&r, &p, 30, 5);
	close_pair(&p);
	/* 1 to 4 in twos is 1 to 4 in fours where these end at 3 */
	group_layers(&r, &(struct grouping){ 1, 5, 4, 1, false });
	p = open_pair(&r, o, 3);
	group_layers(&r, &(struct grouping){ 1, 5, 2, 1, false });
	check_pass(&r, &p, 0, 30);
	check_pass(&r, &p, 30, 5);
	close_pair(&p);
	close_rig(&r);
}

static void refused(struct dev *d, struct kv *kv, struct batch b, const char *says)
{
	assert_null(backend_cpu.forward(d, kv, &b));
	if (!strstr(backend_cpu.error(d), says))
		fail_msg("'%s' and not '%s'", backend_cpu.error(d), says);
}

static void test_refusals(void **state)
{
	struct backend_opt o = rig_opt(F16, "auto", 1);
	struct rig r = open_rig_on(&backend_cpu, &models[0], &o);
	struct pair p = open_pair(&r, o, 2);
	struct batch b = { .tok = tokens, .n = 1, .run = &r.whole };

	(void)state;
	refused(p.d[0], p.kv[0], b, "layer 2: this device has 0 to 1");
	b.run = &p.run[1];
	refused(p.d[1], p.kv[1], b, "without the rows");
	b.rows = (const float[96]){ 0 };
	refused(p.d[0], p.kv[0], b, "layer 2: this device has 0 to 1");
	close_pair(&p);
	close_rig(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same), cmocka_unit_test(test_groups),
		cmocka_unit_test(test_refusals),
	};

	make_tokens();
	return cmocka_run_group_tests_name("cut", tests, NULL, NULL);
}
