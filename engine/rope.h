/* rope.h - how fast each pair of dimensions turns under RoPE (Su et al. 2021), for all backends.
 * No state. */
#ifndef S3D_ROPE_H
#define S3D_ROPE_H
#include "model.h"
#include "quant.h"
#include <math.h>

/* freq (n_rot/2): radians a position, divided by the file's factors if it has any. */
static inline void rope_freqs(const struct model *m, float *freq)
{
	int half = m->cfg.n_rot / 2;

	for (int i = 0; i < half; i++)
		freq[i] = 1.0f;
	if (m->rope_freqs)
		quant_row(m->rope_freqs->type, m->rope_freqs->data, freq, half);
	for (int i = 0; i < half; i++)
		freq[i] = 1.0f / powf(m->cfg.rope_base, (float)(2 * i) / (float)m->cfg.n_rot) /
			  freq[i];
}
#endif
