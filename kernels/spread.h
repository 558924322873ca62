/* spread.h - which layers of a model that two devices share are the host's.
 *
 * The first ones; but where layers run in groups (plan.h) both devices are at work at once while a
 * group has layers of both, so then each group has some of each.  No state.
 * Invariant: one more layer of the host's leaves it all that it had. */
#ifndef S3D_SPREAD_H
#define S3D_SPREAD_H
#include "base/util.h"
#include "engine/model/model.h"
#ifdef __cplusplus
extern "C" {
#endif

struct host_spread {
	int from, to, size;     /* groups as in struct grouping; size 0: the first layers */
	/* Of the seconds that both take for a layer, one behind the other, the other device's. */
	double part;
};

/* Of a group of n layers those that the host has before it gets layers that run alone: with each of
 * them it is done before the other device is with the rest, or with one more than that. */
int spread_share(const struct host_spread *, int n);
/* A bit for each of the n layers that are the host's, of n_layers. */
void spread_layers(const struct host_spread *, int n_layers, int n,
		   uint64_t host[MODEL_MAX_LAYERS / 64]);
/* Whether drafts may cross a bridge to that layer when n are the host's: it and all behind it have
 * to be the other device's.  -1: err says what would help. */
int spread_bridge(const struct host_spread *, const struct model_config *, int n, int layer,
		  char err[ERR_MAX]);

#ifdef __cplusplus
}
#endif
#endif
