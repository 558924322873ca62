/* strat_plain.c - one token a pass, no drafts: what every exact strategy must reproduce. */
#include "engine/strategy.h"

static int plain_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	return strategy_round(s, NULL, 0, 0, out, err);
}

const struct strategy strategy_plain = {
	.name = "plain", .help = "one token at a time", .exact = true,
	.step = plain_step,
};
