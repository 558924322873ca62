/* strat_bild.c - Big Little Decoder (Kim et al., NeurIPS 2023, arXiv 2302.07863).
 *
 * The big model writes the first token.  Then the little one writes until its top probability falls
 * below opt.fallback (that guess is thrown away) or opt.bild_max tokens are there; the big model
 * reads them all in one pass and keeps each token while -log p_big(token) <= opt.rollback or it is
 * its own first choice.  The first bad one and all behind it go, the big model's choice takes its
 * place.  Both thresholds use untempered distributions.  With opt.rollback_exact the one acceptance
 * rule decides instead and the text is plain's.  Unlike the released code: the big model's cache is
 * kept after a rollback, the first token that offends against BOTH conditions is found, the end of
 * the text is checked too.
 * With opt.bild_paper it is the paper's Algorithm 1, for comparison: the little model begins and
 * has no limit (but DRAFT_MAX, what one pass can check), a token goes when -log p_big(token)
 * exceeds opt.rollback, also the big model's first choice, and a token of the little model that
 * ends the answer ends it without a look of the big one.
 * Invariant: as strat_draft.c's, but that such an end leaves its tokens to the next prompt. */
#include "engine/probs.h"
#include "engine/strategy.h"

/* Whether the big model, whose row this is, takes the draft back. */
static bool offends(const struct strat *s, const float *row, int draft)
{
	int n = s->target->n_out;

	if (!s->opt.bild_paper && probs_first(row, n) == draft)
		return false;
	return probs_log_sum(row, n) - (double)row[draft] > (double)s->opt.rollback;
}

static int check_big(struct strat *s, const int *draft, int k, double draft_s, struct emit *out,
		     char err[ERR_MAX])
{
	struct session *t = s->target;
	double start = clock_now(), verified;
	const float *rows = session_extend(t, draft, k, err);
	int kept = 0, next;

	if (!rows)
		return -1;
	verified = clock_now();
	while (kept < k && !offends(s, row_at(rows, t->n_out, kept), draft[kept]))
		kept++;
	next = sampler_choose(s->smp, &s->law, row_at(rows, t->n_out, kept), t->tok,
			      t->n + kept, 1.0f);
	for (int i = 0; i < kept; i++)
		out[i] = (struct emit){ draft[i], ORIGIN_ACCEPTED };
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
	float lambda = s->opt.rollback_exact ? STRATEGY_LAMBDA : 1.0f;
	int draft[DRAFT_MAX], k;

	k = strategy_guess(s, most(s), s->opt.fallback, lambda, draft, err);
	if (k < 0)
		return -1;
	if (s->opt.rollback_exact)
		return strategy_round(s, draft, k, clock_now() - start,
				      s->pace ? &s->pace->little : NULL, out, err);
	if (!s->opt.bild_paper || !k || !strategy_ends(s, draft[k - 1]))
		return check_big(s, draft, k, clock_now() - start, out, err);
	s->stats.draft_s += clock_now() - start;
	return end_here(s, draft, k, out);
}

const struct strategy strategy_bild = {
	.name = "bild", .help = "big little decoder: the big model corrects only clear faults",
	.can_be_exact = true, .needs = NEED_DRAFT_MODEL,
	.step = bild_step,
};
