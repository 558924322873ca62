/* floats.c - weights of any type, decoded to float a piece at a time, times float activations.
 *
 * The plain specification of a matrix product, and the kernel for types that are not packed.  A
 * piece of several rows is decoded once for several columns; each row's sum waits for itself alone.
 * Invariant: y = sum over lanes of (products added column by column), the same for every n. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/isa/simd.h"
#include <assert.h>

/* Rows whose sums registers hold, enough of them to hide how long an addition takes. */
#if defined(ISA_avx512)
enum { ROWS = 8 };
#else
enum { ROWS = 4 };
#endif
enum { PIECE = 256, COLUMNS = 8 };

struct tile {
	const uint8_t *row[ROWS];
	const float *x[COLUMNS];
	int n;                          /* columns */
};

/* w = len numbers of a row of the file; len a multiple of 16. */
static void decode(enum quant_type type, const uint8_t *src, float *w, int len)
{
	if (type == QUANT_F16)
		for (int i = 0; i < len; i += 16)
			v_store(w + i, v_load_f16((const void *)(src + 2 * i)));
	else if (type == QUANT_BF16)
		for (int i = 0; i < len; i += 16)
			v_store(w + i, v_load_bf16((const void *)(src + 2 * i)));
	else
		quant_row(type, src, w, len);
}

/* sum[r] += row r's products with one column. */
INLINE void add_piece(float w[ROWS][PIECE], const float *x, int len, struct vf sum[ROWS])
{
	struct vf s[ROWS];

#pragma GCC unroll 8
	for (int r = 0; r < ROWS; r++)
		s[r] = sum[r];
	for (int i = 0; i < len; i += 16) {
		struct vf column = v_load(x + i);

#pragma GCC unroll 8
		for (int r = 0; r < ROWS; r++)
			s[r] = v_fma(v_load(w[r] + i), column, s[r]);
	}
#pragma GCC unroll 8
	for (int r = 0; r < ROWS; r++)
		sum[r] = s[r];
}

static void multiply(enum quant_type type, int cols, const struct tile *t,
		     struct vf sum[COLUMNS][ROWS])
{
	const struct quant_info *q = quant_info((int)type);
	float w[ROWS][PIECE];

	for (int c = 0; c < t->n; c++)
		for (int r = 0; r < ROWS; r++)
			sum[c][r] = v_set(0);
	for (int j = 0; j < cols; j += PIECE) {
		int len = cols - j < PIECE ? cols - j : PIECE;

		for (int r = 0; r < ROWS; r++)
			decode(type, t->row[r] + quant_bytes(q, j), w[r], len);
		for (int c = 0; c < t->n; c++)
			add_piece(w, t->x[c] + j, len, sum[c]);
	}
}

/* Rows r.. of those before `last` times n columns from c on. */
static void rows_times(const struct mat *m, int r, int last, const struct act *a, int c, int n,
		       float *y, int ldy)
{
	size_t row_bytes = quant_bytes(quant_info((int)m->type), m->cols);
	struct tile t = { .n = n };
	struct vf sum[COLUMNS][ROWS];

	for (int i = 0; i < ROWS; i++)  /* the last one again where there are no more */
		t.row[i] = m->data + (size_t)(r + i < last ? r + i : last - 1) * row_bytes;
	for (int i = 0; i < n; i++)
		t.x[i] = a->f + (size_t)(c + i) * (size_t)a->ldf;
	multiply(m->type, m->cols, &t, sum);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < ROWS && r + j < last; j++)
			y[(size_t)(c + i) * (size_t)ldy + r + j] = v_sum(sum[i][j]);
}

mat_mul_fn K(floats_mul);
void K(floats_mul)(const struct mat *m, int u0, int u1, const struct act *a, int n, float *y,
		   int ldy)
{
	int last = u1 * UNIT < m->rows ? u1 * UNIT : m->rows;

	assert(m->cols % 16 == 0 && m->cols == a->k);
	for (int r = u0 * UNIT; r < last; r += ROWS)
		for (int c = 0; c < n; c += COLUMNS)
			rows_times(m, r, last, a, c, n - c < COLUMNS ? n - c : COLUMNS, y, ldy);
}
