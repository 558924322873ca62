/* ring_kit.h - caches of local layers that are shorter than the context, on any backend.
 *
 * Included once by a test program, which owns its rigs. */
#ifndef S3D_RING_KIT_H
#define S3D_RING_KIT_H
#include "tests/forward_kit.h"

/* Steps, and how long rings are at least: for a window, a step, and spare rows. */
enum { STEP = 64, RING = 256 };

/* Rings, and whole caches, of the same model give the same rows to the bit, also behind drafts that
 * failed where a ring begins anew; and what was forgotten, position `lost`, is not read.  At even
 * positions so many rows behind so many drafts first, at odd ones those second. */
static inline void check_ring(struct rig *ring, struct rig *all, const int rows[2],
			      const int drafts[2], int lost)
{
	struct batch back = { .tok = tokens + lost, .n = 1, .pos = lost, .n_out = 1 };

	for (int pos = 0, n; pos < CTX - 70; pos += n) {
		float *a, *b;

		n = rows[pos % 2];
		free(run(ring, NULL, pos, drafts[pos % 2], 1));
		a = run(ring, NULL, pos, n, n);
		b = run(all, NULL, pos, n, n);
		same_rows(a, b, (size_t)n, all);
		free(a);
		free(b);
	}
	assert_true(ring->be->kv_bytes(ring->kv) < all->be->kv_bytes(all->kv) * 3 / 4);
	assert_in_range(ring->be->kv_back(ring->kv), lost + 1, CTX - 70);
	assert_int_equal(all->be->kv_back(all->kv), 0);
	check_refused(ring, back, "forgotten");
}

#endif
