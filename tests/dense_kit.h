/* dense_kit.h - matrices of any type as floats, and their products with vectors in double.
 *
 * Whoever decodes a matrix frees it. */
#ifndef S3D_DENSE_KIT_H
#define S3D_DENSE_KIT_H
#include "engine/gguf/gguf.h"
#include "engine/gguf/quant.h"
#include <stdlib.h>

/* A matrix as floats. */
enum { TENSORS = 512 };
struct decoded {
	const struct gguf_tensor *t;
	float *w;
};

static inline float *decode(const struct gguf_tensor *t)
{
	float *w = malloc(sizeof(float) * (size_t)(t->dim[0] * t->dim[1]));
	size_t row = quant_bytes(quant_info((int)t->type), t->dim[0]);

	for (int64_t r = 0; r < t->dim[1]; r++)
		quant_row(t->type, (const uint8_t *)t->data + (size_t)r * row, w + r * t->dim[0],
			  t->dim[0]);
	return w;
}

static inline void times(const float *w, const struct gguf_tensor *t, const double *x, double *y)
{
	for (int64_t r = 0; r < t->dim[1]; r++) {
		double sum = 0;

		for (int64_t i = 0; i < t->dim[0]; i++)
			sum += (double)w[r * t->dim[0] + i] * x[i];
		y[r] = sum;
	}
}

static inline void dense(const struct gguf_tensor *t, const double *x, double *y)
{
	float *w = decode(t);

	times(w, t, x, y);
	free(w);
}
#endif
