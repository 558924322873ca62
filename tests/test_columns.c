/* test_columns.c - a matrix by columns against the same one packed, of every type and instruction
 * set: the same bits, however many inputs are zero and however these lie; and what is not needed is
 * not read.  (test_kernels.c has the packed products against plain sums.) */
#include "kernels/cpu/columns.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TYPE(ID, ...) QUANT_##ID,
static const enum quant_type types[] = { TENSOR_TYPES(TYPE) };
enum { N_TYPES = sizeof(types) / sizeof(types[0]), MOST_ROWS = 19, MOST_COLS = 2304, GAP = 3 };

static uint32_t seed = 11;
static uint32_t rnd(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}
static float uniform(void)
{
	return (float)rnd() / 16777216.0f;
}

struct both {           /* one matrix twice, and activations */
	struct mat packed, columns;
	uint8_t *raw, *units, *runs;
	float *x;
	struct act a;
	float *y, *want;        /* (MOST_ROWS, rows + GAP) */
};

/* Blocks of random bytes, the f16 numbers among them finite. */
static uint8_t *random_rows(enum quant_type type, int rows, int cols)
{
	const struct type_facts t = type_facts(type);
	size_t bytes = (size_t)rows * (size_t)(cols / t.block) * (size_t)t.bytes;
	uint8_t *raw = malloc(bytes);

	for (size_t i = 0; i < bytes; i++)
		raw[i] = (uint8_t)rnd();
	for (size_t b = 0; b < bytes; b += (size_t)t.bytes) {
		raw[b + (size_t)t.at_d + 1] &= 0xb7;
		if (t.flags & TYPE_MIN)
			raw[b + (size_t)t.at_d + 3] &= 0xb7;
	}
	return raw;
}

static void open_packed(struct both *f, const struct cpu_kernels *k, enum quant_type type, int rows,
			int cols)
{
	int units = (rows + UNIT - 1) / UNIT;

	f->packed = (struct mat){ .type = type, .rows = rows, .cols = cols, .packed = true,
				  .unit_bytes = pack_unit_bytes(type, cols),
				  .takes = ACT_INT8, .mul = k->packed(type) };
	f->units = malloc((size_t)units * f->packed.unit_bytes);
	for (int u = 0; u < units; u++)
		pack_unit(type, f->raw, rows, cols, u, f->units + (size_t)u * f->packed.unit_bytes);
	f->packed.data = f->units;
}

static struct both *open_both(const struct cpu_kernels *k, enum quant_type type, int rows, int cols,
			      int slabs)
{
	size_t blocks = (MOST_ROWS + PANEL - 1) / PANEL * (size_t)(cols / BLOCK) * PANEL;
	struct both *f = calloc(1, sizeof(*f));

	f->raw = random_rows(type, rows, cols);
	open_packed(f, k, type, rows, cols);
	f->columns = f->packed;
	f->columns.slabs = slabs;
	f->columns.mul = k->columns(type);
	f->runs = malloc(columns_bytes(type, rows, cols));
	memset(f->runs, 0xa5, columns_bytes(type, rows, cols));
	for (int s = 0; s < column_slabs(rows); s++)
		columns_pack(type, f->raw, rows, cols, slabs, s, f->runs);
	f->columns.data = f->runs;
	f->x = malloc(sizeof(float) * MOST_ROWS * (size_t)cols);
	f->a = (struct act){ .k = cols, .ldf = cols, .f = f->x, .q = malloc(blocks * BLOCK),
			     .d = malloc(blocks * 8), .s = malloc(blocks * 4),
			     .h = malloc(blocks * 8) };
	f->y = malloc(sizeof(float) * MOST_ROWS * (size_t)(rows + GAP));
	f->want = malloc(sizeof(float) * MOST_ROWS * (size_t)(rows + GAP));
	return f;
}

static void close_both(struct both *f)
{
	void *all[] = { f->raw, f->units, f->runs, f->x, f->a.q, f->a.d, f->a.s, f->a.h, f->y,
			f->want, f };

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		free(all[i]);
}

/* About `density` of each row's inputs, one by one or in clusters of `cluster`. */
static void choose_inputs(struct both *f, const struct cpu_kernels *k, float density, int cluster)
{
	int cols = f->a.k;
	bool on = false;

	for (int c = 0; c < MOST_ROWS; c++)
		for (int j = 0; j < cols; j++) {
			if (j % cluster == 0)
				on = uniform() < density;
			f->x[c * cols + j] = on ? (uniform() - 0.5f) * (j % 97 ? 1 : 40) : 0;
		}
	for (int c = 0; c < MOST_ROWS; c++)
		k->quantise(&f->a, c, 0, cols / BLOCK);
}

/* Units u0..u1-1 of n rows, and nothing written beside them. */
static void compare(struct both *f, int u0, int u1, int n, const char *what)
{
	const struct mat *m = &f->packed;
	size_t bytes = sizeof(float) * MOST_ROWS * (size_t)(m->rows + GAP);

	memset(f->y, 0x77, bytes);
	memset(f->want, 0x77, bytes);
	m->mul(m, u0, u1, &f->a, n, f->want, m->rows + GAP);
	f->columns.mul(&f->columns, u0, u1, &f->a, n, f->y, m->rows + GAP);
	if (memcmp(f->y, f->want, bytes))
		fail_msg("%s %s: %d rows of %d columns, units %d..%d, n %d, groups of %d",
			 what, quant_info((int)m->type)->name, m->rows, m->cols, u0, u1, n,
			 f->columns.slabs);
}

static void compare_all(struct both *f, const struct cpu_kernels *k)
{
	static const float density[] = { 0, 0.1f, 0.5f, 0.9f, 1 };
	static const int cluster[] = { 1, 5, 48 };
	int units = (f->packed.rows + UNIT - 1) / UNIT;

	for (size_t i = 0; i < 15; i++) {
		choose_inputs(f, k, density[i % 5], cluster[i / 5]);
		for (int n = 1; n <= 16; n += n < 9 ? 1 : 7)    /* panels have 8 */
			if (i % 5 == 2 || (size_t)n % 5 == i % 5)
				compare(f, 0, units, n, k->name);
		compare(f, 0, units, MOST_ROWS, k->name);
		for (int u = 0; u < units; u += 3)
			compare(f, u, units - u < 5 ? units : u + 5, 1 + u % 8, k->name);
	}
}

static const struct shape {
	int rows, cols, slabs;
} shapes[] = {
	{ 43, 256, 4 },         /* less than a slab */
	{ 128, 512, 1 },
	{ 300, 768, 2 },        /* the last unit is not whole, nor the last slab and group */
	{ 641, 256, 4 },
};

static void test_same_bits(void **state)
{
	const struct cpu_kernels *k = *state;

	for (int i = 0; i < N_TYPES; i++)
		for (size_t j = 0; columns_can(types[i]) && j < 4; j++) {
			struct both *f = open_both(k, types[i], shapes[j].rows, shapes[j].cols,
						   shapes[j].slabs);

			compare_all(f, k);
			close_both(f);
		}
}

/* Columns that are not a multiple of 256, which eight types can have not. */
static void test_odd_columns(void **state)
{
	const struct cpu_kernels *k = *state;

	for (int i = 0; i < N_TYPES; i++)
		if (columns_can(types[i]) && type_facts(types[i]).block == BLOCK) {
			struct both *f = open_both(k, types[i], 150, 288 + 32 * (i % 3), 1);

			compare_all(f, k);
			close_both(f);
		}
}

/* What is not finite comes out as it does of the packed product. */
static void test_not_finite(void **state)
{
	const struct cpu_kernels *k = *state;
	struct both *f = open_both(k, QUANT_Q4_0, 160, 256, 1);

	choose_inputs(f, k, 0.5f, 16);
	f->x[3] = INFINITY;
	f->x[256 + 40] = NAN;
	memset(f->x + 64, 0, 32 * sizeof(float));
	f->raw[2 * 18 + 1] = 0x7c;      /* a scale: infinite, of inputs that are all zero */
	for (int c = 0; c < MOST_ROWS; c++)
		k->quantise(&f->a, c, 0, 256 / BLOCK);
	for (int u = 0; u < 10; u++)
		pack_unit(QUANT_Q4_0, f->raw, 160, 256, u,
			  f->units + (size_t)u * f->packed.unit_bytes);
	for (int s = 0; s < 2; s++)
		columns_pack(QUANT_Q4_0, f->raw, 160, 256, 1, s, f->runs);
	for (int n = 1; n < 9; n++)
		compare(f, 0, 10, n, k->name);
	close_both(f);
}

/* Codes of columns that no row needs do not count: others may stand there. */
static void test_not_needed(void **state)
{
	const struct cpu_kernels *k = *state;

	for (int i = 0; i < N_TYPES; i++) {
		struct column_shape shape;
		struct both *f;

		if (!columns_can(types[i]))
			continue;
		f = open_both(k, types[i], 256, 256, 2);
		shape = column_shape(type_facts(types[i]), 2);
		choose_inputs(f, k, 1, 1);
		for (int c = 0; c < MOST_ROWS; c++)
			for (int j = 0; j < 256; j++)
				f->x[c * 256 + j] *= j % 7 == 3;
		for (int c = 0; c < MOST_ROWS; c++)
			k->quantise(&f->a, c, 0, 256 / BLOCK);
		for (int j = 0; j < 256; j++)
			if (j % 7 != 3)
				memset(f->runs + shape.super + (size_t)(j / BLOCK) * shape.block +
				       (size_t)(j % BLOCK) * shape.run, rnd() & 255, shape.run);
		for (int n = 1; n <= 9; n += 4)
			compare(f, 0, 16, n, k->name);
		close_both(f);
	}
}

/* As many bytes as packed. */
static void test_size(void **state)
{
	(void)state;
	for (int i = 0; i < N_TYPES; i++)
		if (columns_can(types[i]))
			assert_int_equal(columns_bytes(types[i], 2048, 8192),
					 2048 / UNIT * pack_unit_bytes(types[i], 8192));
	assert_true(columns_can(QUANT_Q4_0) && columns_can(QUANT_Q4_1) &&
		    columns_can(QUANT_Q5_0) && columns_can(QUANT_Q5_1) &&
		    columns_can(QUANT_Q8_0) && columns_can(QUANT_Q4_K) &&
		    columns_can(QUANT_Q5_K) && columns_can(QUANT_Q6_K));
	assert_false(columns_can(QUANT_F16));
}

int main(void)
{
	static const char *const names[] = { "generic", "avx2", "avxvnni", "avx512", "amx",
					     "neon" };
	char err[ERR_MAX];
	int bad = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct cpu_kernels *k = (void *)(uintptr_t)cpu_kernels_find(names[i], err);
		const struct CMUnitTest tests[] = {
			cmocka_unit_test_prestate(test_same_bits, k),
			cmocka_unit_test_prestate(test_odd_columns, k),
			cmocka_unit_test_prestate(test_not_finite, k),
			cmocka_unit_test_prestate(test_not_needed, k),
			cmocka_unit_test(test_size),
		};

		if (!k)
			print_message("%s: %s\n", names[i], err);
		else
			bad += cmocka_run_group_tests_name(names[i], tests, NULL, NULL);
	}
	return bad;
}
