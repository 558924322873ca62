/* test_promise.c - what auto promises: never slower than plain for long, whatever rows, drafts and
 * texts are like, from the first answer on; and faster where drafts are good and rows cheap. */
#include "tests/world_kit.h"

enum { CHATS = 24, ANSWERS = 4, TOKENS = 128, PROMPT = 40 };

/* What 1, 2, .. 17 rows cost: on a server with AVX-512, on a processor with AVX2, where each row
 * costs as much as half a step, where they cost nothing. */
static const double cheap[] = { 1, 1.05, 1.11, 1.18, 1.25, 1.32, 1.38, 1.44, 1.5, 1.62, 1.74, 1.86,
				1.98, 2.1, 2.22, 2.34, 2.46 };
static const double dear[] = { 1, 1.07, 1.3, 1.6, 2.0, 2.35, 2.75, 3.1, 3.5, 3.9, 4.3, 4.7, 5.1,
			       5.5, 5.9, 6.3, 6.7 };
static const double dearest[] = { 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5, 6, 6.5, 7, 7.5, 8, 8.5,
				  9 };
static const double nothing[] = { 1, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.07, 1.08, 1.09, 1.1,
				  1.11, 1.12, 1.13, 1.14, 1.15, 1.16 };

#define PAIR .begin = 0.16, .step = 0.075, .cold = 0.06, .bridge = 0.42
#define GOOD { .easy = 0.65, .holds = { 0.35, 0.95 }, .says = { 0.35, 0.95 }, .later = 1 }
#define FAIR { .easy = 0.35, .holds = { 0.25, 0.85 }, .says = { 0.25, 0.85 }, .later = 1 }
#define FAIR_BRIDGE { .easy = 0.35, .holds = { 0.25, 0.85 }, .says = { 0.25, 0.85 }, .later = 0.8 }
#define GOOD_BRIDGE { .easy = 0.65, .holds = { 0.35, 0.95 }, .says = { 0.35, 0.95 }, .later = 0.8 }
#define BAD { .easy = 0.3, .holds = { 0.05, 0.2 }, .says = { 0.05, 0.2 }, .later = 1 }
#define BOASTING { .easy = 0.5, .holds = { 0.05, 0.1 }, .says = { 0.5, 0.95 }, .later = 0.9 }

struct rates {                  /* of answers, against plain's */
	double median, tenth, mean;     /* tenth: nine in ten are better */
};

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static struct rates of(double *x, int n)
{
	struct rates r = { 0, 0, 0 };

	for (int i = 0; i < n; i++)
		r.mean += x[i] / n;
	qsort(x, (size_t)n, sizeof(*x), ascending);
	r.median = x[n / 2];
	r.tenth = x[n / 10];
	return r;
}

static double plain_answer(const struct world *w)
{
	struct chat_of_world *c = world_open(w, "plain");
	double t = 0;

	for (int i = 0; i < CHATS; i++)
		t += world_answer(c, (uint64_t)i, PROMPT, TOKENS) / CHATS;
	world_close(c);
	return t;
}

/* Many chats of some answers under auto: what the first answers were like, and the others; of a
 * world that turns the others that it is for, and those that it is not for. */
static void chats(const struct world *w, struct rates *first, struct rates *later)
{
	static double rate[2][CHATS * ANSWERS];
	double plain = plain_answer(w);
	int n[2] = { 0, 0 };

	for (int i = 0; i < CHATS; i++) {
		struct chat_of_world *c = world_open(w, "auto");

		for (int j = 0; j < ANSWERS; j++) {
			int number = i * ANSWERS + j, group = w->turns ? number % 2 : j > 0;
			double t = world_answer(c, (uint64_t)number, PROMPT, TOKENS);

			rate[group][n[group]++] = plain / t;
		}
		world_close(c);
	}
	*first = of(rate[0], n[0]);
	*later = of(rate[1], n[1]);
	print_message("# %-24s %s %.3f (%.3f.., mean %.3f), %s %.3f (%.3f.., mean %.3f)\n",
		      w->name, w->turns ? "fit" : "first", first->median, first->tenth, first->mean,
		      w->turns ? "unfit" : "then", later->median, later->tenth, later->mean);
}

#define DEAR dear, PAIR, .read = 0.33
#define DEAREST dearest, PAIR, .read = 0.5
#define CHEAP cheap, PAIR, .read = 0.1
#define FREE nothing, PAIR, .read = 0.02

/* No answer is much slower than plain's, the first of a chat neither. */
static void test_never_slower(void **state)
{
	static const struct world worlds[] = {
		{ "bad, dear", DEAR, .little = BAD, .bridged = BAD },
		{ "bad, cheap", CHEAP, .little = BAD, .bridged = BAD },
		{ "boasting, dear", DEAR, .little = BOASTING, .bridged = BOASTING },
		{ "boasting, dearest", DEAREST, .little = BOASTING, .bridged = BOASTING },
		{ "boasting, prompts free", dear, PAIR, .read = 0.03, .little = BOASTING,
		  .bridged = BOASTING },
		{ "boasting, cheap", CHEAP, .little = BOASTING, .bridged = BOASTING },
		{ "fair, dear", DEAR, .little = FAIR, .bridged = FAIR_BRIDGE },
		{ "fair, dearest", DEAREST, .little = FAIR, .bridged = FAIR_BRIDGE },
		{ "good, dearest", DEAREST, .little = GOOD, .bridged = GOOD_BRIDGE },
		{ "fair, dear little model", dear, .begin = 0.6, .step = 0.4, .cold = 0.3,
		  .bridge = 0.8, .read = 0.33, .little = FAIR, .bridged = FAIR_BRIDGE },
		{ "fair, no bridge, dearest", dearest, .begin = 0.16, .step = 0.075, .cold = 0.06,
		  .read = 0.5, .little = FAIR },
		{ "fair, bridge alone, dear", DEAR, .little = { .easy = -1 },
		  .bridged = FAIR_BRIDGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++) {
		struct rates first, later;

		chats(&worlds[i], &first, &later);
		assert_true(first.median > 0.97 && first.tenth > 0.94);
		assert_true(later.median > 0.97 && later.tenth > 0.95);
	}
}

/* What drafts can bring they bring, soon. */
static void test_faster(void **state)
{
	static const struct {
		struct world w;
		double first, later;
	} worlds[] = {
		{ { "fair, dear", DEAR, .little = FAIR, .bridged = FAIR_BRIDGE }, 1.04, 1.09 },
		{ { "fair, cheap", CHEAP, .little = FAIR, .bridged = FAIR_BRIDGE }, 1.12, 1.18 },
		{ { "good, dear", DEAR, .little = GOOD, .bridged = GOOD_BRIDGE }, 1.4, 1.45 },
		{ { "good, cheap", CHEAP, .little = GOOD, .bridged = GOOD_BRIDGE }, 1.7, 1.8 },
		{ { "good, free", FREE, .little = GOOD, .bridged = GOOD_BRIDGE }, 1.95, 2.03 },
		{ { "copies, dear", DEAR, .little = BAD, .bridged = BAD, .period = 50 }, 2.1, 2.1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(worlds) / sizeof(worlds[0]); i++) {
		struct rates first, later;

		chats(&worlds[i].w, &first, &later);
		assert_true(first.mean > worlds[i].first && later.mean > worlds[i].later);
	}
}

/* Every second text is one for which the drafters are no good: what the one teaches does not cost
 * much in the other. */
static void test_turns(void **state)
{
	static const struct world worlds[] = {
		{ "turns, dear", DEAR, .little = GOOD, .bridged = GOOD_BRIDGE, .turns = true },
		{ "turns, cheap", CHEAP, .little = GOOD, .bridged = GOOD_BRIDGE, .turns = true },
	};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct rates fit, unfit;

		chats(&worlds[i], &fit, &unfit);
		assert_true(unfit.mean > 0.96 && unfit.tenth > 0.93);
		assert_true(fit.mean > (i ? 1.65 : 1.4));
	}
}

/* How often it is told, and taken back, in the next rounds that the strategy is slower than plain;
 * *now: whether it stands there at the end. */
static int told(struct chat_of_world *c, int answers, bool *now)
{
	struct emit out[STEP_MAX];
	char err[ERR_MAX];
	int changes = 0;

	for (int i = 0; i < answers; i++) {
		world_answer(c, (uint64_t)i, PROMPT, 1);
		for (int j = 0; j < 100; j++) {
			bool before = c->cost.slower;

			assert_true(strategy_step(&c->s, out, err) > 0);
			changes += c->cost.slower != before;
		}
	}
	*now = c->cost.slower;
	return changes;
}

/* A user's strategy that is slower is told to be so, once; one that is not never is. */
static void test_told(void **state)
{
	static const struct world bad = { "", DEAR, .little = BOASTING, .bridged = BOASTING },
		good = { "", CHEAP, .little = GOOD, .bridged = GOOD_BRIDGE };
	static const struct {
		const struct world *w;
		const char *strategy;
		bool slower;
	} cases[] = {
		{ &bad, "draft", true }, { &bad, "s3d", true }, { &good, "draft", false },
		{ &good, "s3d", false }, { &bad, "plain", false }, { &bad, "ngram", false },
		{ &bad, "auto", false },
	};
	bool now;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct chat_of_world *c = world_open(cases[i].w, cases[i].strategy);

		assert_int_equal(told(c, 20, &now), cases[i].slower);
		assert_int_equal(now, cases[i].slower);
		world.w = &good;                /* from now on it pays */
		assert_int_equal(told(c, 5, &now), cases[i].slower);
		assert_false(now);
		world_close(c);
	}
}

/* A step without drafts counts as plain's, unless it comes right behind the little model, whose
 * guess was too few: then it is slower. */
static void test_measured(void **state)
{
	static const struct world w = { "", cheap, .begin = 0.2, .step = 0.1, .cold = 0.5,
					.read = 0.1, .little = GOOD };
	struct chat_of_world *c = world_open(&w, "draft");
	struct emit out[STEP_MAX];
	char err[ERR_MAX];

	(void)state;
	c->s.opt.draft_min = STEP_MAX;
	world_answer(c, 1, PROMPT, 1);
	while (c->s.stats.rounds < 8 + 2 * 64 + 1)
		assert_int_equal(strategy_step(&c->s, out, err), 1);
	assert_int_equal(c->s.stats.drafted, 0);
	assert_int_equal(c->s.stats.plain_n, 3);        /* rounds 9, 73, 137 */
	assert_true(c->s.stats.plain_s < 3 * 1.05 && c->s.stats.plain_s > 3 * 0.95);
	assert_true(fabs(c->cost.first_s - 1) < 0.05);
	assert_true(fabs(c->cost.cold_s - 0.5) < 0.1);
	world_close(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_never_slower), cmocka_unit_test(test_faster),
		cmocka_unit_test(test_turns), cmocka_unit_test(test_told),
		cmocka_unit_test(test_measured),
	};

	return cmocka_run_group_tests_name("promise", tests, NULL, NULL);
}
