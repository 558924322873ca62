/* strat_bild.c - Big Little Decoder (Kim et al., NeurIPS 2023, arXiv 2302.07863).
 *
 * The big model writes the first token.  From then on a token of the little model stands where its
 * top probability is at least opt.fallback and -log p_big(token) at most opt.rollback, or the big
 * one would choose it first; anywhere else the big model's own choice does.  Both thresholds use
 * untempered distributions.  The little model writes up to opt.bild_max tokens, the big one reads
 * them all in one pass; the first that does not stand and all behind it go, and the big model's
 * choice takes its place.  With opt.rollback_exact no token stands but the big model's choice, by
 * the one acceptance rule, and the text is plain's.
 *
 * Where the little model falls back it need not stop: its guess of what the big model will say
 * goes into the same pass and counts only if it was right; the little model goes on behind it while
 * all such guesses of the pass are right with probability LEAST, by its own word.  So the policy is
 * the paper's, in fewer passes, and the text depends on no measured time.
 * Unlike the released code: the big model's cache is kept after a rollback, the first token that
 * offends against BOTH conditions is found, the end of the text is checked too.
 * With opt.bild_paper it is the paper's Algorithm 1, for comparison: the little model begins, stops
 * where it falls back (that guess is thrown away) and has no limit (but DRAFT_MAX, what one pass
 * can check), a token goes when -log p_big(token) exceeds opt.rollback, also the big model's first
 * choice, and a token of the little model that ends the answer ends it without a look of the big
 * one.
 * Without a little model the big one is its own, over the bridge (self-BiLD).
 * Invariant: as strat_draft.c's, but that such an end leaves its tokens to the next prompt. */
#include "engine/decode/probs.h"
#include "engine/strategy/guess.h"
#include "kernels/peaks.h"

static const double LEAST = 0.4;

/* Whether the big model, whose row this is, takes the draft back. */
static bool offends(const struct strat *s, const float *row, int draft)
{
	int n = s->target->n_out;

	if (!s->opt.bild_paper && probs_first(row, n) == draft)
		return false;
	return probs_log_sum(row, n) - (double)row[draft] > (double)s->opt.rollback;
}

/* Whether draft i stands in its place, of which row is the big model's opinion; *choice: else what
 * does. */
static bool stands(struct strat *s, const struct guess *g, int i, const float *row, int *choice)
{
	const struct session *t = s->target;

	if (g->sure[i] >= (double)s->opt.fallback && !offends(s, row, g->tok[i]))
		return true;
	*choice = sampler_choose(s->smp, &s->law, row, t->tok, t->n + i, 1.0f);
	return *choice == g->tok[i] && !s->opt.bild_paper;
}

static int check_big(struct strat *s, const struct guess *g, int k, double draft_s,
		     struct emit *out, char err[ERR_MAX])
{
	struct session *t = s->target;
	double start = clock_now(), verified;
	const float *rows = session_extend(t, g->tok, k, err);
	int kept = 0, next = 0;

	if (!rows)
		return -1;
	verified = clock_now();
	while (kept < k && stands(s, g, kept, row_at(rows, t->n_out, kept), &next))
		kept++;
	if (kept == k)
		next = sampler_choose(s->smp, &s->law, row_at(rows, t->n_out, k), t->tok, t->n + k,
				      1.0f);
	for (int i = 0; i < kept; i++)
		out[i] = (struct emit){ g->tok[i], ORIGIN_ACCEPTED };
	out[kept] = (struct emit){ next, kept < k ? ORIGIN_CORRECTED : ORIGIN_PLAIN };
	session_accept(t, kept, next);
	strategy_count(s, k, kept);
	strategy_took(s, k, kept + 1, draft_s, verified - start, clock_now() - verified);
	return kept + 1;
}

/* The little model has ended the answer: its tokens stand as they are. */
static int end_here(struct strat *s, const int *draft, int k, struct emit *out)
{
	struct session *t = s->target;

	for (int i = 0; i < k; i++) {
		out[i] = (struct emit){ draft[i], ORIGIN_ACCEPTED };
		t->tok[t->n++] = draft[i];
	}
	strategy_count(s, k, k);
	s->stats.emitted--;
	return k;
}

/* Tokens that the little model may write before the big one looks. */
static int most(const struct strat *s)
{
	if (s->opt.bild_paper)
		return strategy_room(s, DRAFT_MAX);
	return s->begins ? 0 : strategy_room(s, s->opt.bild_max);
}

static int bild_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	double start = clock_now();
	bool exact = s->opt.rollback_exact;
	struct guess g = { .max = most(s), .stop_below = s->opt.bild_paper ? s->opt.fallback : 0,
			   .sure_from = (double)s->opt.fallback, .least = LEAST,
			   .lambda = exact ? STRATEGY_LAMBDA : 1.0f };
	int k = strategy_guess(s, &g, err);

	if (k < 0)
		return -1;
	if (exact)
		return strategy_round(s, g.tok, k, clock_now() - start, NULL, out, err);
	if (!s->opt.bild_paper || !k || !strategy_ends(s, g.tok[k - 1]))
		return check_big(s, &g, k, clock_now() - start, out, err);
	s->stats.draft_s += clock_now() - start;
	return end_here(s, g.tok, k, out);
}

static struct cost_hope bild_hope(const struct strat *s)
{
	return strategy_hope(s, !s->draft, s->opt.bild_max);
}

const struct strategy strategy_bild = {
	.name = "bild", .help = "big little decoder: the big model corrects only clear faults",
	.can_be_exact = true, .needs = NEED_DRAFT_MODEL | MAY_BRIDGE,
	.hope = bild_hope, .step = bild_step,
};
