/* rope.h - how fast each pair of dimensions turns under RoPE (Su et al. 2021), for all backends.
 * No state. */
#ifndef S3D_ROPE_H
#define S3D_ROPE_H
#include "engine/model/model.h"
#include "engine/gguf/quant.h"
#include <math.h>

/* freq (n_rot/2): radians a position in one of the model's sets of speeds, its scale and its
 * factors in it. */
static inline void rope_freqs(const struct model *m, int set, float *freq)
{
	const struct model_config *c = &m->cfg;
	const struct gguf_tensor *factors = m->rope_freqs[set];
	bool local = set && c->rope_base_1 > 0;
	float base = local ? c->rope_base_1 : c->rope_base, scale = local ? 1 : c->rope_scale;
	int half = c->n_rot / 2;

	for (int i = 0; i < half; i++)
		freq[i] = 1.0f;
	if (factors)
		quant_row(factors->type, factors->data, freq, half);
	for (int i = 0; i < half; i++)
		freq[i] = scale / powf(base, (float)(2 * i) / (float)c->n_rot) / freq[i];
}
#endif
