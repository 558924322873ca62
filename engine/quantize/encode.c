/* encode.c - see encode.h.  Blocks of 32; those of 256 are in encode_super.c. */
#include "engine/quantize/encode.h"
#include "engine/quantize/encode_parts.h"
#include "engine/quantize/fit.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 32 };

/* An f16 that is finite. */
float encode_half(uint8_t *p, float f)
{
	const float most = 65504;
	uint16_t h = quant_f32_to_f16(f > most ? most : f < -most ? -most : f);

	p[0] = (uint8_t)h;
	p[1] = (uint8_t)(h >> 8);
	return quant_f16_to_f32(h);
}

/* Sixteen bytes of nibbles: element j low, element j + 16 high. */
static void put_nibbles(uint8_t *p, const int *code)
{
	for (int j = 0; j < BLOCK / 2; j++)
		p[j] = (uint8_t)((code[j] & 15) | (code[j + BLOCK / 2] & 15) << 4);
}

/* The fifth bits, one of each element. */
static void put_fifths(uint8_t *p, const int *code)
{
	memset(p, 0, BLOCK / 8);
	for (int j = 0; j < BLOCK; j++)
		p[j / 8] |= (uint8_t)((code[j] >> 4 & 1) << j % 8);
}

/* d * (code - zero) with codes of so many bits. */
static void codes_around(const float *x, const float *weight, int bits, uint8_t *d, int *code)
{
	int zero = 1 << (bits - 1);
	float scale = encode_half(d, fit_scale(x, weight, BLOCK, -zero, zero - 1));

	for (int j = 0; j < BLOCK; j++)
		code[j] = fit_code(x[j], scale, -zero, zero - 1) + zero;
}

/* d * code + m. */
static void codes_above(const float *x, const float *weight, int bits, uint8_t *p, int *code)
{
	int most = (1 << bits) - 1;
	float d, m;

	fit_affine(x, weight, BLOCK, most, false, &d, &m);
	d = encode_half(p, d);
	m = encode_half(p + 2, -m);
	for (int j = 0; j < BLOCK; j++)
		code[j] = fit_code(x[j] - m, d, 0, most);
}

static void block_Q4_0(const float *x, const float *weight, uint8_t *p)
{
	int code[BLOCK];

	codes_around(x, weight, 4, p, code);
	put_nibbles(p + 2, code);
}

static void block_Q4_1(const float *x, const float *weight, uint8_t *p)
{
	int code[BLOCK];

	codes_above(x, weight, 4, p, code);
	put_nibbles(p + 4, code);
}

static void block_Q5_0(const float *x, const float *weight, uint8_t *p)
{
	int code[BLOCK];

	codes_around(x, weight, 5, p, code);
	put_fifths(p + 2, code);
	put_nibbles(p + 6, code);
}

static void block_Q5_1(const float *x, const float *weight, uint8_t *p)
{
	int code[BLOCK];

	codes_above(x, weight, 5, p, code);
	put_fifths(p + 4, code);
	put_nibbles(p + 8, code);
}

static void block_Q8_0(const float *x, const float *weight, uint8_t *p)
{
	float d = encode_half(p, fit_scale(x, weight, BLOCK, -127, 127));

	for (int j = 0; j < BLOCK; j++)
		p[2 + j] = (uint8_t)fit_code(x[j], d, -127, 127);
}

static void block_IQ4_NL(const float *x, const float *weight, uint8_t *p)
{
	float d = encode_half(p, fit_table(x, weight, BLOCK, quant_iq4));
	int code[BLOCK];

	for (int j = 0; j < BLOCK; j++)
		code[j] = fit_entry(x[j], d, quant_iq4);
	put_nibbles(p + 2, code);
}

static void block_F32(const float *x, const float *weight, uint8_t *p)
{
	(void)weight;
	memcpy(p, x, sizeof(*x));
}

static void block_F16(const float *x, const float *weight, uint8_t *p)
{
	(void)weight;
	encode_half(p, *x);
}

typedef void block_fn(const float *x, const float *weight, uint8_t *p);

static block_fn *block_of(enum quant_type type)
{
	switch (type) {
	case QUANT_F32: return block_F32;
	case QUANT_F16: return block_F16;
	case QUANT_Q4_0: return block_Q4_0;
	case QUANT_Q4_1: return block_Q4_1;
	case QUANT_Q5_0: return block_Q5_0;
	case QUANT_Q5_1: return block_Q5_1;
	case QUANT_Q8_0: return block_Q8_0;
	case QUANT_IQ4_NL: return block_IQ4_NL;
	case QUANT_Q4_K: return encode_Q4_K;
	case QUANT_Q5_K: return encode_Q5_K;
	case QUANT_Q6_K: return encode_Q6_K;
	default: return NULL;
	}
}

bool encode_can(enum quant_type type)
{
	return block_of(type) != NULL;
}

void encode_row(enum quant_type type, const float *x, const float *weight, int64_t n, void *dst)
{
	float alike[TYPE_SUPER];
	const struct quant_info *q = quant_info((int)type);
	block_fn *block = block_of(type);
	uint8_t *p = dst;

	for (int i = 0; i < TYPE_SUPER; i++)
		alike[i] = 1;
	for (int64_t i = 0; i < n; i += q->block, p += q->bytes)
		block(x + i, weight ? weight + i : alike, p);
}
