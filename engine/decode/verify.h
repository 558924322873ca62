/* verify.h - the one acceptance rule.
 *
 * Invariant: what is emitted is what plain decoding would have chosen, whatever the drafts were. */
#ifndef S3D_VERIFY_H
#define S3D_VERIFY_H
#include "kernels/backend.h"
#include "engine/decode/sampler.h"
#include "kernels/peaks.h"

/* rows: k+1 rows of n_out logits (see row_at) of the pending token and k drafts; hist[0..n-1] is
 * the timeline and hist[n..n+k-1] the drafts.  Writes the choices y_1.. to out up to and including
 * the first that differs from its draft (all k+1 if none does); returns how many, 1..k+1. */
int verify(struct sampler *, const struct sampler_opt *, const float *rows, int n_out,
	   const int *hist, int n, int k, int *out);
#endif
