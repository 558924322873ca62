/* grouping_spec.c - groups of layers as users write them; see grouping.h.  No state. */
#include "engine/approx/grouping.h"
#include <stdio.h>
#include <string.h>

static int read_numbers(const char *spec, struct grouping *g)
{
	int end = 0;

	if (sscanf(spec, "%5d:%5d:%5d:%5d%n", &g->from, &g->to, &g->size, &g->bypass, &end) == 4 &&
	    !spec[end])
		return 0;
	g->bypass = end = 0;
	return sscanf(spec, "%5d:%5d:%5d%n", &g->from, &g->to, &g->size, &end) == 3 &&
	       !spec[end] ? 0 : -1;
}

int grouping_parse(const char *spec, int n_layers, struct grouping *out, char err[ERR_MAX])
{
	struct grouping g = { .size = 0 };

	*out = g;
	if (!spec || !*spec || !strcmp(spec, "off"))
		return 0;
	if (read_numbers(spec, &g) != 0)
		return fail(err, "--cqil and --cqil-draft take off, auto, auto:X, S:E:P or "
			    "S:E:P:D (layers S to E-1 in groups of P, as 12:28:2), not '%.32s'",
			    spec);
	if (g.from < 0 || g.from >= g.to || g.to > n_layers)
		return fail(err, "groups %.32s: there are no layers %d to %d, of %d counted from 0",
			    spec, g.from, g.to - 1, n_layers);
	if (g.size < 1 || g.size > GROUP_MAX)
		return fail(err, "--cqil %.32s: %d layers in a group; 1 to %d can be", spec, g.size,
			    GROUP_MAX);
	if (g.bypass < 0 || g.bypass >= GROUP_MAX)
		return fail(err, "--cqil %.32s: a bypass of %d; 0 to %d can be", spec, g.bypass,
			    GROUP_MAX - 1);
	*out = g;
	return 0;
}

const char *grouping_text(const struct grouping *g, char text[GROUPING_TEXT])
{
	if (!g->size)
		snprintf(text, GROUPING_TEXT, "off");
	else if (g->bypass)
		snprintf(text, GROUPING_TEXT, "%d:%d:%d:%d", g->from, g->to, g->size, g->bypass);
	else
		snprintf(text, GROUPING_TEXT, "%d:%d:%d", g->from, g->to, g->size);
	return text;
}

int grouping_apart(const struct grouping *g, const struct host_spread *s, int n_layers, int n)
{
	uint64_t host[MODEL_MAX_LAYERS / 64];
	int apart = 0;

	spread_layers(s, n_layers, n, host);
	for (int l = g->from; g->size > 1 && g->bypass && l < g->to; l += g->size) {
		int end = l + g->size < g->to ? l + g->size : g->to, here = 0;

		for (int i = l; i < end; i++)
			here += plan_has(host, i);
		apart += here && here < end - l;
	}
	return apart;
}
