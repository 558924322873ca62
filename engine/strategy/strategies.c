/* strategies.c - the table of strategies; see strategies.h. */
#include "engine/strategy/strategies.h"
#include <stdio.h>
#include <string.h>

const struct strategy *const strategies[] = {
	STRATEGIES(STRATEGY_ROW) STRATEGY_ROW(auto) NULL,
};

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
