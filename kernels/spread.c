/* spread.c - see spread.h.  No state. */
#include "kernels/spread.h"
#include "kernels/plan.h"
#include <string.h>

/* Layer c + 1 of the host's goes there if its c are done while the other is at n - 1 - c: then the
 * group takes less than if a layer that runs alone went there. */
int spread_share(const struct host_spread *s, int n)
{
	int share = (int)((n - 1) * s->part + 1e-9) + 1;

	return n < 2 ? 0 : share < n ? share : n - 1;
}

static int group_end(const struct host_spread *s, int n_layers, int first)
{
	int to = s->to < n_layers ? s->to : n_layers, end = first + s->size;

	return end < to ? end : to;
}

/* The i-th layer of each group: with which it has its share, or more. */
static int take(const struct host_spread *s, int n_layers, int n, int i, bool more, uint64_t *host)
{
	for (int l = s->from; n > 0 && l < s->to && l < n_layers; l += s->size) {
		int size = group_end(s, n_layers, l) - l, at = l + i;

		if (i >= size || (i >= spread_share(s, size)) != more)
			continue;
		host[at / 64] |= (uint64_t)1 << (at % 64);
		n--;
	}
	return n;
}

void spread_layers(const struct host_spread *s, int n_layers, int n,
		   uint64_t host[MODEL_MAX_LAYERS / 64])
{
	int size = s->size > 1 ? s->size : 0;

	memset(host, 0, MODEL_MAX_LAYERS / 64 * sizeof(*host));
	for (int i = 0; i < size; i++)
		n = take(s, n_layers, n, i, false, host);
	for (int l = 0; l < n_layers && n > 0; l++)
		if (!size || l < s->from || l >= s->to) {
			host[l / 64] |= (uint64_t)1 << (l % 64);
			n--;
		}
	for (int i = 0; i < size; i++)
		n = take(s, n_layers, n, i, true, host);
}

/* The last layer of the host's, of which it has n; -1: none. */
static int last_host(const struct host_spread *s, const struct model_config *c, int n)
{
	uint64_t host[MODEL_MAX_LAYERS / 64];
	int l = c->n_layers - 1;

	spread_layers(s, c->n_layers, n, host);
	while (l >= 0 && !plan_has(host, l))
		l--;
	return l;
}

int spread_bridge(const struct host_spread *s, const struct model_config *c, int n, int layer,
		  char err[ERR_MAX])
{
	int most = n;

	while (last_host(s, c, most) >= layer)
		most--;
	if (most == n)
		return 0;
	return fail(err, "drafts over a bridge to layer %d: the cpu has %d of the %d layers, and "
		    "may have %d (-ngl %d, or --host-layers bus)", layer, n, c->n_layers, most,
		    c->n_layers - most);
}
