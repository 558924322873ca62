/* test_cut.c - a pass that two cpu devices share, rows of the residual stream going from one to the
 * other, makes what one device makes, to the bit; near it where they compute layers of a group at
 * once; and a device with some of the layers refuses others.
 *
 * struct pair owns both parts' devices and caches. */
#include "tests/forward_kit.h"
#include "kernels/schedule_leg.h"

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

enum { ALL = MODEL_MAX_LAYERS / 64 };

struct pair {
	struct dev *d[SIDES];
	struct kv *kv[SIDES];
	uint64_t host[ALL];     /* layers of the first */
};

/* Both have all layers, or the first only those before `at`. */
static struct pair open_pair(const struct rig *r, struct backend_opt o, uint64_t host, int at)
{
	struct pair p = { .host = { host } };
	char err[ERR_MAX];

	for (int i = 0; i < SIDES; i++) {
		o.split = at && i == SIDE_HOST;
		o.host_layers = o.split ? at : 0;
		assert_non_null(p.d[i] = backend_cpu.open(r->m, &o, err));
		assert_non_null(p.kv[i] = backend_cpu.kv_new(p.d[i], CTX, err));
	}
	return p;
}

static void close_pair(struct pair *p)
{
	for (int i = 0; i < SIDES; i++) {
		backend_cpu.kv_free(p->kv[i]);
		backend_cpu.close(p->d[i]);
	}
}

/* ---- the legs, as text ---- */

/* Of a group's layers the first and the last; capitals: apart. */
static int put_op(char *to, size_t cap, const struct op *op)
{
	static const char *const names[] = {
		[OP_EMBED] = "embed", [OP_ENTER] = "enter", [OP_OUTPUT] = "logits",
		[OP_LEAVE] = "leave", [OP_BRIDGE] = "bridge",
	};
	char last[16] = "", c = op->part == OP_ATTN ? 'a' : 'm';

	if (op->part != OP_ATTN && op->part != OP_MLP)
		return snprintf(to, cap, " %s", names[op->part]);
	if (op->n_group > 1)
		snprintf(last, sizeof(last), "-%d", op->layer + op->n_group - 1);
	return snprintf(to, cap, " %c%d%s", op->apart ? c - 32 : c, op->layer, last);
}

static void same_legs(const struct schedule *s, uint64_t host, const char *want)
{
	static struct leg leg;
	struct leg_at at = { 0 };
	uint64_t set[ALL] = { host };
	char got[512] = "", err[ERR_MAX];
	size_t n = 0, bytes = 0;

	while (at.op < s->n) {
		assert_int_equal(schedule_leg(s, set, &at, &leg, err), 0);
		for (int i = 0; i < SIDES; i++) {
			if (!leg.on[i])
				continue;
			n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%s", n ? "; " : "",
					      i == SIDE_HOST ? "host" : "other");
			for (int k = 0; k < leg.run[i].n; k++)
				n += (size_t)put_op(got + n, sizeof(got) - n, &leg.run[i].op[k]);
			bytes += schedule_bytes(&leg.run[i]);
		}
	}
	assert_string_equal(got, want);
	assert_int_equal(bytes, schedule_bytes(s));
}

static void test_legs(void **state)
{
	struct backend_opt o = rig_opt(F16, "auto", 1);
	struct rig r = open_rig_on(&backend_cpu, &models[0], &o);

	(void)state;
	same_legs(&r.whole, 0, "host embed leave; "
		  "other enter a0 m0 a1 m1 a2 m2 a3 m3 a4 m4 logits");
	same_legs(&r.whole, 3, "host embed a0 m0 a1 m1 leave; "
		  "other enter a2 m2 a3 m3 a4 m4 logits");
	same_legs(&r.whole, 31, "host embed a0 m0 a1 m1 a2 m2 a3 m3 a4 m4 leave; "
		  "other enter logits");
	same_legs(&r.whole, 10, "host embed leave; other enter a0 m0 leave; "
		  "host enter a1 m1 leave; other enter a2 m2 leave; "
		  "host enter a3 m3 leave; other enter a4 m4 logits");
	group_layers(&r, &(struct grouping){ 1, 5, 2, 0, false });
	same_legs(&r.whole, 10, "host embed leave; other enter a0 m0 leave; "
		  "host enter A1 M1 leave; other enter a2 m2 leave; "
		  "host enter A3 M3 leave; other enter a4 m4 leave; other enter logits");
	same_legs(&r.whole, 7, "host embed a0 m0 a1-2 m1-2 leave; "
		  "other enter a3-4 m3-4 logits");
	group_layers(&r, &(struct grouping){ 0, 5, 4, 0, false });
	same_legs(&r.whole, 3, "host embed leave; host enter A0-1 M0-1 leave; "
		  "other enter a2-3 m2-3 leave; other enter a4 m4 logits");
	same_legs(&r.whole, 2, "host embed leave; host enter A1 M1 leave; other enter a0 m0 leave; "
		  "other enter a2-3 m2-3 a4 m4 logits");
	group_layers(&r, &(struct grouping){ 0, 5, 4, 1, false });
	same_legs(&r.whole, 3, "host embed a0-1 m0-1 leave; other enter a2-3 m2-3 a4 m4 logits");
	same_legs(&r.whole, 4, "host embed leave; other enter a0-1 m0-1 leave; "
		  "host enter a2 m2 leave; other enter a3 m3 a4 m4 logits");
	close_rig(&r);
}

/* ---- what they make ---- */

/* Logits of n rows. */
static float *run_pair(const struct rig *r, struct pair *p, int pos, int n)
{
	static struct leg leg;
	struct leg_at at = { 0 };
	size_t width = (size_t)r->m->cfg.n_embd * (size_t)n, vocab = (size_t)r->m->cfg.n_vocab;
	float *x = malloc(width * sizeof(*x)), *out = malloc(vocab * (size_t)n * sizeof(*out));
	const float *got[SIDES] = { NULL };
	char err[ERR_MAX];

	while (at.op < r->whole.n) {
		assert_int_equal(schedule_leg(&r->whole, p->host, &at, &leg, err), 0);
		for (int i = 0; i < SIDES; i++) {
			struct batch b = { .tok = tokens + pos, .rows = x, .n = n, .pos = pos,
					   .run = &leg.run[i] };

			b.n_out = at.op == r->whole.n && i == SIDE_OTHER ? n : 0;
			if (leg.on[i] && !(got[i] = backend_cpu.forward(p->d[i], p->kv[i], &b)))
				fail_msg("%s", backend_cpu.error(p->d[i]));
		}
		for (size_t i = 0; i < width && at.op < r->whole.n; i++)
			x[i] = (leg.on[SIDE_OTHER] ? got[SIDE_OTHER][i] : 0) +
			       (leg.on[SIDE_HOST] ? got[SIDE_HOST][i] : 0);
	}
	for (int i = 0; i < n; i++)
		memcpy(out + (size_t)i * vocab, row_at(got[SIDE_OTHER], (int)vocab, i),
		       vocab * sizeof(*out));
	free(x);
	return out;
}

static void check_pass(struct rig *r, struct pair *p, int pos, int n)
{
	float *want = run(r, NULL, pos, n, n), *got = run_pair(r, p, pos, n);

	same_rows(want, got, (size_t)n, r);
	free(want);
	free(got);
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
		for (int at = 1; at <= models[i].n_layers + 1; at++) {
			bool some = at <= models[i].n_layers;
			struct backend_opt o = rig_opt(i ? F16 : Q8, "auto", 2);
			struct rig r = open_rig_on(&backend_cpu, &models[i], &o);
			struct pair p = open_pair(&r, o, some ? ((uint64_t)1 << at) - 1 : 0x2a,
						  some ? at : 0);

			check_pass(&r, &p, 0, 40);
			check_pass(&r, &p, 40, 1);
			check_pass(&r, &p, 41, 16);
			check_pass(&r, &p, 42, 3);
			if (some)
				check_sizes(&r, &p, at);
			close_pair(&p);
			close_rig(&r);
		}
}

/* Before, behind and across a cut, where those with a bypass end. */
static void test_groups(void **state)
{
	struct backend_opt o = rig_opt(F16, "auto", 2);
	struct rig r = open_rig_on(&backend_cpu, &models[2], &o);
	struct pair p = open_pair(&r, o, 15, 4);

	(void)state;
	group_layers(&r, &(struct grouping){ 0, 7, 4, 1, false });
	check_pass(&r, &p, 0, 30);
	check_pass(&r, &p, 30, 5);
	close_pair(&p);
	/* 1 to 4 in twos is 1 to 4 in fours where these end at 3 */
	p = open_pair(&r, o, 7, 3);
	for (int i = 0; i < 2; i++) {
		float *want, *got;

		group_layers(&r, &(struct grouping){ 1, 5, 2, 1, false });
		want = run(&r, NULL, 30 * i, 30 - 25 * i, 30 - 25 * i);
		group_layers(&r, &(struct grouping){ 1, 5, 4, 1, false });
		got = run_pair(&r, &p, 30 * i, 30 - 25 * i);
		same_rows(want, got, (size_t)(30 - 25 * i), &r);
		free(want);
		free(got);
	}
	close_pair(&p);
	close_rig(&r);
}

/* ---- groups of which both have layers ---- */

/* The root mean square of logits is about 1. */
static double farthest(const struct rig *r, const float *a, const float *b, int n)
{
	double most = 0;

	for (int i = 0; i < n * r->m->cfg.n_vocab; i++)
		most = fmax(most, fabs((double)a[i] - (double)b[i]));
	return most;
}

static void check_together(struct rig *r, struct pair *p, const struct grouping *g)
{
	float *want, *got, *dense;
	double off, other;

	group_layers(r, g);
	want = run(r, NULL, 0, 40, 40);
	got = run_pair(r, p, 0, 40);
	group_layers(r, &(struct grouping){ .size = 0 });
	dense = run(r, NULL, 0, 40, 40);
	off = farthest(r, want, got, 40);
	other = farthest(r, want, dense, 40);
	print_message("# %s, groups of %d: apart by %.2g, and by %.2g from none\n", r->m->cfg.arch,
		      g->size, off, other);
	assert_true(off < 0.01 && other > 10 * off);
	free(want);
	free(got);
	free(dense);
}

/* To the bit: one row or many, a prompt or step by step. */
static void check_alike(struct rig *r, struct pair *p, const struct grouping *g)
{
	size_t vocab = (size_t)r->m->cfg.n_vocab;
	float *one[17], *many;

	group_layers(r, g);
	free(run_pair(r, p, 0, 30));
	for (int i = 0; i < 17; i++)
		one[i] = run_pair(r, p, 30 + i, 1);
	for (int n = 1; n <= 17; n++) {
		many = run_pair(r, p, 30, n);
		for (int i = 0; i < n; i++)
			same_rows(one[i], many + (size_t)i * vocab, 1, r);
		free(many);
	}
	many = run_pair(r, p, 0, 47);
	for (int i = 0; i < 17; i++) {
		same_rows(one[i], many + (size_t)(30 + i) * vocab, 1, r);
		free(one[i]);
	}
	free(many);
}

static void test_together(void **state)
{
	static const struct {
		struct grouping g;
		uint64_t host;  /* its first layers, or one of its last ones */
	} all[] = {
		{ { 1, 5, 2, 0, false }, 0x0a }, { { 0, 5, 4, 0, false }, 7 },
		{ { 1, 4, 3, 0, false }, 4 << 1 }, { { 0, 3, 3, 0, false }, 1 },
	};

	(void)state;
	for (int i = 0; i < MODELS; i++) {
		struct backend_opt o = rig_opt(F16, "float", 2);
		struct rig r = open_rig_on(&backend_cpu, &models[i], &o);
		struct pair p = open_pair(&r, o, 0, 0);

		for (int k = 0; k < 4; k++) {
			p.host[0] = all[k].host;
			check_together(&r, &p, &all[k].g);
			check_alike(&r, &p, &all[k].g);
		}
		close_pair(&p);
		close_rig(&r);
	}
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
	struct pair p = open_pair(&r, o, 3, 2);
	struct batch b = { .tok = tokens, .n = 1, .run = &r.whole };
	struct leg_at at = { 0 };
	static struct leg leg;
	char err[ERR_MAX];

	(void)state;
	refused(p.d[0], p.kv[0], b, "layer 2, which another device has");
	for (int i = 0; i < 2; i++)
		assert_int_equal(schedule_leg(&r.whole, p.host, &at, &leg, err), 0);
	b.run = &leg.run[SIDE_OTHER];
	refused(p.d[1], p.kv[1], b, "without the rows");
	b.rows = (const float[96]){ 0 };
	refused(p.d[0], p.kv[0], b, "layer 2, which another device has");
	close_pair(&p);
	close_rig(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_legs), cmocka_unit_test(test_same),
		cmocka_unit_test(test_groups), cmocka_unit_test(test_together),
		cmocka_unit_test(test_refusals),
	};

	make_tokens();
	return cmocka_run_group_tests_name("cut", tests, NULL, NULL);
}
