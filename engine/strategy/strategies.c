/* strategies.c - the table of strategies, and a step of one; see strategies.h. */
#include "engine/strategy/strategies.h"
#include <stdio.h>
#include <string.h>

/* Which round of an answer is plain's, and every so many behind it. */
enum { CALIBRATE_AT = 8, CALIBRATE_EVERY = 64 };

const struct strategy *const strategies[] = {
	STRATEGIES(STRATEGY_ROW) STRATEGY_ROW(auto) NULL,
};

int strategy_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	bool calibrate = s->stats.rounds % CALIBRATE_EVERY == CALIBRATE_AT;

	return (calibrate ? &strategy_plain : s->ops)->step(s, out, err);
}

const struct strategy *strategy_find(const char *name, char err[ERR_MAX])
{
	char names[128] = "";

	name = *name ? name : STRATEGY_DEFAULT;
	for (int i = 0; strategies[i]; i++) {
		size_t at = strlen(names);

		if (!strcmp(strategies[i]->name, name))
			return strategies[i];
		snprintf(names + at, sizeof(names) - at, " %s", strategies[i]->name);
	}
	fail(err, "no strategy '%s'; there are:%s", name, names);
	return NULL;
}
