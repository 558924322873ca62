/* test_schedule.c - what a plan means: the operations of a pass, their order, what each reads and
 * leaves, which rows are kept, and the bytes of its weights. */
#include "kernels/backend_draft.h"
#include "kernels/schedule_leg.h"
#include "engine/gguf/quant.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { LAYERS = 6, PLANS = 300 };

static struct model model;
static struct gguf_tensor mats[LAYER_MATS], output, weight, down, up;
static struct adapter adapters[LAYERS][ADAPTS];

/* Matrix i has 2^i bytes, so that a sum tells which ones are in it. */
static int make_model(void **state)
{
	(void)state;
	model.cfg.n_layers = LAYERS;
	for (int i = 0; i < LAYER_MATS; i++)
		mats[i].bytes = (size_t)1 << i;
	for (int l = 0; l < LAYERS; l++)
		for (int i = 0; i < LAYER_MATS; i++)
			model.layer[l].mat[i] = &mats[i];
	output = (struct gguf_tensor){ .bytes = 5000, .dim = { 1, 50, 1, 1 } };
	model.output = &output;
	weight.bytes = 70000;
	down.bytes = 300;
	up.bytes = 600;
	return 0;
}

static const size_t attn_bytes = 1 + 2 + 4 + 8, mlp_bytes = 16 + 32 + 64;

static bool runs(const struct plan *p, bool mlp, int l)
{
	return !((mlp ? p->skip_mlp : p->skip_attn)[0] >> l & 1);
}

static void is_op(const struct op *op, enum op_part part, int layer)
{
	assert_int_equal(op->part, part);
	assert_int_equal(op->layer, layer);
}

static void test_whole(void **state)
{
	struct schedule s, again;

	(void)state;
	schedule_make(&s, &model, &(struct plan){ .target = true });
	assert_true(s.whole && !s.bridge);
	assert_int_equal(s.n, 2 * LAYERS + 2);
	is_op(&s.op[0], OP_EMBED, -1);
	for (int l = 0; l < LAYERS; l++) {
		is_op(&s.op[1 + 2 * l], OP_ATTN, l);
		is_op(&s.op[2 + 2 * l], OP_MLP, l);
	}
	is_op(&s.op[s.n - 1], OP_OUTPUT, -1);
	assert_int_equal(schedule_bytes(&s), LAYERS * (attn_bytes + mlp_bytes) + 5000);
	schedule_make(&again, &model, &(struct plan){ .target = true });
	assert_true(s.id == again.id);
}

/* Of a random plan: all that is not left out, in order, and nothing else. */
static void check_parts(const struct plan *p, const struct schedule *s)
{
	size_t bytes = 5000;
	int at = 1;

	for (int l = 0; l < LAYERS; l++)
		for (int mlp = 0; mlp < 2; mlp++)
			if (runs(p, mlp, l)) {
				is_op(&s->op[at], mlp ? OP_MLP : OP_ATTN, l);
				bytes += mlp ? mlp_bytes : attn_bytes;
				at++;
			}
	is_op(&s->op[at], OP_OUTPUT, -1);
	assert_int_equal(s->n, at + 1);
	assert_int_equal(schedule_bytes(s), bytes);
	assert_int_equal(s->whole, at == 2 * LAYERS + 1);
}

/* What an operation leaves is normed as its consumer wants it. */
static void check_norms(const struct schedule *s)
{
	for (int i = 0; i + 1 < s->n; i++) {
		const struct op *op = &s->op[i + 1];
		struct norm_at want = { op->part == OP_OUTPUT ? -1 : op->layer, op->n_group,
					op->part == OP_MLP ? NORM_FFN : NORM_ATTN };

		assert_int_equal(s->op[i].out.layer, want.layer);
		if (want.layer >= 0)
			assert_int_equal(s->op[i].out.which, want.which);
		assert_int_equal(op->in.layer, want.layer);
	}
}

/* What enters a layer is what all that runs of the layers before has left: it is read by the
 * operation that has as many before it, and kept there, once; in drafts nowhere. */
static void check_kept(const struct plan *p, const struct schedule *s)
{
	for (int l = 0; l < LAYERS; l++) {
		int before = 0, kept = 0;

		for (int k = 0; k < l; k++)
			before += runs(p, false, k) + runs(p, true, k);
		for (int i = 0; i < s->n; i++) {
			bool here = l >= s->op[i].keep_from && l < s->op[i].keep_to;

			kept += here;
			assert_false(here && i != before + 1);
		}
		assert_int_equal(kept, p->target);
	}
}

static void test_plans(void **state)
{
	uint64_t id[PLANS];
	struct plan p[PLANS];
	uint64_t rng = 1;

	(void)state;
	for (int i = 0; i < PLANS; i++) {
		struct schedule s;

		rng = mix64(rng + 0x9e3779b97f4a7c15u);
		p[i] = (struct plan){ .skip_attn = { rng % 64 }, .skip_mlp = { rng / 64 % 64 },
				      .target = rng / 4096 % 2 };
		schedule_make(&s, &model, &p[i]);
		check_parts(&p[i], &s);
		check_norms(&s);
		check_kept(&p[i], &s);
		id[i] = s.id;
	}
	for (int i = 0; i < PLANS; i++)         /* equal names for what is equal, and only that */
		for (int j = 0; j < i; j++) {
			bool same = p[i].skip_attn[0] == p[j].skip_attn[0] &&
				    p[i].skip_mlp[0] == p[j].skip_mlp[0] &&
				    p[i].target == p[j].target;

			assert_int_equal(id[i] == id[j], same);
		}
}

static void test_bridge(void **state)
{
	struct bridge g = { .a = 1, .s = 4, .k = 2, .weight = &weight, .adapt = adapters }, other;
	struct schedule s, t;

	(void)state;
	adapters[5][ADAPT_OUT] = (struct adapter){ &down, &up };
	adapters[5][ADAPT_DOWN] = (struct adapter){ &down, &up };
	schedule_make(&s, &model, &(struct plan){ .bridge = &g });
	assert_true(!s.whole && s.bridge == &g && s.n == 9);
	is_op(&s.op[2], OP_MLP, 0);
	is_op(&s.op[3], OP_BRIDGE, 4);
	is_op(&s.op[4], OP_ATTN, 4);
	is_op(&s.op[7], OP_MLP, 5);
	assert_true(!s.op[2].adapted && s.op[4].adapted && s.op[7].adapted);
	assert_int_equal(s.op[3].bytes, 70000);
	assert_int_equal(s.op[4].bytes, attn_bytes);
	assert_int_equal(s.op[6].bytes, attn_bytes + 900);
	assert_int_equal(s.op[7].bytes, mlp_bytes + 900);
	assert_int_equal(s.op[3].out.layer, 4);
	for (int i = 0; i < s.n; i++)           /* a draft's rows are nobody's */
		assert_int_equal(s.op[i].keep_from, s.op[i].keep_to);
	other = g;
	schedule_make(&t, &model, &(struct plan){ .bridge = &other });
	assert_true(s.id != t.id);
	g.vocab = (const int[]){ 1 };
	g.n_vocab = 16;
	schedule_make(&s, &model, &(struct plan){ .bridge = &g });
	assert_int_equal(s.op[8].bytes, 16 * 100);
}

static void is_group(const struct op *op, enum op_part part, int layer, int n)
{
	is_op(op, part, layer);
	assert_int_equal(op->n_group, n);
	assert_int_equal(op->in.n, n);
	assert_int_equal(op->bytes, (size_t)n * (part == OP_ATTN ? attn_bytes : mlp_bytes));
}

/* Layers 1..4 in threes: 1, 2, 3 and 4 alone. */
static void test_groups(void **state)
{
	struct plan p = { .target = true, .group = { 1, 5, 3, 2, false } };
	struct schedule s, dense, other;

	(void)state;
	schedule_make(&s, &model, &p);
	assert_true(!s.whole && s.n == 2 * 4 + 2 && s.n_group == 3);
	is_group(&s.op[1], OP_ATTN, 0, 1);
	is_group(&s.op[3], OP_ATTN, 1, 3);
	is_group(&s.op[4], OP_MLP, 1, 3);
	is_group(&s.op[5], OP_ATTN, 4, 1);
	is_group(&s.op[7], OP_ATTN, 5, 1);
	assert_true(s.op[3].bypass == 2 && s.op[5].bypass == 0 && !s.op[3].released);
	assert_true(s.op[2].out.layer == 1 && s.op[2].out.n == 3);
	assert_int_equal(schedule_bytes(&s), LAYERS * (attn_bytes + mlp_bytes) + 5000);
	/* what enters layers 1, 2 and 3 is the same */
	assert_true(s.op[3].keep_from == 1 && s.op[3].keep_to == 4);
	assert_int_equal(s.op[4].keep_from, s.op[4].keep_to);
	assert_true(s.op[5].keep_from == 4 && s.op[5].keep_to == 5);
	assert_int_equal(schedule_rows(&s, 256), 80);
	assert_int_equal(schedule_rows(&s, 16), 0);

	schedule_make(&dense, &model, &(struct plan){ .target = true });
	assert_int_equal(schedule_rows(&dense, 255), 255);
	p.group.size = 1;
	schedule_make(&other, &model, &p);
	assert_true(other.whole && other.id == dense.id && other.id != s.id);
}

/* All that changes a pass changes its name. */
static void test_group_names(void **state)
{
	static const struct grouping all[] = {
		{ 1, 5, 3, 2, false }, { 1, 5, 3, 1, false }, { 1, 5, 3, 2, true },
		{ 1, 5, 2, 2, false }, { 1, 4, 3, 2, false }, { 2, 5, 3, 2, false },
	};
	enum { N = sizeof(all) / sizeof(all[0]) };
	uint64_t id[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		struct schedule s;

		schedule_make(&s, &model, &(struct plan){ .target = true, .group = all[i] });
		id[i] = s.id;
		for (int j = 0; j < i; j++) /* { 1, 4, 3 } is { 1, 5, 3 } with 4 alone */
			assert_int_equal(id[i] == id[j], i == 4 && j == 0);
	}
}

/* Layers of which something is left out run alone, and groups end before them; a bridge takes no
 * layer before it into a group with one behind it. */
static void test_groups_with_gaps(void **state)
{
	struct plan p = { .skip_attn = { 1 << 2 }, .skip_mlp = { 1 << 5 },
			  .group = { 0, 6, 6, 0, false } };
	struct bridge g = { .a = 2, .s = 3, .k = 2, .weight = &weight };
	struct schedule s;

	(void)state;
	schedule_make(&s, &model, &p);
	is_group(&s.op[1], OP_ATTN, 0, 2);
	is_group(&s.op[3], OP_MLP, 2, 1);
	is_group(&s.op[4], OP_ATTN, 3, 2);
	is_group(&s.op[6], OP_ATTN, 5, 1);
	assert_int_equal(s.n, 8);
	schedule_make(&s, &model, &(struct plan){ .bridge = &g, .group = p.group });
	is_group(&s.op[1], OP_ATTN, 0, 2);
	is_op(&s.op[3], OP_BRIDGE, 3);
	is_group(&s.op[4], OP_ATTN, 3, 3);
	assert_int_equal(s.n, 7);
}

/* Into two legs: layers before `at`, and the others. */
static int cut(const struct schedule *s, int at, struct schedule *first, struct schedule *rest,
	       char err[ERR_MAX])
{
	static struct leg leg[2];
	uint64_t host[MODEL_MAX_LAYERS / 64] = { ((uint64_t)1 << at) - 1 };
	struct leg_at upto = { 0 };

	for (int i = 0; i < 2; i++) {
		if (schedule_leg(s, host, &upto, &leg[i], err) != 0)
			return -1;
		assert_true(leg[i].on[i] && !leg[i].on[!i]);
	}
	assert_int_equal(upto.op, s->n);
	*first = leg[0].run[SIDE_HOST];
	*rest = leg[1].run[SIDE_OTHER];
	return 0;
}

/* A matrix of rows x cols whose blocks of 32 have so many bytes. */
static struct gguf_tensor blocks_of(int rows, int cols, enum quant_type type, size_t bytes)
{
	return (struct gguf_tensor){ .dim = { cols, rows, 1, 1 }, .type = type,
				     .bytes = (size_t)(rows * cols / 32) * bytes };
}

/* Columns that act, and the bytes of their codes (half a byte for each row of Q4_0, a whole one of
 * Q8_0) and of all scales, 2 for every block. */
static void test_pruning(void **state)
{
	struct gguf_tensor g = blocks_of(256, 96, QUANT_Q4_0, 18);
	struct gguf_tensor u = blocks_of(256, 96, QUANT_Q8_0, 34);
	struct gguf_tensor d = blocks_of(96, 256, QUANT_F16, 64);
	struct column_norms *norms = (struct column_norms *)&weight;
	struct plan p = { .target = true, .prune = { .5, .3, NULL } };
	struct model m = model;
	struct schedule s, weighted, all;
	char err[ERR_MAX];

	(void)state;
	m.cfg.n_embd = 96;
	m.cfg.n_ff = 256;
	for (int l = 0; l < LAYERS; l++) {
		m.layer[l].mat[MAT_GATE] = &g;
		m.layer[l].mat[MAT_UP] = &u;
		m.layer[l].mat[MAT_DOWN] = &d;
	}
	schedule_make(&s, &m, &p);
	for (int i = 1; i < s.n; i++) {
		bool mlp = s.op[i].part == OP_MLP;

		assert_int_equal(s.op[i].keep_in, mlp ? 48 : 0);
		assert_int_equal(s.op[i].keep_hidden, mlp ? 76 : 0);
	}
	/* the columns of f16 lie nowhere by themselves */
	assert_int_equal(s.op[2].bytes, 2 * 768 * 2 + 48 * 128 + 48 * 256 + d.bytes);
	d.type = QUANT_Q8_0;
	d.bytes = 768 * 34;
	schedule_make(&s, &m, &p);
	assert_int_equal(s.op[2].bytes, 3 * 768 * 2 + 48 * 128 + 48 * 256 + 76 * 96);
	assert_true(!s.whole && !s.norms);
	p.prune.norms = norms;
	schedule_make(&weighted, &m, &p);
	assert_true(weighted.norms == norms && weighted.id != s.id);
	assert_int_equal(cut(&weighted, 2, &all, &s, err), 0);
	assert_true(all.norms == norms && s.norms == norms && s.op[2].keep_hidden == 76);
	p.prune = (struct pruning){ .in = 1, .norms = norms };
	schedule_make(&all, &m, &p);
	schedule_make(&s, &m, &(struct plan){ .target = true });
	assert_true(all.whole && !all.norms && all.id == s.id);
	assert_int_equal(schedule_bytes(&all), schedule_bytes(&s));
	p.prune = (struct pruning){ .in = 1e-6 };    /* one at least */
	schedule_make(&s, &m, &p);
	assert_true(s.op[2].keep_in == 1 && !s.op[2].keep_hidden && !s.whole);
}

/* Every operation is on one side, in order; what enters and leaves is said. */
static void check_cut(const struct schedule *s, int at)
{
	struct schedule part[2];
	size_t bytes = 0;
	int n = 0;
	char err[ERR_MAX];

	assert_int_equal(cut(s, at, &part[0], &part[1], err), 0);
	assert_int_equal(part[0].op[0].part, OP_EMBED);
	assert_int_equal(part[0].op[part[0].n - 1].part, OP_LEAVE);
	assert_int_equal(part[1].op[0].part, OP_ENTER);
	assert_int_equal(part[1].op[part[1].n - 1].part, OP_OUTPUT);
	assert_true(part[0].id != part[1].id && part[0].id != s->id && part[1].id != s->id);
	for (int k = 0; k < 2; k++) {
		const struct schedule *p = &part[k];

		assert_false(p->whole);
		for (int i = 0; i + 1 < p->n; i++)
			assert_memory_equal(&p->op[i].out, &p->op[i + 1].in, sizeof(p->op->in));
		for (int i = 1; i + 1 < p->n; i++, n++) {
			struct op got = p->op[i], want = s->op[n + 1];

			assert_true(k ? got.layer >= at : got.layer < at);
			got.out = want.out;
			assert_memory_equal(&got, &want, sizeof(got));
		}
		bytes += schedule_bytes(p);
	}
	assert_int_equal(n, s->n - 2);
	assert_int_equal(bytes, schedule_bytes(s));
}

static void test_cut(void **state)
{
	struct plan p = { .target = true };
	struct schedule s;

	(void)state;
	for (int at = 0; at <= LAYERS; at++) {
		schedule_make(&s, &model, &(struct plan){ .target = true });
		check_cut(&s, at);
		p.skip_attn[0] = 9;
		p.skip_mlp[0] = 12;     /* nothing of layer 3 */
		schedule_make(&s, &model, &p);
		check_cut(&s, at);
	}
}

/* Layers 1..4 from one input become 1..2 and 3..4. */
static void test_cut_group(void **state)
{
	struct plan p = { .target = true, .group = { 1, 5, 4, 1, false } };
	struct schedule s, part[2], twos;
	char err[ERR_MAX];

	(void)state;
	schedule_make(&s, &model, &p);
	p.group.size = 2;
	schedule_make(&twos, &model, &p);
	assert_int_equal(cut(&s, 3, &part[0], &part[1], err), 0);
	assert_true(s.n_group == 4 && part[0].n_group == 2 && part[1].n_group == 2);
	assert_int_equal(part[0].n + part[1].n, twos.n + 2);
	for (int i = 1; i + 1 < twos.n; i++) {
		int n = part[0].n - 2;
		struct op got = i <= n ? part[0].op[i] : part[1].op[i - n], want = twos.op[i];

		got.out = want.out;
		assert_true(got.keep_to - got.keep_from == want.keep_to - want.keep_from);
		if (got.keep_from == got.keep_to)       /* nothing, wherever that is */
			got.keep_from = got.keep_to = want.keep_from;
		assert_memory_equal(&got, &want, sizeof(got));
	}
	assert_int_equal(cut(&s, 2, &part[0], &part[1], err), 0);
	assert_true(part[0].n_group == 1 && part[1].n_group == 3 && !part[0].op[3].bypass);
}

/* What crosses does so on one device, which keeps the rows for it. */
static void test_cut_bridge(void **state)
{
	struct bridge g = { .a = 1, .s = 4, .k = 2, .weight = &weight };
	struct schedule s, part[2];
	char err[ERR_MAX];

	(void)state;
	schedule_make(&s, &model, &(struct plan){ .bridge = &g });
	for (int at = 0; at <= 4; at++) {
		assert_int_equal(cut(&s, at, &part[0], &part[1], err), 0);
		assert_true(!part[0].bridge && part[1].bridge == &g);
		assert_int_equal(part[0].n, at ? 4 : 2);
		is_op(&part[1].op[at ? 1 : 3], OP_BRIDGE, 4);
		assert_int_equal(part[0].n + part[1].n, s.n + 2);
	}
	assert_int_equal(cut(&s, 5, &part[0], &part[1], err), -1);
	assert_non_null(strstr(err, "layer 4"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole), cmocka_unit_test(test_plans),
		cmocka_unit_test(test_bridge),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_group_names),
		cmocka_unit_test(test_groups_with_gaps),
		cmocka_unit_test(test_pruning),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_group),
		cmocka_unit_test(test_cut_bridge),
	};

	return cmocka_run_group_tests_name("schedule", tests, make_model, NULL);
}
