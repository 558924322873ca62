/* test_figures.c - the statistics of an answer as numbers and as text: each against what it is by
 * its definition in the manual, and which of them are unknown when. */
#include "ui/pane/figures.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* Of numbers that tell all figures from each other. */
static const struct stats all = {
	.n_tokens = 200, .n_prompt = 31, .rate = 12.34, .rate_now = 10.06, .prompt_rate = 155.55,
	.first_s = 0.1234, .rounds = 80, .drafted = 170, .tested = 160, .accepted = 120,
	.pos_tested = { 80, 50, 0, 30 }, .pos_accepted = { 60, 45, 0, 15 },
	.draft_s = 1, .verify_s = 6.5, .choose_s = 0.5, .ctx_used = 231,
	.columns = 4000, .cached = 3000, .fast_bytes = 9e8, .slow_bytes = 2.4e8,
};

static void check(const struct stats *s, enum figure f, double value, const char *full,
		  const char *brief)
{
	char text[FIGURE_TEXT];

	if (isnan(value))
		assert_true(isnan(figure_value(s, f)));
	else
		assert_true(fabs(figure_value(s, f) - value) < 1e-12);
	figure_text(s, f, false, text);
	assert_string_equal(text, full);
	figure_text(s, f, true, text);
	assert_string_equal(text, brief);
}

static void test_known(void **state)
{
	(void)state;
	check(&all, FIGURE_TOKENS, 200, "200", "200");
	check(&all, FIGURE_RATE_NOW, 10.06, "10.1", "10.1 now");
	check(&all, FIGURE_RATE, 12.34, "12.3", "12.3");
	check(&all, FIGURE_FIRST, 0.1234, "0.123 s", "0.12 s");
	check(&all, FIGURE_PROMPT, 31, "31", "31");
	check(&all, FIGURE_PROMPT_RATE, 155.55, "155.6", "156");
	check(&all, FIGURE_ROUNDS, 80, "80", "80");
	check(&all, FIGURE_DRAFTED, 170, "170", "170");
	check(&all, FIGURE_TESTED, 160, "160", "160");
	check(&all, FIGURE_ACCEPTED, 120, "120", "120");
	check(&all, FIGURE_ACCEPTANCE, 0.75, "75.0 %", "75 %");
	check(&all, FIGURE_PER_ROUND, 2.5, "2.50", "2.50");
	check(&all, FIGURE_DRAFTING, 0.125, "12.5 %", "12");
	check(&all, FIGURE_VERIFYING, 0.8125, "81.2 %", "81");
	check(&all, FIGURE_CHOOSING, 0.0625, "6.2 %", "6");
	check(&all, FIGURE_CTX_USED, 231, "231", "231");
	check(&all, FIGURE_HIT_RATE, 0.75, "75.0 %", "75 %");
	check(&all, FIGURE_FAST_BYTES, 4.5e6, "4.50 MB/token", "4.5");
	check(&all, FIGURE_SLOW_BYTES, 1.2e6, "1.20 MB/token", "1.2");
}

/* The figures that are known (bit by bit), of an answer; the others are '-' everywhere. */
static void check_known(const struct stats *s, unsigned known)
{
	char text[FIGURE_TEXT];

	for (enum figure f = 0; f < FIGURE_N; f++) {
		bool is = known >> f & 1;

		assert_int_equal(!isnan(figure_value(s, f)), is);
		for (int brief = 0; brief < 2; brief++) {
			figure_text(s, f, brief, text);
			assert_int_equal(strcmp(text, "-") != 0, is);
		}
	}
}

#define BIT(id) (1u << FIGURE_##id)
static const unsigned counts = BIT(TOKENS) | BIT(ROUNDS) | BIT(DRAFTED) | BIT(TESTED) |
			       BIT(ACCEPTED);

static void test_unknown(void **state)
{
	struct stats s = STATS_NONE_YET;

	(void)state;
	check_known(&s, 0);
	check_known(&all, (1u << FIGURE_N) - 1);
	/* An answer of which a saved chat says only how long it is. */
	s = (struct stats){ .n_tokens = 5, .n_prompt = -1, .rate = -1, .rate_now = -1,
			    .prompt_rate = -1, .first_s = -1, .ctx_used = -1 };
	check_known(&s, counts);
	/* Plain steps: time was spent, but none of it on drafts. */
	s.rounds = 5;
	s.verify_s = 1;
	check_known(&s, counts | BIT(PER_ROUND) | BIT(VERIFYING) | BIT(CHOOSING));
	/* Drafts that were free: a share, of 0. */
	s.drafted = 3;
	check_known(&s, counts | BIT(PER_ROUND) | BIT(DRAFTING) | BIT(VERIFYING) | BIT(CHOOSING));
	check(&s, FIGURE_DRAFTING, 0, "0.0 %", "0");
	/* None was tested, so none was refused. */
	check(&s, FIGURE_ACCEPTANCE, NAN, "-", "-");
}

static void test_positions(void **state)
{
	double share[STATS_DRAFTS];
	struct stats s = STATS_NONE_YET;

	(void)state;
	assert_int_equal(figure_positions(&s, 1, share), 0);
	assert_int_equal(figure_positions(&all, 100, share), 4);
	assert_true(share[0] == 75);
	assert_true(share[1] == 90);
	assert_true(isnan(share[2]));
	assert_true(share[3] == 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known), cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_positions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
