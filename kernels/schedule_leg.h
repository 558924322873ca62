/* schedule_leg.h - a schedule cut in pieces for two devices, each of which has some of the layers.
 *
 * Made by schedule.c.  No state.  Invariant: the legs of a pass do all that its schedule does, in
 * the same order. */
#ifndef S3D_SCHEDULE_LEG_H
#define S3D_SCHEDULE_LEG_H
#include "kernels/schedule.h"

/* A pass that two devices share, each of which has some of the layers: it goes in legs, of one, or
 * of both at once, where a group without bypass has layers of both.  A leg begins with OP_EMBED, or
 * OP_ENTER for the rows that the one before left; it ends with OP_OUTPUT, or OP_LEAVE.  Of both the
 * rows go to both, and the host's are then added to the other's.  Any other group that has layers
 * of both ends where they meet, and what is left of it is another. */
enum side { SIDE_HOST, SIDE_OTHER, SIDES };
struct leg {
	bool on[SIDES];        /* whose it is */
	struct schedule run[SIDES];
};
struct leg_at {         /* how far a pass has come: {0}: not begun */
	int op, layer;
};
/* The next one, when host has a bit for each layer of the host, which embeds tokens; the other
 * makes logits.  -1: it crosses a bridge to layers of both, or is empty; err says which. */
int schedule_leg(const struct schedule *, const uint64_t *host, struct leg_at *, struct leg *,
		 char err[ERR_MAX]);
#endif
