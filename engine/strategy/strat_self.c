/* strat_self.c - the model drafts for itself with some of its sub-layers left out.
 *
 * After "Draft & Verify" (Zhang et al. 2024): one token at a time under strat.skip's plan, on
 * scratch rows of the target's own cache behind its text; the run of the whole model, which checks
 * the drafts, overwrites them.  A draft attends to what the whole model wrote for the text.
 * Which sub-layers go is searched for in idle moments, after SWIFT (Xia et al. 2025): a set is
 * scored by how often its choice behind each of the answer's last tokens is the whole model's, all
 * of them in a few runs over the rows of those tokens, which the whole model then writes again.
 * Invariant: after a piece of the search cache and timeline are as before, to the bit. */
#include "engine/decode/probs.h"
#include "engine/strategy/guess.h"
#include "kernels/peaks.h"
#include <string.h>

enum { PIECE = 16, LEAST = 12, DRY = 300, TRIES = 1000 };
/* Good enough; seconds of search behind one answer at most. */
static const double ENOUGH = 0.95, SECONDS = 30;

static int guess(struct strat *s, struct guess *g, char err[ERR_MAX])
{
	struct session *t = s->target;
	double all = 1, start = clock_now();
	int k = 0, steps = 0, left, top;

	while ((left = session_prefill(t, err)) > 0)
		;
	if (left < 0)
		return -1;
	while (k < g->max && strategy_go_on(s, g, k, all)) {
		const float *row = session_peek(t, &s->skip->now.run, t->n - 1 + k, 1, err);

		if (!row)
			return -1;
		steps++;
		g->sure[k] = probs_top(row, t->n_out, &top);
		if (!strategy_worth(s, g, k, &all))
			break;
		g->tok[k] = sampler_choose(s->smp, &s->law, row, t->tok, t->n + k, g->lambda);
		t->tok[t->n + k] = g->tok[k];   /* the next row's token and history */
		if (strategy_ends(s, g->tok[k++]))
			break;
	}
	if (s->cost && steps)
		cost_self(s->cost, (clock_now() - start) / steps);
	return k;
}

static int self_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	return strategy_try(s, guess, s->cost ? &s->cost->self : NULL, out, err);
}

static void begin(struct skip *k, enum skip_stage stage)
{
	k->stage = stage;
	k->done = k->same = 0;
}

/* Whether there is a text to search on; another one than before begins it anew. */
static bool look(struct strat *s)
{
	const struct session *t = s->target;
	struct skip *k = s->skip;
	int written = t->n - s->from, n = written < SKIP_WINDOW ? written : SKIP_WINDOW;
	int at = t->n - 1 - n;
	size_t bytes = sizeof(*k->tok) * (size_t)(n > 0 ? n : 0);

	if (n < LEAST || at < 0 || t->n_kv != t->n - 1)
		return false;
	if (k->at == at && k->n == n && !memcmp(k->tok, t->tok + at, bytes))
		return true;
	k->at = at;
	k->n = n;
	memcpy(k->tok, t->tok + at, bytes);
	k->seconds = 0;
	k->share = -1;
	begin(k, SKIP_WHOLE);
	return true;
}

/* The next rows of the window under what is being looked at, then the whole model again. */
static int run_piece(struct strat *s, char err[ERR_MAX])
{
	struct session *t = s->target;
	struct skip *k = s->skip;
	int at = k->at + k->done, n = k->n - k->done < PIECE ? k->n - k->done : PIECE;
	const struct schedule *run = k->stage == SKIP_WHOLE ? &t->base :
				     k->stage == SKIP_KNOWN ? &k->now.run : &k->trial.run;
	const float *rows = session_peek(t, run, at, n, err);

	for (int i = 0; rows && i < n; i++) {
		int y = probs_first(row_at(rows, t->n_out, i), t->n_out), *want = k->want + k->done;

		if (k->stage == SKIP_WHOLE)
			want[i] = y;
		k->same += want[i] == y;
	}
	k->done += n;
	return rows ? session_mend(t, at, n, err) : -1;
}

/* All rows of the window are done. */
static void judge(struct skip *k)
{
	double share = (double)k->same / k->n;

	if (k->stage == SKIP_WHOLE) {
		begin(k, SKIP_KNOWN);
		return;
	}
	if (k->stage == SKIP_KNOWN) {
		k->share = share;
	} else {
		k->tries++;
		k->dry++;
		if (skip_gain(k, &k->trial.plan, share) > skip_gain(k, &k->now.plan, k->share)) {
			k->now = k->trial;
			k->share = share;
			k->dry = 0;
		}
	}
	k->over = k->share > ENOUGH || k->dry >= DRY || k->tries >= TRIES;
	if (!k->over)
		skip_next(k);
	begin(k, SKIP_TRIAL);
}

static int self_idle(struct strat *s, char err[ERR_MAX])
{
	struct skip *k = s->skip;
	double start = clock_now();

	/* What a cache of columns held when these rows were written is not known any more. */
	if (!k->search || k->over || s->target->base.gamma > 0 || !look(s) || k->seconds > SECONDS)
		return 0;
	if (run_piece(s, err) != 0) {
		k->over = true;
		return -1;
	}
	k->seconds += clock_now() - start;
	if (k->done == k->n)
		judge(k);
	return !k->over;
}

const struct strategy strategy_self = {
	.name = "self", .help = "the model drafts for itself, layers left out (for comparison)",
	.exact = true, .apart = true,
	.step = self_step, .idle = self_idle,
};
