/* strat_draft.c - the little model writes up to k tokens, the big one checks them in one pass.
 *
 * The drafter knows the law of choice and its noise, so it guesses the big model's choice with the
 * noise damped by STRATEGY_LAMBDA, and stops when its top probability falls below
 * opt.draft_p_min, or, unless that says otherwise, where one more draft costs more than it brings.
 * Invariant: on return the little model's cache holds a prefix of the timeline,
 * so the next step runs only what is new, in one pass. */
#include "engine/strategy/guess.h"

static int draft_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	return strategy_try(s, strategy_guess, s->cost ? &s->cost->little : NULL, out, err);
}

static struct cost_hope draft_hope(const struct strat *s)
{
	return strategy_hope(s, false, s->opt.draft_max);
}

const struct strategy strategy_draft = {
	.name = "draft", .help = "the little model drafts, the big one decides", .exact = true,
	.needs = NEED_DRAFT_MODEL,
	.hope = draft_hope, .step = draft_step,
};
