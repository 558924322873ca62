/* turn.c - an engine that is open answers: the prompt, piece by piece, then step by step.  See
 * engine.h.
 *
 * Nothing is owned here.  Invariant: between two calls one token, the last, is not in the cache. */
#include "engine/engine.h"

enum { READ_AHEAD = 512 };

int engine_prompt(struct engine *e, const int *ids, int n, char err[ERR_MAX])
{
	if (n >= e->target.n_ctx)
		return fail(err, "a prompt of %d tokens leaves no room in a context of %d; a "
			    "larger -c does", n, e->target.n_ctx);
	e->strat.begins = true;
	e->strat.from = n;
	return session_set(&e->target, ids, n, err);
}

/* Behind the big model the little one reads the prompt, so that its first guess comes as fast as
 * any other; a long one only for a strategy that cannot do without. */
static int prefill(struct engine *e, char err[ERR_MAX])
{
	bool must = e->strat.ops->needs & NEED_DRAFT_MODEL;
	int before = e->target.n_kv, left;
	double start = clock_now();

	left = session_prefill(&e->target, err);
	if (left >= 0)
		cost_read(&e->cost.read_s, e->target.n_kv - before, clock_now() - start);

	if (left || !strategy_asks_little(&e->strat, e->strat.ops) ||
	    !(must || strategy_unread(&e->strat) <= READ_AHEAD))
		return left;
	return strategy_read(&e->strat, err);
}

int engine_prefill(struct engine *e, char err[ERR_MAX])
{
	int left;

	e->target.halt = e->draft.halt = e->halt.asked ? &e->halt : NULL;
	left = prefill(e, err);
	e->target.halt = e->draft.halt = NULL;
	return left;
}

/* Takes back what a step emitted behind the first keep tokens; counted as never emitted, and the
 * drafts that stood there as never tested. */
static void take_back(struct engine *e, const struct emit *out, int n, int keep)
{
	struct strategy_stats *st = &e->strat.stats;

	for (int i = keep; i < n; i++) {
		st->emitted--;
		if (out[i].origin == ORIGIN_PLAIN)
			continue;
		st->tested--;
		st->pos_tested[i]--;
		if (out[i].origin == ORIGIN_ACCEPTED) {
			st->accepted--;
			st->pos_accepted[i]--;
		}
	}
	session_truncate(&e->target, e->target.n - (n - keep));
}

int engine_step(struct engine *e, int limit, struct emit out[STEP_MAX], bool *done,
		char err[ERR_MAX])
{
	int n, keep = 0;

	*done = false;
	if (e->target.n >= e->target.n_ctx)
		return 0;
	n = strategy_step(&e->strat, out, err);
	if (n < 0)
		return -1;
	e->strat.begins = false;
	while (keep < n && keep < limit && !*done)
		*done = tokenizer_is_end(e->tok, out[keep++].tok);
	if (keep < n)
		take_back(e, out, n, keep);
	return keep;
}

int engine_idle(struct engine *e, char err[ERR_MAX])
{
	return e->strat.ops->idle ? e->strat.ops->idle(&e->strat, err) : 0;
}
