/* strategy_kit.h - writes answers with the open engine under any strategy, and compares them with
 * what plain writes.  The including file sets engine. */
#ifndef S3D_STRATEGY_KIT_H
#define S3D_STRATEGY_KIT_H
#include "engine/engine.h"
#include "tests/mk.h"
#include "kernels/peaks.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#ifndef LEN              /* tokens of an answer */
#define LEN 160
#endif
enum { PROMPTS = 6 };

static struct engine *engine;
static long came[3];    /* tokens of the answer by their origin */

/* Of so many layers and tied, as such a random model likes to repeat itself; fewer layers have the
 * same embedding, so that two of them agree now and then. */
static inline int write_tied(const char *path, int n_layers, char err[ERR_MAX])
{
	struct mk_spec s = MK_TINY;

	s.type = "Q8_0";
	s.tied = true;
	s.n_layers = n_layers;
	return mk_write(path, &s, err);
}

static inline int make_prompt(int which, int *ids)
{
	int n = 5 + which * 7;

	for (int i = 0; i < n; i++)     /* some repetition, so that n-grams find something */
		ids[i] = 3 + (i % (3 + which) * 37 + which * 11) % 256;
	return n;
}

static inline void begin(int which, float temp, uint64_t seed, float penalty)
{
	char err[ERR_MAX];
	int ids[64], n = make_prompt(which, ids), left;

	engine->strat.law = (struct sampler_opt)SAMPLER_DEFAULTS;
	engine->strat.law.temp = temp;
	engine->strat.law.seed = seed;
	engine->strat.law.repeat_penalty = penalty;
	engine->strat.opt = (struct strategy_opt)STRATEGY_DEFAULTS;
	engine->strat.opt.rollback_exact = true;
	engine->strat.opt.draft_p_min = which % 2 ? 0.3f : which % 4 ? 0 : -1;
	memset(&engine->strat.stats, 0, sizeof(engine->strat.stats));
	memset(came, 0, sizeof(came));
	assert_int_equal(engine_prompt(engine, ids, n, err), 0);
	while ((left = engine_prefill(engine, err)) > 0)
		;
	assert_int_equal(left, 0);
}

/* Writes up to limit tokens; switcher(step) names the strategy of each step. */
static inline int answer_to(const char *(*switcher)(int), int limit, int *out)
{
	struct emit e[STEP_MAX];
	char err[ERR_MAX];
	bool done = false;
	int n = 0;

	for (int step = 0; n < limit && !done; step++) {
		int got;

		int in_cache = engine->draft.n_kv;

		if (engine_strategy(engine, switcher(step), err) != 0)
			fail_msg("%s", err);
		assert_int_equal(engine->target.n_kv, engine->target.n - 1);
		assert_int_equal(engine->draft.n_kv, in_cache); /* nothing to run again */
		mem_guard(true);
		got = engine_step(engine, limit - n, e, &done, err);
		mem_guard(false);
		assert_in_range(got, 1, limit - n);
		if (!engine->strat.opt.bild_paper || engine->strat.opt.rollback_exact)
			assert_int_equal(engine->target.n_kv, engine->target.n - 1);
		for (int i = 0; i < got; i++) {
			out[n++] = e[i].tok;
			came[e[i].origin]++;
		}
	}
	return n;
}

static inline int answer(const char *(*switcher)(int), int *out)
{
	return answer_to(switcher, LEN, out);
}

static inline const char *plain(int step)
{
	(void)step;
	return "plain";
}

static inline const char *ngram(int step)
{
	(void)step;
	return "ngram";
}

static inline const char *draft(int step)
{
	(void)step;
	return "draft";
}

static inline const char *bild(int step)
{
	(void)step;
	return "bild";
}

static inline const char *automatic(int step)
{
	(void)step;
	return "auto";
}

/* Of a strategy among those that auto chooses from. */
static inline int place(const char *name)
{
	int at = 0;

	while (strategies[at] != strategy_find(name, (char[ERR_MAX]){ 0 }))
		at++;
	return at;
}

static inline const char *random_one(int step)
{
	int n = 0;

	(void)step;
	while (strategies[n])
		n++;
	for (;;) {
		const struct strategy *s = strategies[rand() % n];

		if ((s->exact || s->can_be_exact) && !strategy_lacks(&engine->strat, s))
			return s->name;
	}
}

static inline void check_stats(int n)
{
	const struct strategy_stats *st = &engine->strat.stats;
	long tested = 0, accepted = 0;

	for (int i = 0; i < DRAFT_MAX; i++) {
		tested += st->pos_tested[i];
		accepted += st->pos_accepted[i];
		assert_true(st->pos_accepted[i] <= st->pos_tested[i]);
		if (i)
			assert_true(st->pos_tested[i] <= st->pos_accepted[i - 1]);
	}
	assert_int_equal(st->emitted, n);
	assert_int_equal(tested, st->tested);
	assert_int_equal(accepted, st->accepted);
	assert_true(st->accepted <= st->tested && st->tested <= st->drafted);
	/* a tested draft came out, or what the big model put in its place */
	assert_int_equal(st->accepted, came[ORIGIN_ACCEPTED]);
	assert_int_equal(st->tested - st->accepted, came[ORIGIN_CORRECTED]);
	assert_int_equal(st->emitted, came[0] + came[1] + came[2]);
	/* every round ends with one token that was not a draft, unless the answer was cut there */
	assert_in_range(st->emitted - st->accepted, st->rounds - 1, st->rounds);
}

/* Every draft that was looked at held. */
static inline void all_accepted(void)
{
	const struct strategy_stats *st = &engine->strat.stats;

	assert_true(st->rounds > 1);
	assert_int_equal(st->tested, st->accepted);
	assert_true(st->emitted > (st->rounds - 1) * engine->strat.opt.draft_max / 2);
}

/* Answers to a prompt by n strategies, each of which must be what plain writes. */
static inline void all_identical(const char *(*const by[])(int), int n_by, int prompt, float temp,
				 float penalty, long accepted[])
{
	uint64_t seed = (uint64_t)(prompt * 3) + (temp > 0) + (temp > 0.9f);
	int want[LEN], got[LEN], n, m;

	begin(prompt, temp, seed, penalty);
	n = answer(plain, want);
	check_stats(n);
	for (int i = 0; i < n_by; i++) {
		begin(prompt, temp, seed, penalty);
		m = answer(by[i], got);
		check_stats(m);
		assert_int_equal(n, m);
		assert_memory_equal(want, got, sizeof(int) * (size_t)n);
		accepted[i] += engine->strat.stats.accepted;
	}
}

static inline void identical(const char *(*switcher)(int), int prompt, float temp, float penalty,
			     long *accepted)
{
	all_identical(&switcher, 1, prompt, temp, penalty, accepted);
}

/* The same for every prompt, temperature and penalty; accepted[i] of by[i]. */
static inline void identities(const char *(*const by[])(int), int n_by, long accepted[])
{
	static const float temps[] = { 0, 0.7f, 1.0f };

	for (int p = 0; p < PROMPTS; p++)
		for (int t = 0; t < 3; t++)
			for (int penalty = 0; penalty < 2; penalty++)
				all_identical(by, n_by, p, temps[t], penalty ? 1.2f : 1.0f,
					      accepted);
}

static inline void identity(const char *(*switcher)(int), long *accepted)
{
	identities(&switcher, 1, accepted);
}

#endif
