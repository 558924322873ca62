/* probs.h - probabilities of a row of logits, untempered.  No state. */
#ifndef S3D_PROBS_H
#define S3D_PROBS_H

/* The first of the largest.  NaN counts as the smallest. */
int probs_argmax(const float *logits, int n);
/* The same for a row of a backend, whose peaks stand behind it (backend.h). */
int probs_first(const float *row, int n);
/* Fills the peaks in behind n logits. */
void probs_peaks(float *row, int n);
/* log of the sum of exp over n logits. */
double probs_log_sum(const float *logits, int n);
/* The largest logit's probability in a backend's row; *top gets its place (the first of equals). */
double probs_top(const float *row, int n, int *top);
#endif
