/* bench_strategy.c - every strategy on the prompt set: speed, acceptance, identity with plain.
 *
 * Strategies take turns prompt by prompt.  An answer ends where the model ends it or after
 * n_predict tokens; the prompt's own run is not timed.
 * Invariant: plain goes first, so that every other answer has something to be compared with. */
#include "app/bench_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PREDICT_MAX = 128, STRATEGIES_MAX = 16, SEED = 1 };

const float bench_temps[BENCH_TEMPS] = { 0.0f, 0.7f };

struct answer {
	int tok[PREDICT_MAX];
	int n;
	double seconds;
};

struct tally {                  /* of one strategy at one temperature in one repetition */
	double seconds;
	long emitted, rounds, tested, accepted;
	int same, prompts;
};

bool bench_strategy_wanted(const struct bench *b, const struct strategy *s)
{
	const char *only = b->opt->strategy;

	if (s->needs && !b->e->strat.draft)
		return false;
	return !strcmp(only, "plain") || !strcmp(s->name, "plain") || !strcmp(s->name, only);
}

/* Ids of the conversation with this one prompt; the caller frees them with free(). */
static int render(struct bench *b, const struct prompt *p, int **ids, int *n, char err[ERR_MAX])
{
	struct engine *e = b->e;
	struct turn turns[2];
	char *system;
	int rc, n_turns = 0;

	if (!e->tmpl)
		return fail(err, "%s", e->tmpl_err);
	system = template_default_system(e->tmpl, e->model->file);
	if (!system)
		return fail(err, "out of memory");
	if (*system)
		turns[n_turns++] = (struct turn){ SPEAKER_SYSTEM, system, strlen(system) };
	turns[n_turns++] = (struct turn){ SPEAKER_USER, p->text, p->len };
	rc = template_render(e->tmpl, e->tok, turns, n_turns, true, ids, n, err);
	free(system);
	if (!rc && *n + b->n_predict > e->target.n_ctx)
		return fail(err, "prompt %s has %d tokens; with an answer of %d that is more than "
			    "the context of %d; give a larger -c", p->name, *n, b->n_predict,
			    e->target.n_ctx);
	return rc;
}

static int prefill(struct engine *e, const int *ids, int n, char err[ERR_MAX])
{
	int left = engine_prompt(e, ids, n, err) ? -1 : 1;

	while (left > 0)
		left = engine_prefill(e, err);
	return left;
}

static int answer(struct bench *b, struct answer *a, char err[ERR_MAX])
{
	struct emit out[STEP_MAX];
	double start = clock_now();
	bool done = false;

	a->n = 0;
	while (!done && a->n < b->n_predict) {
		int n = engine_step(b->e, b->n_predict - a->n, out, &done, err);

		if (n < 0)
			return -1;
		if (!n)
			break;
		for (int i = 0; i < n; i++)
			a->tok[a->n++] = out[i].tok;
	}
	a->seconds = clock_now() - start;
	return 0;
}

static void count(struct tally *t, const struct answer *a, const struct strategy_stats *s,
		  bool same)
{
	t->seconds += a->seconds;
	t->emitted += a->n;
	t->rounds += s->rounds;
	t->tested += s->tested;
	t->accepted += s->accepted;
	t->same += same;
	t->prompts++;
}

/* One prompt under every strategy at one temperature. */
static int run_prompt(struct bench *b, const int *ids, int n, float temp,
		      struct tally tally[STRATEGIES_MAX], char err[ERR_MAX])
{
	const struct options *o = b->opt;
	struct strat *st = &b->e->strat;
	struct answer plain = { .n = 0 }, a;

	st->law = (struct sampler_opt)SAMPLER_DEFAULTS;
	st->law.temp = temp;
	st->law.seed = o->seed < 0 ? SEED : (uint64_t)o->seed;
	st->opt.draft_max = o->draft_max;
	st->opt.draft_min = o->draft_min;
	st->opt.draft_p_min = o->draft_p_min;
	st->opt.fallback = o->fallback;
	st->opt.rollback = o->rollback;
	st->opt.rollback_exact = isinf(o->rollback);
	for (int i = 0; strategies[i]; i++) {
		if (!bench_strategy_wanted(b, strategies[i]))
			continue;
		if (engine_strategy(b->e, strategies[i]->name, err) || prefill(b->e, ids, n, err))
			return -1;
		memset(&st->stats, 0, sizeof(st->stats));
		if (answer(b, &a, err))
			return -1;
		if (!strcmp(strategies[i]->name, "plain"))
			plain = a;
		count(&tally[i], &a, &st->stats, a.n == plain.n &&
		      !memcmp(a.tok, plain.tok, (size_t)a.n * sizeof(*a.tok)));
	}
	return 0;
}

static void record(struct bench *b, const struct tally *t, const struct tally *plain,
		   const char *name, float temp)
{
	double speed = (double)t->emitted / t->seconds;

	bench_add(b, speed, "tokens/s", "%s@%g/speed", name, temp);
	bench_add(b, speed / ((double)plain->emitted / plain->seconds), "x", "%s@%g/ratio", name,
		  temp);
	if (t->tested)
		bench_add(b, 100.0 * (double)t->accepted / (double)t->tested, "%",
			  "%s@%g/acceptance", name, temp);
	bench_add(b, (double)t->emitted / (double)t->rounds, "tokens", "%s@%g/per_round", name,
		  temp);
	bench_add(b, t->same, "prompts", "%s@%g/identical", name, temp);
	bench_add(b, t->prompts, "prompts", "%s@%g/prompts", name, temp);
	bench_add(b, (double)t->emitted, "tokens", "%s@%g/tokens", name, temp);
}

bool bench_exact(const struct bench *b, const struct strategy *s)
{
	return s->exact || (s->can_be_exact && isinf(b->opt->rollback));
}

int bench_strategy_check(const struct bench *b, char err[ERR_MAX])
{
	for (int i = 0; strategies[i]; i++)
		for (int temp = 0; temp < BENCH_TEMPS; temp++) {
			const char *name = strategies[i]->name;
			double t = (double)bench_temps[temp];
			double same = bench_spread(b, "%s@%g/identical", name, t).min;
			double all = bench_spread(b, "%s@%g/prompts", name, t).min;

			if (bench_exact(b, strategies[i]) && same < all)
				return fail(err, "%s is exact, but at temperature %g only %.0f of "
					    "%.0f answers are those of plain; please report this",
					    name, t, same, all);
		}
	return 0;
}

int bench_strategy_run(struct bench *b, int rep, char err[ERR_MAX])
{
	struct tally tally[BENCH_TEMPS][STRATEGIES_MAX] = { 0 };
	int plain = 0, rc = 0;

	for (int i = 0; i < b->prompts.n && !rc; i += b->prompt_step) {
		int *ids = NULL, n;

		bench_progress(b, rep, b->prompts.p[i].name);
		rc = render(b, &b->prompts.p[i], &ids, &n, err);
		for (int temp = 0; temp < BENCH_TEMPS && !rc; temp++)
			rc = run_prompt(b, ids, n, bench_temps[temp], tally[temp], err);
		free(ids);
	}
	while (!rc && strcmp(strategies[plain]->name, "plain"))
		plain++;
	for (int i = 0; !rc && strategies[i]; i++)
		for (int temp = 0; temp < BENCH_TEMPS; temp++)
			if (tally[temp][i].prompts)
				record(b, &tally[temp][i], &tally[temp][plain], strategies[i]->name,
				       bench_temps[temp]);
	return rc;
}
