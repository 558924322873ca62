/* strat_plain.c - one token a pass, no drafts: what every exact strategy must reproduce. */
#include "engine/strategy/guess.h"

static int plain_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	return strategy_round(s, NULL, 0, 0, NULL, out, err);
}

static double plain_promise(struct strat *s)
{
	return s->cost && s->cost->first_s > 0 ? 1 / s->cost->first_s : 0;
}

const struct strategy strategy_plain = {
	.name = "plain", .help = "one token at a time", .exact = true,
	.promise = plain_promise, .step = plain_step,
};
