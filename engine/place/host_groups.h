/* host_groups.h - groups of layers (CQIL) of which the cpu computes some while another device
 * computes the others: how many, by measured speeds.
 *
 * No state.  Invariant: groups are shared only where one device after the other takes longer. */
#ifndef S3D_HOST_GROUPS_H
#define S3D_HOST_GROUPS_H
#include "engine/place/host_speed.h"
#include "kernels/plan.h"

struct host_groups {
	struct host_spread spread;      /* size 0: none is shared, layers go by their order */
	int size, share;        /* of a group of size layers so many are the cpu's; 0: no groups */
	double cpu, other;      /* seconds that each takes for its layers of one */
	double cross;           /* of rows that are handed over, both ways */
};

/* Groups without bypass, for one token; those with one, and none, are never shared. */
struct host_groups host_groups(const struct grouping *, const struct model *,
			       const struct host_speed *);
#endif
