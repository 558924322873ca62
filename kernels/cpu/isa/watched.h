/* watched.h - for the thread sanitizer alone: each kernel with a note of what it reads and writes.
 *
 * A sanitizer that looks at every access of a product makes it a hundred times slower, and finds
 * nothing that its operands' ranges would not show: kernels have no state, and races are between
 * calls.  So the kernels of FLAVOUR=tsan are compiled without it, and their table holds these.
 * Invariant: what a kernel writes is noted whole, and what it reads too, except that of what one
 * call has written, a unit of weights, a block of a row's codes, 16 of its floats, a row of the
 * cache, the beginning stands for the rest. */
#ifndef S3D_WATCHED_H
#define S3D_WATCHED_H

void __tsan_read8(void *p);
void __tsan_read_range(void *p, unsigned long bytes);
void __tsan_write_range(void *p, unsigned long bytes);

/* The beginning of what one call wrote. */
static void begins(const void *p)
{
	__tsan_read8((void *)(uintptr_t)p);
}

static void reads(const void *p, size_t bytes)
{
	__tsan_read_range((void *)(uintptr_t)p, bytes);
}

static void writes(void *p, size_t bytes)
{
	__tsan_write_range(p, bytes);
}

/* The codes of block b of a row. */
static int8_t *codes_at(const struct act *a, int row, int b)
{
	size_t panel = (size_t)(row / PANEL) * (size_t)(a->k / BLOCK);

	return a->q + ((panel + (size_t)b) * PANEL + (size_t)(row % PANEL)) * BLOCK;
}

static void watch_product(const struct mat *m, int u0, int u1, const struct act *a, int n, float *y,
			  int ldy)
{
	int last = u1 * UNIT < m->rows ? u1 * UNIT : m->rows;

	for (int u = u0; m->packed && u < u1; u++)
		begins(m->data + (size_t)u * m->unit_bytes);
	for (int c = 0; c < n; c++) {
		for (int i = 0; m->takes == ACT_FLOATS && i < a->k; i += 16)
			begins(a->f + (size_t)c * (size_t)a->ldf + i);
		for (int b = 0; m->takes == ACT_INT8 && b < a->k / BLOCK; b++)
			begins(codes_at(a, c, b));
		writes(y + (size_t)c * (size_t)ldy + (size_t)u0 * UNIT,
		       (size_t)(last - u0 * UNIT) * sizeof(*y));
	}
}

static void watched_packed_mul(const struct mat *m, int u0, int u1, const struct act *a, int n,
			       float *y, int ldy)
{
	watch_product(m, u0, u1, a, n, y, ldy);
	K(packed_mul)(m->type)(m, u0, u1, a, n, y, ldy);
}

static mat_mul_fn *watched_packed(enum quant_type type)
{
	return K(packed_mul)(type) ? watched_packed_mul : NULL;
}

static void watched_columns_mul(const struct mat *m, int u0, int u1, const struct act *a, int n,
				float *y, int ldy)
{
	watch_product(m, u0, u1, a, n, y, ldy);
	K(columns_mul)(m->type)(m, u0, u1, a, n, y, ldy);
}

static mat_mul_fn *watched_columns(enum quant_type type)
{
	return K(columns_mul)(type) ? watched_columns_mul : NULL;
}

static void watched_floats_mul(const struct mat *m, int u0, int u1, const struct act *a, int n,
			       float *y, int ldy)
{
	watch_product(m, u0, u1, a, n, y, ldy);
	ALL_ELSE(floats_mul)(m, u0, u1, a, n, y, ldy);
}

static void watched_quantise(const struct act *a, int row, int b0, int b1)
{
	reads(a->f + (size_t)row * (size_t)a->ldf + b0 * BLOCK,
	      (size_t)(b1 - b0) * BLOCK * sizeof(*a->f));
	for (int b = b0; b < b1; b++)
		writes(codes_at(a, row, b), BLOCK);
	ALL_ELSE(quantise)(a, row, b0, b1);
}

static void watched_norm(const float *x, const float *w, int n, float eps, float *y)
{
	reads(x, (size_t)n * sizeof(*x));
	writes(y, (size_t)n * sizeof(*y));
	ALL_ELSE(norm)(x, w, n, eps, y);
}

static void watched_add(float *x, const float *y, float scale, int n)
{
	reads(y, (size_t)n * sizeof(*y));
	writes(x, (size_t)n * sizeof(*x));
	ALL_ELSE(add)(x, y, scale, n);
}

static void watched_glu(enum activation f, float *gate, const float *up, int n)
{
	reads(up, (size_t)n * sizeof(*up));
	writes(gate, (size_t)n * sizeof(*gate));
	ALL_ELSE(glu)(f, gate, up, n);
}

static void watched_bend(float *x, float scale, float cap, int n)
{
	writes(x, (size_t)n * sizeof(*x));
	ALL_ELSE(bend)(x, scale, cap, n);
}

static void watched_halves(const float *x, uint16_t *y, int n)
{
	reads(x, (size_t)n * sizeof(*x));
	writes(y, (size_t)n * sizeof(*y));
	ALL_ELSE(halves)(x, y, n);
}

static void watched_codes(const float *x, int n, int8_t *code, uint16_t *scale)
{
	reads(x, (size_t)n * sizeof(*x));
	writes(code, (size_t)n);
	writes(scale, (size_t)(n / BLOCK) * sizeof(*scale));
	ALL_ELSE(codes)(x, n, code, scale);
}

static void watched_peaks(const float *x, int n, float *y)
{
	reads(x, (size_t)n * sizeof(*x));
	writes(y, (size_t)((n + 15) / 16) * sizeof(*y));
	ALL_ELSE(peaks)(x, n, y);
}

static uint64_t watched_read(const void *p, size_t bytes)
{
	return ALL_ELSE(read)(p, bytes);
}

/* Positions from..to-1: those of keys lie in tiles of 16, of which the first dimension is read. */
static void watch_cache(const struct attend *a, int from, int to)
{
	size_t k = a->k.scale ? 1 : 2, v = a->v.scale ? 1 : 2, dim = (size_t)a->pad_dim;

	for (int t = from; t < to; t += 16)
		reads((const uint8_t *)a->k.x + (size_t)t * dim * k, 16 * k);
	for (int t = from; t < to; t++)
		begins((const uint8_t *)a->v.x + (size_t)t * dim * v);
}

static void watched_attend(const struct attend *a, int row0, int rows, int t0, int t1,
			   struct partial *part)
{
	int seen = a->pos + row0 + rows < t1 ? a->pos + row0 + rows : t1, from = t0 + a->shift;

	watch_cache(a, from, from + seen - t0);
	for (int i = 0; i < rows * a->group; i++) {
		size_t row = (size_t)(row0 + i / a->group) * (size_t)a->ldq;

		reads(a->q + row + (size_t)(i % a->group * a->head_dim),
		      (size_t)a->head_dim * sizeof(*a->q));
		writes(part[i].acc, (size_t)a->pad_dim * sizeof(*part[i].acc));
	}
	ALL_ELSE(attend)(a, row0, rows, t0, t1, part);
}

static void watched_fold(struct partial *part, int n, int pad_dim, float *out, int head_dim)
{
	for (int i = 0; i < n; i++)
		reads(part[i].acc, (size_t)pad_dim * sizeof(*part[i].acc));
	writes(out, (size_t)head_dim * sizeof(*out));
	ALL_ELSE(fold)(part, n, pad_dim, out, head_dim);
}
#endif
