/* test_column_sim.c - caches of columns on recorded choices: none has more hits than Belady's,
 * which has as many as a search of all that could be; LFU's and LRU's are those that a model
 * counted while it wrote; and what they mean for time, by hand. */
#define LEN 48
#include "engine/approx/column_sim.h"
#include "engine/info.h"
#include "tests/strategy_kit.h"
#include <math.h>

static const char MODEL[] = "build/test-column-sim.gguf";
static uint64_t seed = 1;

static uint64_t draw(uint64_t n)
{
	seed += 0x9e3779b97f4a7c15u;
	return mix64(seed) % n;
}

/* ---- tiny traces: every cache that could be ---- */

enum { N = 5, ROWS = 7, SETS = 1 << N };

/* Most hits from row t on with the columns of `there` in the cache. */
static int most_hits(const struct trace_side *s, int slots, int t, unsigned there)
{
	unsigned set;
	int best = 0;

	if (t == s->rows)
		return 0;
	set = (unsigned)s->set[t];
	for (unsigned next = 0; next < SETS; next++) {
		int hits;

		if (next & ~(there | set) || __builtin_popcount(next) > slots)
			continue;
		hits = most_hits(s, slots, t + 1, next);
		best = hits > best ? hits : best;
	}
	return best + __builtin_popcount(set & there);
}

static void test_brute_force(void **state)
{
	int less = 0;

	(void)state;
	for (int i = 0; i < 300; i++) {
		uint64_t sets[ROWS];
		struct trace_side s = { .n = N, .rows = 1 + (int)draw(ROWS), .set = sets };
		int slots = (int)draw(N), want;
		char err[ERR_MAX];

		for (int t = 0; t < s.rows; t++)
			sets[t] = draw(SETS) & (i % 2 ? draw(SETS) : SETS - 1);
		want = most_hits(&s, slots, 0, 0);
		assert_int_equal(column_sim_hits(&s, slots, SIM_BELADY, err), want);
		for (int p = SIM_NONE; p < SIM_BELADY; p++) {
			long hits = column_sim_hits(&s, slots, (enum sim_policy)p, err);

			assert_in_range(hits, 0, want);
			less += p != SIM_NONE && hits < want;
		}
	}
	assert_true(less > 50);
}

/* ---- what a model chose ---- */

static struct column_trace trace;

static void use(enum slot_policy policy, size_t bytes)
{
	struct engine_opt o = { .model = MODEL, .n_ctx = 512, .be = { .n_threads = 2 },
				.dip = { .spec = ".5", .aware = "1",
					 .cache = { .bytes = bytes, .policy = policy,
						    .seen = column_trace_seen, .ctx = &trace } } };
	char err[ERR_MAX];

	engine_close(engine);
	engine = engine_open(&o, err);
	if (!engine)
		fail_msg("%s", err);
}

static struct column_counts simulate(size_t bytes, enum sim_policy policy)
{
	struct column_counts c = { .rows = 0 };
	char err[ERR_MAX];

	assert_int_equal(column_sim(&trace, bytes, policy, &c, err), 0);
	return c;
}

static void test_recorded(void **state)
{
	size_t half = (size_t)(column_total(trace.model) / 2);
	int out[LEN], n;

	(void)state;
	for (int i = 0; i < 8; i++) {
		bool lru = i % 2;
		size_t bytes = i / 2 == 3 ? 1 : half * (size_t)(i / 2) / 2;     /* 0: half */
		struct column_counts live, sim, best;

		use(lru ? SLOTS_LRU : SLOTS_LFU, bytes);
		column_trace_clear(&trace);
		begin(i, 0.7f, 5, 1);
		n = answer(plain, out);
		live = engine_columns(engine);
		sim = simulate(bytes, lru ? SIM_LRU : SIM_LFU);
		assert_memory_equal(&live, &sim, sizeof(live));
		assert_int_equal(sim.rows, n);
		best = simulate(bytes, SIM_BELADY);
		assert_int_equal(best.used, sim.used);
		assert_true(best.hits >= sim.hits && (best.hits > sim.hits || bytes == 1));
		assert_int_equal(simulate(bytes, SIM_NONE).hits, 0);
		assert_int_equal(simulate(bytes, SIM_NONE).slow, sim.fast + sim.slow);
	}
}

/* 10 rows that read 2 MB from the cache and 1 MB from elsewhere each, beside 4 MB. */
static void test_speed(void **state)
{
	struct column_counts c = { .rows = 10, .fast = 20000000, .slow = 10000000 };

	(void)state;
	assert_true(fabs(column_sim_speed(&c, 4e6, 60e9, 1e9) - 1 / (6e6 / 60e9 + 1e6 / 1e9)) <
		    1e-6);
}

static int open_all(void **state)
{
	char err[ERR_MAX];

	(void)state;
	if (write_tied(MODEL, 4, err) != 0)
		fail_msg("%s", err);
	engine = engine_open(&(struct engine_opt){ .model = MODEL, .n_ctx = 512 }, err);
	assert_non_null(engine);
	/* A trace borrows a model of the same file. */
	assert_int_equal(column_trace_open(&trace, model_open(MODEL, NULL, err), 4 * LEN, err), 0);
	return 0;
}

static int close_all(void **state)
{
	struct model *m = (struct model *)(uintptr_t)trace.model;

	(void)state;
	column_trace_close(&trace);
	model_close(m);
	engine_close(engine);
	return remove(MODEL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_brute_force),
		cmocka_unit_test(test_recorded),
		cmocka_unit_test(test_speed),
	};

	return cmocka_run_group_tests_name("column_sim", tests, open_all, close_all);
}
