/* test_quant.c - block formats against recorded values, half-precision conversion exhaustively.
 *
 * tests/vectors/quant_*.bin come from tests/tools/make_quant_vectors.py (the gguf package for
 * Python).  Comparison is by bits: see quant.c for why every type allows that. */
#include "engine/gguf/quant.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint32_t bits_of(float f)
{
	uint32_t u;

	memcpy(&u, &f, sizeof(u));
	return u;
}

static void check_vector(const char *name)
{
	char path[64];
	uint32_t head[3];
	const struct quant_info *q = quant_find(name);

	assert_non_null(q);
	snprintf(path, sizeof(path), "tests/vectors/quant_%s.bin", name);
	FILE *f = fopen(path, "rb");
	assert_non_null(f);
	assert_int_equal(fread(head, sizeof(head), 1, f), 1);
	assert_int_equal(head[0], q->type);
	assert_true(head[1] >= 90);
	assert_int_equal(head[2], quant_bytes(q, head[1]));
	uint8_t *src = malloc(head[2]);
	float *want = malloc(head[1] * sizeof(float)), *got = malloc(head[1] * sizeof(float));
	assert_true(src && want && got);
	assert_int_equal(fread(src, head[2], 1, f), 1);
	assert_int_equal(fread(want, sizeof(float), head[1], f), head[1]);
	assert_int_equal(fgetc(f), EOF);
	fclose(f);
	quant_row(q->type, src, got, head[1]);
	for (uint32_t i = 0; i < head[1]; i++)
		if (bits_of(got[i]) != bits_of(want[i]))
			fail_msg("%s element %u: %a, recorded %a", name, i, (double)got[i],
				 (double)want[i]);
	free(src);
	free(want);
	free(got);
}

static void vectors(void **state)
{
	char all[128], *save = NULL;
	int n = 0;

	(void)state;
	snprintf(all, sizeof(all), "%s", quant_supported());
	for (char *s = strtok_r(all, " ", &save); s; s = strtok_r(NULL, " ", &save), n++)
		check_vector(s);
	assert_int_equal(n, 15);
}

/* Sizes as the GGUF specification gives them. */
static void table(void **state)
{
	static const struct quant_info want[] = {
		{ QUANT_F32, "f32", 1, 4 },       { QUANT_F16, "F16", 1, 2 },
		{ QUANT_Q4_0, "q4_0", 32, 18 },   { QUANT_Q4_1, "Q4_1", 32, 20 },
		{ QUANT_Q5_0, "Q5_0", 32, 22 },   { QUANT_Q5_1, "Q5_1", 32, 24 },
		{ QUANT_Q8_0, "Q8_0", 32, 34 },   { QUANT_Q2_K, "Q2_K", 256, 84 },
		{ QUANT_Q3_K, "Q3_K", 256, 110 }, { QUANT_Q4_K, "q4_k", 256, 144 },
		{ QUANT_Q5_K, "Q5_K", 256, 176 }, { QUANT_Q6_K, "Q6_K", 256, 210 },
		{ QUANT_IQ4_NL, "IQ4_NL", 32, 18 }, { QUANT_IQ4_XS, "IQ4_XS", 256, 136 },
		{ QUANT_BF16, "bf16", 1, 2 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct quant_info *q = quant_find(want[i].name);

		assert_non_null(q);
		assert_ptr_equal(q, quant_info((int)want[i].type));
		assert_int_equal(q->block, want[i].block);
		assert_int_equal(q->bytes, want[i].bytes);
		assert_int_equal(quant_bytes(q, 768), 768 / want[i].block * want[i].bytes);
	}
	assert_null(quant_find("Q4"));
	assert_null(quant_find(""));
	assert_null(quant_info(4));
	assert_null(quant_info(-1));
	assert_null(quant_info(1 << 30));
	/* 2^40 elements: no 32-bit arithmetic on the way */
	assert_true(quant_bytes(quant_find("Q4_1"), (int64_t)1 << 40) == (size_t)20 << 35);
}

/* Random bits, with 1 for d and a minimum that makes the mean about 0, spread as the row says. */
static void spread_of(const struct quant_info *q)
{
	enum { BLOCKS = 2000 };
	const struct type_facts f = type_facts(q->type);
	float middle = (float)((1 << f.bits) - 1) / 2, y[TYPE_SUPER];
	uint16_t one = 0x3c00, least = quant_f32_to_f16(f.block == TYPE_SUPER ? middle : -middle);
	double sum = 0, squares = 0, n = BLOCKS * (double)q->block;
	uint8_t b[256];
	uint32_t seed = 1;

	for (int i = 0; i < BLOCKS; i++) {
		for (int j = 0; j < q->bytes; j++) {
			seed = seed * 1664525u + 1013904223u;
			b[j] = (uint8_t)(seed >> 24);
		}
		memcpy(b + f.at_d, &one, 2);
		if (f.flags & TYPE_MIN)
			memcpy(b + f.at_d + 2, &least, 2);
		quant_row(q->type, b, y, q->block);
		for (int j = 0; j < q->block; j++) {
			sum += (double)y[j];
			squares += (double)y[j] * (double)y[j];
		}
	}
	if (fabs(sqrt(squares / n) / (double)f.deviation - 1) > 0.15 ||
	    fabs(sum / n) > 0.15 * (double)f.deviation)
		fail_msg("%s: mean %g, deviation %g and not %g", q->name, sum / n,
			 sqrt(squares / n), (double)f.deviation);
}

static void rows(void **state)
{
#define SPREAD(ID, number, block, ...) if ((block) > 1) spread_of(quant_info(number));
	(void)state;
	TENSOR_TYPES(SPREAD)
	assert_string_equal(quant_name(12), "Q4_K");
	assert_string_equal(quant_name(9), "Q8_1");
	assert_string_equal(quant_name(1000), "unknown");
}

/* An odd source address must do: rows of a hostile or merged file may start anywhere. */
static void unaligned(void **state)
{
	uint8_t raw[1 + 256 * 4] = { 0 };
	float got[256];
	char all[128], *save = NULL;

	(void)state;
	raw[1] = 0;
	raw[2] = 0x3c;          /* F16 1.0 for the types that begin with their scale */
	snprintf(all, sizeof(all), "%s", quant_supported());
	for (char *s = strtok_r(all, " ", &save); s; s = strtok_r(NULL, " ", &save))
		quant_row(quant_find(s)->type, raw + 1, got, 256);
	quant_row(QUANT_Q8_0, raw + 1, got, 32);
	assert_true(got[0] == 0);
	quant_row(QUANT_Q4_0, raw + 1, got, 32);
	assert_true(got[0] == -8 && got[31] == -8);
}

/* The value of a finite half, from its definition. */
static double half_value(int h)
{
	int exp = h >> 10 & 31, man = h & 1023;
	double v = exp ? ldexp(1024 + man, exp - 25) : ldexp(man, -24);

	return h & 0x8000 ? -v : v;
}

static void half_to_float(void **state)
{
	(void)state;
	for (int h = 0; h < 0x10000; h++) {
		float f = quant_f16_to_f32((uint16_t)h);
		bool neg = h & 0x8000;

		assert_true(!signbit(f) == !neg);
		if ((h & 0x7fff) > 0x7c00) {
			assert_true(isnan(f));
			assert_true((quant_f32_to_f16(f) & 0x7fff) > 0x7c00);
			assert_true(!(quant_f32_to_f16(f) & 0x8000) == !neg);
			continue;
		}
		if ((h & 0x7fff) == 0x7c00)
			assert_true(isinf(f));
		else
			assert_true((double)f == half_value(h));
		assert_int_equal(quant_f32_to_f16(f), h);
	}
}

/* Between every two neighbours: the middle goes to the even one, all else to the nearer. */
static void float_to_half(void **state)
{
	(void)state;
	for (int h = 0; h < 0x7c00; h++) {
		int next = h + 1;       /* 0x7c00: infinity stands for 65536 */
		double hi = next == 0x7c00 ? 65536 : half_value(next);
		float mid = (float)((half_value(h) + hi) / 2);
		int even = h % 2 ? next : h;

		for (int sign = 0; sign < 2; sign++) {
			float s = sign ? -1.0f : 1.0f;
			int bit = sign << 15;

			assert_int_equal(quant_f32_to_f16(s * mid), even | bit);
			assert_int_equal(quant_f32_to_f16(s * nextafterf(mid, 0)), h | bit);
			assert_int_equal(quant_f32_to_f16(s * nextafterf(mid, INFINITY)),
					 next | bit);
		}
	}
	assert_int_equal(quant_f32_to_f16(INFINITY), 0x7c00);
	assert_int_equal(quant_f32_to_f16(-INFINITY), 0xfc00);
	for (float f = 65536; f < 3e38f; f += f / 1024)
		assert_int_equal(quant_f32_to_f16(f), 0x7c00);
	assert_int_equal(quant_f32_to_f16(1e-45f), 0);
	assert_int_equal(quant_f32_to_f16(-1e-45f), 0x8000);
	assert_true((quant_f32_to_f16(NAN) & 0x7fff) > 0x7c00);
}

static void bfloat(void **state)
{
	(void)state;
	assert_true(quant_bf16_to_f32(0x3f80) == 1.0f);
	assert_true(quant_bf16_to_f32(0xc049) == -3.140625f);
	assert_true(isinf(quant_bf16_to_f32(0x7f80)));
	assert_true(isnan(quant_bf16_to_f32(0x7fc0)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),         cmocka_unit_test(vectors),
		cmocka_unit_test(unaligned),     cmocka_unit_test(half_to_float),
		cmocka_unit_test(float_to_half), cmocka_unit_test(bfloat),
		cmocka_unit_test(rows),
	};

	return cmocka_run_group_tests_name("quant", tests, NULL, NULL);
}
