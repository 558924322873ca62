/* strat_plain.c - one token a pass, no drafts: what every exact strategy must reproduce. */
#include "engine/strategy.h"

static int plain_open(struct strat *s, char err[ERR_MAX])
{
	(void)s;
	(void)err;
	return 0;
}

static int plain_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	return strategy_round(s, NULL, 0, 0, out, err);
}

static void plain_close(struct strat *s)
{
	(void)s;
}

const struct strategy strategy_plain = {
	.name = "plain", .help = "one token at a time", .exact = true,
	.open = plain_open, .step = plain_step, .close = plain_close,
};
