/* fit.h - the codes and factors that come nearest to some numbers, by weighted least squares.
 *
 * What a block format leaves open is chosen here: for a scale that was guessed each number takes
 * the nearest code, and for these the best scale follows from two sums; many guesses are tried.
 * n is a multiple of 4; a weight says how much the square of an error counts.
 * No state.  Invariant: of all guesses the one with the least error is returned. */
#ifndef S3D_FIT_H
#define S3D_FIT_H
#include <stdbool.h>
#include <stdint.h>

/* d of x[i] ~ d * q with integers q from lo to hi, lo < 0 < hi; it may be negative.  0: all are. */
float fit_scale(const float *x, const float *weight, int n, int lo, int hi);
/* d and m of x[i] ~ d * q - m with q from 0 to most and d not negative; m neither, if below. */
void fit_affine(const float *x, const float *weight, int n, int most, bool below, float *d,
		float *m);
/* d of x[i] ~ d * table[q], sixteen numbers that rise from below to above 0. */
float fit_table(const float *x, const float *weight, int n, const int8_t table[16]);

/* The nearest code of x / d; d == 0: that of 0. */
int fit_code(float x, float d, int lo, int hi);
int fit_entry(float x, float d, const int8_t table[16]);
#endif
