/* kernel_kit.h - a random matrix and activations, for what asks the kernels themselves.
 *
 * Included once by a program.  The same numbers after the same seed, on every machine; a fixture
 * owns its rows and codes. */
#ifndef S3D_KERNEL_KIT_H
#define S3D_KERNEL_KIT_H
#include "kernels/cpu/cpu.h"
#include <stdlib.h>
#include <string.h>

/* 43 rows: the last unit has eleven; 27 columns: three panels and a part, or a pair and one. */
enum { COLS = 512, ROWS = 43, N = 27, PANELS = (N + PANEL - 1) / PANEL };

#define TYPE(ID, ...) QUANT_##ID,
static const enum quant_type types[] = { TENSOR_TYPES(TYPE) };
static const char *const kernel_names[] = { "generic", "avx2", "avxvnni", "avx512", "amx",
					    "neon" };
enum { N_TYPES = sizeof(types) / sizeof(types[0]),
       N_KERNELS = sizeof(kernel_names) / sizeof(kernel_names[0]) };

static uint32_t seed = 7;
static inline uint32_t rnd(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}
static inline float uniform(void)
{
	return (float)rnd() / 8388608.0f - 1.0f;
}

struct fixture {
	struct mat m;
	struct act a;
	uint8_t *raw, *packed;
	float x[N][COLS], w[ROWS][COLS];
};

enum { RANDOM = -1 };           /* or the byte that all of a matrix's blocks are made of */

/* Blocks of random bytes, or of one; f16 fields are kept finite by clearing the exponent's top
 * bits. */
static inline void fill_rows(struct fixture *f, enum quant_type type, int fill)
{
	const struct quant_info *q = quant_info((int)type);
	const struct type_facts t = type_facts(type);
	size_t bytes = quant_bytes(q, (int64_t)ROWS * COLS);

	f->raw = malloc(bytes);
	for (size_t i = 0; i < bytes; i++)
		f->raw[i] = (uint8_t)(fill == RANDOM ? (int)rnd() : fill);
	if (type == QUANT_F32)
		for (size_t i = 0; i < bytes / 4; i++) {
			float v = uniform();
			memcpy(f->raw + 4 * i, &v, 4);
		}
	for (size_t b = 0; type != QUANT_F32 && b < bytes; b += (size_t)q->bytes) {
		size_t at = b + (size_t)t.at_d + 1;

		f->raw[at] &= type == QUANT_BF16 ? 0xbf : 0xb7;
		if (t.flags & TYPE_MIN)
			f->raw[at + 2] &= 0xb7;
	}
	for (int r = 0; r < ROWS; r++)
		quant_row(type, f->raw + (size_t)r * quant_bytes(q, COLS), f->w[r], COLS);
}

/* Random, or in each column all as large as they can be. */
static inline void activations(struct fixture *f, const struct cpu_kernels *k, bool random)
{
	size_t blocks = PANELS * COLS / BLOCK * PANEL;

	for (int c = 0; c < N; c++)
		for (int j = 0; j < COLS; j++)
			f->x[c][j] = random ? uniform() * (j == 77 ? 30.0f : 1.0f) :
				     c % 2 ? 1.0f : -1.0f;
	memset(f->x[3], 0, sizeof(f->x[3]));    /* an all-zero row must not divide by zero */
	f->a = (struct act){ .k = COLS, .ldf = COLS, .f = f->x[0], .q = malloc(blocks * BLOCK),
			     .d = malloc(blocks * 8), .s = malloc(blocks * 4),
			     .h = malloc(blocks * 8) };
	for (int c = 0; c < N; c++)
		k->quantise(&f->a, c, 0, COLS / BLOCK);
}

static inline struct fixture *open_filled(const struct cpu_kernels *k, enum quant_type type,
					  bool packed, int fill)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int units = (ROWS + UNIT - 1) / UNIT;

	fill_rows(f, type, fill);
	activations(f, k, fill == RANDOM);
	f->m = (struct mat){ .type = type, .rows = ROWS, .cols = COLS, .data = f->raw,
			     .mul = k->floats };
	if (!packed)
		return f;
	f->m.unit_bytes = pack_unit_bytes(type, COLS);
	f->packed = malloc((size_t)units * f->m.unit_bytes + 4096);
	for (int u = 0; u < units; u++)
		pack_unit(type, f->raw, ROWS, COLS, u, f->packed + (size_t)u * f->m.unit_bytes);
	f->m.data = f->packed;
	f->m.mul = k->packed(type);
	return f;
}

static inline struct fixture *open_fixture(const struct cpu_kernels *k, enum quant_type type,
					   bool packed)
{
	return open_filled(k, type, packed, RANDOM);
}

static inline void close_fixture(struct fixture *f)
{
	free(f->raw);
	free(f->packed);
	free(f->a.q);
	free(f->a.d);
	free(f->a.s);
	free(f->a.h);
	free(f);
}
#endif
