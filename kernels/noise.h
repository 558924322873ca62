/* noise.h - the noise of the law of choice (engine/decode/sampler.h), for the host and for a GPU.
 *
 * No state.  Invariant: the same seed, position and token give the same noise; across host and
 * device up to their logarithms, whose last bits may differ. */
#ifndef S3D_NOISE_H
#define S3D_NOISE_H
#include "base/util.h"
#include <math.h>

/* g(seed, t, v): standard Gumbel noise of token v at position t, from a counter. */
ON_DEVICE static inline double noise_gumbel(uint64_t seed, uint64_t t, uint32_t v)
{
	uint64_t x = mix64(seed + 0x9e3779b97f4a7c15u);
	double u;

	x = mix64(x ^ mix64(t + 0x9e3779b97f4a7c15u));
	x = mix64(x + (uint64_t)v * 0x9e3779b97f4a7c15u);
	u = ((double)(x >> 11) + 0.5) / 9007199254740992.0;     /* in (0, 1), 53 bits */
	return -log(-log(u));
}
#endif
