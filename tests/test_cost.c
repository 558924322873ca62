/* test_cost.c - what a draft is worth: chances learnt from rounds, lengths against the best of all
 * lengths by brute force. */
#include "engine/strategy/cost.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

/* A class is believed until it is seen, then what was seen counts. */
static void test_chances(void **state)
{
	struct cost_odds o = { .all_held = 0 };

	(void)state;
	assert_true(cost_chance(&o, 15) > 0.9 && cost_chance(&o, 0) < 0.1);
	srand(1);
	for (int i = 0; i < 400; i++) {
		o.sure[0] = 3;
		o.sure[1] = 12;
		cost_tested(&o, 2, rand() % 10 < 7 ? 1 + (rand() % 10 < 2) : 0);
	}
	assert_true(fabs(cost_chance(&o, 3) - 0.7) < 0.2);
	assert_true(fabs(cost_chance(&o, 12) - 0.2) < 0.2);
	assert_true(fabs(cost_chance(&o, 7) - 7.5 / 16) < 1e-9);        /* never seen */
}

/* Only the drafts whose predecessors held were tested. */
static void test_tested(void **state)
{
	struct cost_odds o = { .sure = { 1, 2, 3, 4 } };

	(void)state;
	cost_tested(&o, 4, 1);
	assert_true(o.tested[1] == 1 && o.held[1] == 1);
	assert_true(o.tested[2] == 1 && o.held[2] == 0);
	assert_true(o.tested[3] == 0 && o.tested[4] == 0);
}

/* Costs are found from rounds; one that was held up counts little. */
static void test_costs(void **state)
{
	struct cost p = { .first_s = 0 };

	(void)state;
	for (int i = 0; i < 600; i++) {
		int k = i % 7 * 2;
		double t = 0.010 + 0.001 * k + (k > 4 ? 0.001 * (k - 4) : 0);

		cost_round(&p, k, i % 50 == 49 ? 1 : t, 1, t);
		cost_steps(&p, 3, 0.005, 0.009);
	}
	assert_true(fabs(p.first_s - 0.010) < 0.002);
	assert_true(fabs((cost_run(&p, 4) - p.first_s) / 4 - 0.001) < 0.0004);
	assert_true(fabs((cost_run(&p, 12) - cost_run(&p, 4)) / 8 - 0.002) < 0.0005);
	assert_true(fabs(cost_run(&p, 3) - 0.013) < 0.002);
	assert_true(fabs(cost_run(&p, 10) - 0.026) < 0.003);
	assert_true(fabs(p.step_s - 0.002) < 1e-6 && fabs(p.begin_s - 0.005) < 1e-6);
}

/* Drafts at no cost of their own: rounds of the length that cost_cut chooses, again and again, end
 * at the best rate that any length gives. */
static void test_length(void **state)
{
	(void)state;
	for (int c = 2; c < COST_CLASSES; c++) {
		struct cost p = { .first_s = 0.01 };
		struct cost_odds o = { .all_held = 0 };
		double chance = cost_chance(&o, c), best = 0, got = 0, expected;

		for (int i = 0; i < COST_DRAFTS; i++) {
			p.row_s[i] = i < 4 ? 0.0005 : 0.002;
			o.sure[i] = c;
		}
		for (int k = 0; k <= COST_DRAFTS; k++) {
			double tokens = (1 - pow(chance, k + 1)) / (1 - chance);

			best = fmax(best, tokens / cost_run(&p, k));
		}
		for (int i = 0; i < 200; i++) {
			int k = cost_cut(&p, &o, COST_DRAFTS, &expected);
			double t = cost_run(&p, k);

			got = expected / t;
			p.tokens = 0.9 * p.tokens + expected;
			p.seconds = 0.9 * p.seconds + t;
		}
		assert_true(got > 0.98 * best);
		assert_true(cost_rate(&p) < 1.001 * best);
	}
}

/* A draft that costs more than plain's token is not made, a free and sure one is. */
static void test_further(void **state)
{
	struct cost p = { .first_s = 0.01, .step_s = 0.009 };

	(void)state;
	for (int i = 0; i < 2; i++)
		p.row_s[i] = 0.001;
	assert_false(cost_further_pays(&p, &p.little, 1, 0.9));
	p.step_s = 0.0001;
	assert_true(cost_further_pays(&p, &p.little, 1, 0.9));
	assert_false(cost_further_pays(&p, &p.little, 1, 0.1));
	assert_true(cost_pays(&p, 0, 0.11) && !cost_pays(&p, 0, 0.09));
}

/* What the little model's weights push out of the cache counts apart from plain's own time, from
 * runs with drafts and without. */
static void test_cold(void **state)
{
	struct cost p = { .first_s = 0 };

	(void)state;
	for (int i = 0; i < 300; i++) {
		int k = i % 4 < 2 ? 0 : 2;
		double t = 0.010 + 0.0005 * k + (i % 2 ? 0.002 : 0);

		if (i % 2)
			cost_steps(&p, 2, 0.001, 0.0015);
		cost_round(&p, k, t, 1, t);
	}
	assert_true(fabs(p.first_s - 0.010) < 0.0003);
	assert_true(fabs(p.cold_s - 0.002) < 0.0003);
	assert_true(fabs(cost_run(&p, 2) - 0.011) < 0.0004);
}

/* Runs that always had two drafts do not tell plain's time from a row's; the first one without any
 * does, at once. */
static void test_told_apart(void **state)
{
	struct cost p = { .first_s = 0 };

	(void)state;
	for (int i = 0; i < 40; i++)
		cost_round(&p, 2, 0.014, 1, 0.014);
	assert_true(fabs(cost_run(&p, 2) - 0.014) < 0.0002);
	cost_round(&p, 0, 0.010, 1, 0.010);
	assert_true(fabs(p.first_s - 0.010) < 0.0007);
	assert_true(fabs(cost_run(&p, 2) - 0.014) < 0.0007);
}

/* Rows cost what they do by their number: one long known does not become dearer because another
 * one is.  Those that no run has shown cost no less than the last that one has. */
static void test_rows(void **state)
{
	static const double run[] = { 1, 1.05, 1.1, 1.3, 1.7, 2.2, 2.7, 3.2 };
	struct cost p = { .first_s = 0 };

	(void)state;
	for (int i = 0; i < 400; i++)
		cost_round(&p, i % 8, run[i % 8], 1, 1);
	for (int k = 0; k < 8; k++)
		assert_true(fabs(cost_run(&p, k) / run[k] - 1) < 0.05);
	assert_true(cost_run(&p, 9) - cost_run(&p, 7) > 0.8);
}

/* Before any run with drafts, rows are judged by how a prompt was read. */
static void test_read(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct cost p = { .first_s = 0 };

		cost_read(&p.read_s, 100, i ? 0.3 : 0.05);
		cost_round(&p, 0, 0.01, 1, 0.01);
		assert_true(cost_run(&p, 2) - cost_run(&p, 1) < (i ? 0.002 : 0.0004));
		assert_true(fabs(cost_run(&p, 16) - cost_run(&p, 15) - (i ? 3e-3 : 5e-4)) < 1e-9);
	}
}

/* Of rows of which nothing is known one more is tried at a time, however sure the drafts are. */
static void test_one_more(void **state)
{
	struct cost p = { .first_s = 0 };

	(void)state;
	for (int i = 0; i < COST_DRAFTS; i++)
		p.ngram.sure[i] = COST_CLASSES - 1;
	cost_round(&p, 0, 0.01, 1, 0.01);
	for (int k = 1; k < 4; k++) {
		double expected;

		assert_int_equal(cost_cut(&p, &p.ngram, COST_DRAFTS, &expected), k);
		assert_false(cost_further_pays(&p, &p.little, k, 1));
		cost_round(&p, k, 0.01 + 0.0001 * k, 1 + k, 0.01 + 0.0001 * k);
		assert_true(cost_pays(&p, k, 1));
	}
}

/* A trial is what is hoped of it until its own rounds count more, loses the hope within a few that
 * gain nothing, and regains it when rounds do; one round that was held up does not decide. */
static void test_trial(void **state)
{
	const struct cost_hope hope = { .tokens = 1.5, .plain = 1.25 };
	struct cost p = { .first_s = 0.01 };
	struct cost_trial t = { .rounds = 0 };
	double doubtful = cost_doubtful(&t);

	(void)state;
	assert_true(fabs(cost_gain(&t, &hope) - 1.2) < 1e-9);
	for (int i = 0; i < 4; i++)
		cost_try(&p, &t, 1, 0.012);
	assert_true(cost_gain(&t, &hope) < 1 && cost_doubtful(&t) < doubtful);
	for (int i = 0; i < 100; i++)
		cost_try(&p, &t, 1, 0.012);
	cost_doubt(&t);
	assert_true(t.rounds < 7 && cost_gain(&t, &hope) < 1);
	for (int i = 0; i < 10; i++)
		cost_try(&p, &t, 2, i == 9 ? 1 : 0.012);
	assert_true(cost_gain(&t, &hope) > 1);
}

/* What is hoped of rounds never made, against the best of all lengths by brute force: by drafts of
 * which half hold until they are seen. */
static void test_hope(void **state)
{
	(void)state;
	for (int dear = 0; dear < 2; dear++) {
		struct cost p = { .first_s = 0.01, .cold_s = 0.0005 };
		struct cost_hope h;
		double best = 0, tokens = 1;

		for (int i = 0; i < COST_DRAFTS; i++)
			p.row_s[i] = dear ? 0.006 : 0.0005;
		for (int k = 1; k <= 8; k++) {
			double t = 0.002 + (k - 1) * 0.001 + 0.0005 + cost_run(&p, k);

			tokens += pow(0.5, k);
			best = fmax(best, tokens * p.first_s / t);
		}
		h = cost_hope(&p, &p.little, 0.002, 0.001, 8);
		assert_true(fabs(h.tokens / h.plain - best) < 1e-9);
		assert_int_equal(best < 1, dear);
		for (int i = 0; i < 100; i++)
			cost_tested(&p.little, 1, 0);
		h = cost_hope(&p, &p.little, 0.002, 0.001, 8);
		assert_true(h.tokens < 1.1 && h.tokens < h.plain);
	}
}

/* What failed is tried again when long nothing was seen of it; what holds stays likely. */
static void test_forgotten(void **state)
{
	struct cost p = { .first_s = 0.01 };

	(void)state;
	p.little.sure[0] = 12;
	for (int i = 0; i < 50; i++)
		cost_tested(&p.little, 1, 0);
	assert_true(cost_chance(&p.little, 12) < 0.2);
	for (int i = 0; i < 2000; i++)
		cost_round(&p, 0, 0.01, 1, 0.01);
	assert_true(cost_chance(&p.little, 12) > 0.7);
}

/* A machine that has become slower makes both a run and a row dearer before plain is run again. */
static void test_slower(void **state)
{
	struct cost p = { .first_s = 0 };

	(void)state;
	for (int i = 0; i < 100; i++)
		cost_round(&p, i % 2 * 3, 0.010 + i % 2 * 0.003, 1, 0.01);
	assert_true(fabs(p.first_s - 0.010) < 0.001);
	assert_true(fabs((cost_run(&p, 3) - p.first_s) / 3 - 0.001) < 0.0003);
	for (int i = 0; i < 100; i++)
		cost_round(&p, 3, 0.026, 1, 0.026);
	assert_true(p.first_s > 0.015 && (cost_run(&p, 3) - p.first_s) / 3 < 0.004);
	assert_true(fabs(cost_run(&p, 3) - 0.026) < 0.001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chances), cmocka_unit_test(test_tested),
		cmocka_unit_test(test_costs), cmocka_unit_test(test_length),
		cmocka_unit_test(test_further), cmocka_unit_test(test_trial),
		cmocka_unit_test(test_cold), cmocka_unit_test(test_rows),
		cmocka_unit_test(test_told_apart), cmocka_unit_test(test_one_more),
		cmocka_unit_test(test_read), cmocka_unit_test(test_hope),
		cmocka_unit_test(test_forgotten), cmocka_unit_test(test_slower),
	};

	return cmocka_run_group_tests_name("cost", tests, NULL, NULL);
}
