/* bench_strategy.c - every strategy on the prompt set: speed, acceptance, identity with plain.
 *
 * Contenders take turns prompt by prompt.  An answer ends where the model ends it or after
 * n_predict tokens; the prompt's own run is not timed.
 * Invariant: plain goes first, so that every other answer has something to be compared with. */
#include "app/bench/bench_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The search for what self leaves out: prompts, sets tried behind each answer, seconds at most. */
enum { SEED = 1, SEARCH_PROMPTS = 3, SEARCH_SETS = 40, SEARCH_SECONDS = 20 };

const float bench_temps[BENCH_TEMPS] = { 0.0f, 0.7f };
static const float grid_fallback[] = { 0.3f, 0.45f, 0.6f, 0.75f, 0.9f };
static const float grid_rollback[] = { 1, 2, 3, 5, INFINITY };

struct tally {                  /* of one contender at one temperature in one repetition */
	double seconds;
	long emitted, rounds, tested, accepted;
	int same, prompts;
	struct bench_quality quality;
};

static struct contender *add(struct bench *b, const struct strategy *s)
{
	const struct options *o = b->opt;
	struct contender *c = &b->contender[b->n_contenders++];

	*c = (struct contender){
		.s = s,
		.opt = { .draft_max = o->draft_max, .draft_min = o->draft_min,
			 .draft_p_min = o->draft_p_min, .fallback = o->fallback,
			 .rollback = o->rollback, .rollback_exact = isinf(o->rollback),
			 .bild_max = o->bild_max, .auto_approximate = o->auto_approximate,
			 .bild_paper = !strcmp(o->bild, "paper") },
		.exact = strategy_exact_with(s, isinf(o->rollback), o->auto_approximate),
	};
	snprintf(c->name, sizeof(c->name), "%s", s->name);
	return c;
}

static void add_grid(struct bench *b, const struct strategy *bild)
{
	for (size_t f = 0; f < sizeof(grid_fallback) / sizeof(grid_fallback[0]); f++)
		for (size_t r = 0; r < sizeof(grid_rollback) / sizeof(grid_rollback[0]); r++) {
			struct contender *c = add(b, bild);

			c->opt.fallback = grid_fallback[f];
			c->opt.rollback = grid_rollback[r];
			c->opt.rollback_exact = c->exact = false;
			snprintf(c->name, sizeof(c->name), "bild %g/%g",
				 (double)c->opt.fallback, (double)c->opt.rollback);
		}
}

void bench_strategy_open(struct bench *b)
{
	const char *only = b->opt->bild_grid ? "" : b->opt->strategy;
	bool all = !*only && !b->opt->bild_grid;

	b->n_temps = b->opt->bild_grid ? 1 : BENCH_TEMPS;
	for (int i = 0; strategies[i]; i++) {
		const struct strategy *s = strategies[i];

		if (strategy_lacks(&b->e->strat, s))
			continue;
		if (b->opt->bild_grid && !strcmp(s->name, "bild"))
			add_grid(b, s);
		else if (all || !strcmp(s->name, "plain") || !strcmp(s->name, only))
			add(b, s);
	}
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

static int answer(struct bench *b, struct bench_answer *a, char err[ERR_MAX])
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

static bool takes_part(const struct bench *b, const char *name)
{
	for (int i = 0; i < b->n_contenders; i++)
		if (!strcmp(b->contender[i].s->name, name))
			return true;
	return false;
}

/* What self leaves out is searched for between answers, where bench has no time: so before. */
static int search_after(struct bench *b, const struct prompt *p, char err[ERR_MAX])
{
	struct bench_answer a;
	int *ids = NULL, n, rc = render(b, p, &ids, &n, err);
	long most = b->e->skip.tries + (b->opt->quick ? SEARCH_SETS / 4 : SEARCH_SETS);
	double start;

	if (!rc)
		rc = prefill(b->e, ids, n, err) ? -1 : answer(b, &a, err);
	start = clock_now();
	for (int more = 1; rc >= 0 && more && b->e->skip.tries < most &&
	     clock_now() - start < SEARCH_SECONDS;)
		rc = more = engine_idle(b->e, err);
	free(ids);
	return rc < 0 ? -1 : 0;
}

static int search(struct bench *b, char err[ERR_MAX])
{
	int prompts = b->opt->quick ? 1 : SEARCH_PROMPTS;

	if (!b->e->skip.search || !takes_part(b, "self"))
		return 0;
	b->e->strat.law = (struct sampler_opt)SAMPLER_DEFAULTS;
	b->e->strat.law.temp = 0;
	if (engine_strategy(b->e, "self", err))
		return -1;
	for (int i = 0; i < prompts && i < b->prompts.n; i++) {
		bench_progress(b, 0, "what self leaves out");
		if (search_after(b, &b->prompts.p[i], err))
			return -1;
	}
	return 0;
}

static void count(struct tally *t, const struct bench_answer *a, const struct strategy_stats *s,
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

/* One contender's answer to ids[0..n-1] under the law of b->e->strat. */
static int run_contender(struct bench *b, const struct contender *c, const int *ids, int n,
			 struct bench_answer *a, char err[ERR_MAX])
{
	struct strat *st = &b->e->strat;

	st->opt = c->opt;
	if (engine_strategy(b->e, c->s->name, err) || prefill(b->e, ids, n, err))
		return -1;
	memset(&st->stats, 0, sizeof(st->stats));
	return answer(b, a, err);
}

/* One prompt under every contender at one temperature; the first repetition judges the answers
 * too, which are the same in all of them. */
static int run_prompt(struct bench *b, int rep, const struct prompt *p, const int *ids, int n,
		      float temp, struct tally *tally, char err[ERR_MAX])
{
	struct strat *st = &b->e->strat;
	struct bench_answer plain = { .n = 0 }, a;

	st->law = (struct sampler_opt)SAMPLER_DEFAULTS;
	st->law.temp = temp;
	st->law.seed = b->opt->seed < 0 ? SEED : (uint64_t)b->opt->seed;
	for (int i = 0; i < b->n_contenders; i++) {
		const struct contender *c = &b->contender[i];

		if (run_contender(b, c, ids, n, &a, err))
			return -1;
		if (!i)
			plain = a;
		count(&tally[i], &a, &st->stats, a.n == plain.n &&
		      !memcmp(a.tok, plain.tok, (size_t)a.n * sizeof(*a.tok)));
		if (i && !b->opt->bild_grid)
			bench_add(b, a.n / a.seconds / (plain.n / plain.seconds), "x",
				  "%s@%g/prompt/%s", c->name, (double)temp, p->name);
		if (!rep && (!i || !c->exact) &&
		    bench_judge(b, ids, n, &a, &plain, &tally[i].quality, err))
			return -1;
	}
	return 0;
}

int bench_plain(struct bench *b, const struct prompt *p, char err[ERR_MAX])
{
	struct bench_answer a;
	int *ids = NULL, n, rc = render(b, p, &ids, &n, err);

	b->e->strat.law = (struct sampler_opt)SAMPLER_DEFAULTS;
	b->e->strat.law.temp = 0;
	if (!rc)
		rc = run_contender(b, &b->contender[0], ids, n, &a, err);
	free(ids);
	return rc;
}

static void record_quality(struct bench *b, const struct bench_quality *q, const char *name,
			   double temp)
{
	double n = (double)q->tokens;

	bench_add(b, q->log_p / n, "nats", "%s@%g/log_p", name, temp);
	bench_add(b, 100 * (double)q->first / n, "%", "%s@%g/first_choice", name, temp);
	bench_add(b, 100 * (double)q->differ / n, "%", "%s@%g/differ", name, temp);
}

static void record(struct bench *b, const struct tally *t, const struct tally *plain,
		   const char *name, double temp)
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
	if (t->quality.tokens)
		record_quality(b, &t->quality, name, temp);
}

int bench_strategy_check(const struct bench *b, char err[ERR_MAX])
{
	for (int i = 0; i < b->n_contenders; i++)
		for (int temp = 0; temp < b->n_temps; temp++) {
			const struct contender *c = &b->contender[i];
			double t = (double)bench_temps[temp];
			double same = bench_spread(b, "%s@%g/identical", c->name, t).min;
			double all = bench_spread(b, "%s@%g/prompts", c->name, t).min;

			if (c->exact && same < all)
				return fail(err, "%s is exact, but at temperature %g only %.0f of "
					    "%.0f answers are those of plain; please report this",
					    c->name, t, same, all);
		}
	return 0;
}

int bench_strategy_run(struct bench *b, int rep, char err[ERR_MAX])
{
	struct tally tally[BENCH_TEMPS][BENCH_CONTENDERS_MAX] = { 0 };
	int rc = rep ? 0 : search(b, err);

	for (int i = 0; i < b->prompts.n && !rc; i += b->prompt_step) {
		const struct prompt *p = &b->prompts.p[i];
		int *ids = NULL, n;

		bench_progress(b, rep, p->name);
		rc = render(b, p, &ids, &n, err);
		for (int temp = 0; temp < b->n_temps && !rc; temp++)
			rc = run_prompt(b, rep, p, ids, n, bench_temps[temp], tally[temp], err);
		free(ids);
	}
	for (int i = 0; !rc && i < b->n_contenders; i++)
		for (int temp = 0; temp < b->n_temps; temp++)
			record(b, &tally[temp][i], &tally[temp][0], b->contender[i].name,
			       (double)bench_temps[temp]);
	return rc;
}
