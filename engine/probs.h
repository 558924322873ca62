/* probs.h - probabilities of a row of logits, untempered.  No state. */
#ifndef S3D_PROBS_H
#define S3D_PROBS_H

/* The first of the largest.  NaN counts as the smallest. */
int probs_argmax(const float *logits, int n);
/* log of the sum of exp over n logits. */
double probs_log_sum(const float *logits, int n);
/* The largest logit's probability; *top gets its id (the first of equals). */
double probs_top(const float *logits, int n, int *top);
#endif
