/* floats.c - weights of any type, decoded to float a piece at a time, times float activations.
 *
 * The plain specification of a matrix product, and the kernel for types that are not packed.
 * Invariant: y = sum over lanes of (products added column by column), the same for every n. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/isa/simd.h"
#include <assert.h>

enum { PIECE = 256, COLUMNS = 8 };

static void row_times(const struct mat *m, const uint8_t *row, const float *const x[COLUMNS], int n,
		      struct vf sum[COLUMNS])
{
	const struct quant_info *q = quant_info(m->type);
	float w[PIECE];

	for (int c = 0; c < n; c++)
		sum[c] = v_set(0);
	for (int j = 0; j < m->cols; j += PIECE) {
		int len = m->cols - j < PIECE ? m->cols - j : PIECE;

		quant_row(m->type, row + quant_bytes(q, j), w, len);
		for (int c = 0; c < n; c++)
			for (int i = 0; i < len; i += 16)
				sum[c] = v_fma(v_load(w + i), v_load(x[c] + j + i), sum[c]);
	}
}

mat_mul_fn K(floats_mul);
void K(floats_mul)(const struct mat *m, int u0, int u1, const struct act *a, int n, float *y,
		   int ldy)
{
	int last = u1 * UNIT < m->rows ? u1 * UNIT : m->rows;
	size_t row_bytes = quant_bytes(quant_info(m->type), m->cols);

	assert(m->cols % 16 == 0 && m->cols == a->k);
	for (int r = u0 * UNIT; r < last; r++)
		for (int c = 0; c < n; c += COLUMNS) {
			int width = n - c < COLUMNS ? n - c : COLUMNS;
			const float *x[COLUMNS];
			struct vf sum[COLUMNS];

			for (int i = 0; i < width; i++)
				x[i] = a->f + (size_t)(c + i) * (size_t)a->ldf;
			row_times(m, m->data + (size_t)r * row_bytes, x, width, sum);
			for (int i = 0; i < width; i++)
				y[(size_t)(c + i) * (size_t)ldy + r] = v_sum(sum[i]);
		}
}
