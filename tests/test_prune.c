/* test_prune.c - MLPs that read only a part of their columns (DIP): against mask and multiply
 * written naively in double precision, to the bit what strategies rely on, and how the part is
 * shared out.
 *
 * Models of nine layers and four architectures, one with the other activation, one with biases. */
#include "kernels/prune.h"
#include "tests/group_kit.h"
#include "tests/naive_kit.h"

enum { ROWS = 60, TEXTS = 100, SHORT = 4 };

static struct rig open_rig(int i, const char *kernels, int threads)
{
	struct backend_opt o = rig_opt(F16, kernels, threads);

	return open_rig_on(&backend_cpu, &specs[i], &o);
}

static struct column_norms *norms_of(const struct rig *r)
{
	char err[ERR_MAX];
	struct column_norms *c = column_norms_new(r->m, err);

	assert_non_null(c);
	return c;
}

/* What the paper's authors' formula gives, by hand. */
static void test_split(void **state)
{
	static const double want[][3] = {
		{ .3, .369, .161 }, { .4, .475, .250 }, { .5, .574, .351 }, { .6, .668, .464 },
		{ .7, .757, .587 }, { .8, .841, .718 }, { .9, .922, .857 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct pruning p = prune_split(want[i][0]);

		assert_true(fabs(p.in - want[i][1]) < .001 && fabs(p.hidden - want[i][2]) < .001);
		assert_true(fabs((2 * p.in + p.hidden) / 3 - want[i][0]) < 1e-12);
	}
	assert_true(prune_split(1).in == 1 && prune_split(1).hidden == 1);
	for (double rho = 1e-4; rho < 1; rho *= 1.1) {
		struct pruning p = prune_split(rho);

		assert_true(p.in > 0 && p.in < 1 && p.hidden >= 0 && p.hidden < 1);
	}
}

/* MLPs alone, so that no rounding of a cache is in the way.  Rows where the last score that is kept
 * nearly is the next one may be rounded the other way. */
static void check_mlps(struct rig *r, struct pruning p)
{
	struct plan plan = { .prune = p };
	const struct model_config *c = &r->m->cfg;
	int close = 0;
	double x[WIDE], want[MK_VOCAB_MIN], worst = 0;
	float *got;

	for (int l = 0; l < c->n_layers; l++)
		plan.skip_attn[0] |= (uint64_t)1 << l;
	got = run(r, &plan, 0, ROWS, ROWS);
	for (int pos = 0; pos < ROWS; pos++) {
		struct naive s = { .m = r->m, .prune = p, .closest = 1 };

		naive_embed(&s, pos, x);
		for (int l = 0; l < c->n_layers; l++)
			naive_mlp(&s, l, x);
		naive_layers(&s, c->n_layers, c->n_layers, pos, x, want);
		close += s.closest < 1e-5;
		for (int v = 0; v < c->n_vocab && s.closest >= 1e-5; v++)
			worst = fmax(worst, fabs(want[v] - (double)got[pos * c->n_vocab + v]));
	}
	free(got);
	print_message("# %s, %.2g of x and %.2g of h%s: at most %.2g, %d rows too close\n", c->arch,
		      p.in, p.hidden, p.norms ? ", weighted" : "", worst, close);
	assert_true(worst < 1e-4);
	assert_true(close < ROWS / 6);
}

static void test_mask_and_multiply(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		struct rig r = open_rig(i, "float", 2);
		struct column_norms *norms = norms_of(&r);

		for (int j = 1; j <= 9; j += 2) {
			struct pruning p = prune_split(j / 10.0);

			check_mlps(&r, p);
			p.norms = norms;
			check_mlps(&r, p);
		}
		check_mlps(&r, (struct pruning){ .hidden = .4 });
		check_mlps(&r, (struct pruning){ .in = .4, .norms = norms });
		column_norms_free(norms);
		close_rig(&r);
	}
}

/* The whole model: many short texts, each up to where a rounding may go the other way. */
static void check_model(struct rig *r)
{
	const struct model_config *c = &r->m->cfg;
	size_t kv = (size_t)c->n_layers * CTX * (size_t)(c->n_kv_heads * c->head_dim);
	struct naive s = { .m = r->m, .k = calloc(kv, sizeof(double)),
			   .v = calloc(kv, sizeof(double)), .cache = F16, .group = r->group,
			   .prune = r->prune, .closest = 1,
			   .decoded = calloc(TENSORS, sizeof(struct decoded)) };
	double want[MK_VOCAB_MIN], worst = 0;
	int rows = 0;

	for (int text = 0; text < TEXTS; text++) {
		float *got;

		for (int i = 0; i < SHORT; i++)
			tokens[i] = (tokens[i] + 7) % MK_VOCAB_MIN;
		got = run(r, NULL, 0, SHORT, SHORT);
		s.closest = 1;
		for (int pos = 0; pos < SHORT; pos++, rows++) {
			naive_step(&s, pos, want);
			if (s.closest < 1e-3)
				break;
			for (int v = 0; v < c->n_vocab; v++)
				worst = fmax(worst, fabs(want[v] -
							 (double)got[pos * c->n_vocab + v]));
		}
		free(got);
	}
	print_message("# %s: at most %.2g in %d rows\n", c->arch, worst, rows);
	assert_true(worst < 0.02 && rows > TEXTS / 6);
	naive_forget(&s);
	free(s.k);
	free(s.v);
}

static void test_model(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++) {
		struct rig r = open_rig(i, "float", 2);

		struct column_norms *norms = norms_of(&r);

		prune_mlps(&r, prune_split(.5));
		check_model(&r);
		r.prune.norms = norms;
		group_layers(&r, &(struct grouping){ 2, 8, 3, 1, false });
		check_model(&r);
		column_norms_free(norms);
		close_rig(&r);
	}
}

/* All columns: the model itself. */
static void test_all(void **state)
{
	struct rig r = open_rig(3, "auto", 2);
	struct column_norms *norms = norms_of(&r);
	uint64_t id = r.whole.id;
	float *want = run(&r, NULL, 0, ROWS, ROWS), *got;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct pruning p = prune_split(1);

		p.norms = i ? norms : NULL;
		prune_mlps(&r, i < 2 ? p : (struct pruning){ .norms = norms });
		assert_true(r.whole.whole && r.whole.id == id);
		got = run(&r, NULL, 0, ROWS, ROWS);
		same_rows(want, got, ROWS, &r);
		free(got);
	}
	/* less than all is another model, and weights make a third */
	prune_mlps(&r, prune_split(.7));
	assert_true(!r.whole.whole && r.whole.id != id);
	id = r.whole.id;
	got = run(&r, NULL, 0, ROWS, ROWS);
	assert_memory_not_equal(want, got, sizeof(*got) * MK_VOCAB_MIN);
	free(want);
	r.prune.norms = norms;
	prune_mlps(&r, r.prune);
	assert_true(r.whole.id != id);
	want = run(&r, NULL, 0, ROWS, ROWS);
	assert_memory_not_equal(want, got, sizeof(*got) * MK_VOCAB_MIN);
	free(want);
	free(got);
	column_norms_free(norms);
	close_rig(&r);
}

/* 1 to 17 rows; rows that are taken back; a text in one piece and token by token; with 1 and 3
 * threads. */
static void test_rows_alike(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++)
		for (int k = 0; k < 2; k++) {
			struct rig r = open_rig(i, k ? "float" : "auto", 3);
			struct rig one = open_rig(i, k ? "float" : "auto", 1);
			struct column_norms *norms = norms_of(&r);
			struct pruning p = prune_split(.5);
			float *want, *got;

			p.norms = k ? norms : NULL;
			r.group = (struct grouping){ .from = 2, .to = 8, .size = k ? 3 : 0 };
			prune_mlps(&r, p);
			check_rows_alike(&r, 124, 62);
			check_rollback(&r);
			one.group = r.group;
			prune_mlps(&one, p);
			want = run(&r, NULL, 0, 128, 1);
			for (int pos = 0; pos < 127; pos++)
				free(run(&one, NULL, pos, 1, 0));
			got = run(&one, NULL, 127, 1, 1);
			same_rows(want, got, 1, &r);
			free(want);
			free(got);
			column_norms_free(norms);
			close_rig(&one);
			close_rig(&r);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_mask_and_multiply),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_rows_alike),
	};

	make_tokens();
	return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
