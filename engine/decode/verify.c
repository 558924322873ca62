/* verify.c - see verify.h. */
#include "engine/decode/verify.h"

int verify(struct sampler *smp, const struct sampler_opt *law, const float *rows, int n_out,
	   const int *hist, int n, int k, int *out)
{
	for (int i = 0; i <= k; i++) {
		out[i] = sampler_choose(smp, law, row_at(rows, n_out, i), hist, n + i, 1.0f);
		if (i == k || out[i] != hist[n + i])
			return i + 1;
	}
	return k + 1;
}
