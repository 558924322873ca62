/* pack.c - weights of 16 rows interleaved so that one wide load serves all of them.
 *
 * A unit is 16 rows; it is a row of blocks of 32 columns.  Planes of one block, in this order:
 *   low    4 x 64 B  plane g, byte 4r+i: low nibble = code of row r, column 4g+i; high = 16+4g+i
 *   high5  64 B      bit g of byte 4r+i = bit 4 of column 4g+i; bit 4+g = that of column 16+4g+i
 *   high6  2 x 64 B  bits 2g.. of byte 4r+i = bits 4-5 of column 4g+i (plane 1: of 16+4g+i)
 *   bytes  8 x 64 B  (Q8_0, instead of low) plane g: code + 128 of column 4g+i
 *   scales           f16 d[16], then f16 m[16] (Q4_1, Q5_1); u8 sc[16], u8 m[16] (Q4_K, Q5_K);
 *                    i8 sc[2][16], one for each half of the block (Q6_K, IQ4_XS)
 * and the 256-column types begin every eighth block with f16 d[16] (and f16 dmin[16]).
 * Codes are the unsigned ones of the file; invariant: packing loses nothing. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/pack.h"
#include <string.h>

struct block {          /* 32 columns of one row, taken apart */
	uint8_t code[32];
	uint8_t scale[2], min;
	const uint8_t *d, *m;   /* f16 each, in the file */
};

const struct pack_shape *pack_shape(enum quant_type type)
{
	static const struct pack_shape shapes[] = {
		{ QUANT_Q4_0, 4, 1, 0, 0 }, { QUANT_Q4_1, 4, 2, 0, 0 }, { QUANT_Q5_0, 5, 1, 0, 0 },
		{ QUANT_Q5_1, 5, 2, 0, 0 }, { QUANT_Q8_0, 8, 1, 0, 0 }, { QUANT_Q4_K, 4, 0, 2, 2 },
		{ QUANT_Q5_K, 5, 0, 2, 2 }, { QUANT_Q6_K, 6, 0, 2, 1 },
		{ QUANT_IQ4_NL, 4, 1, 0, 0 }, { QUANT_IQ4_XS, 4, 0, 2, 1 },
	};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		if (shapes[i].type == type)
			return &shapes[i];
	return NULL;
}

bool pack_can(enum quant_type type)
{
	return pack_shape(type) != NULL;
}

static size_t block_bytes(const struct pack_shape *s)
{
	return (size_t)s->bits * 64 + (size_t)s->n_f16 * 32 + (size_t)s->n_u8 * 16;
}

size_t pack_unit_bytes(enum quant_type type, int cols)
{
	const struct pack_shape *s = pack_shape(type);

	return (size_t)cols / 32 * block_bytes(s) + (size_t)cols / 256 * (size_t)s->n_super * 32;
}

static void nibbles(const uint8_t *q, uint8_t code[32])
{
	for (int i = 0; i < 16; i++) {
		code[i] = q[i] & 15;
		code[i + 16] = q[i] >> 4;
	}
}

static void read_small(enum quant_type type, const uint8_t *p, struct block *b)
{
	bool has_min = type == QUANT_Q4_1 || type == QUANT_Q5_1;
	uint32_t high = 0;

	b->d = p;
	p += 2;
	b->m = p;
	p += has_min ? 2 : 0;
	if (type == QUANT_Q8_0) {
		for (int i = 0; i < 32; i++)
			b->code[i] = p[i] ^ 0x80;
		return;
	}
	if (type == QUANT_Q5_0 || type == QUANT_Q5_1) {
		memcpy(&high, p, 4);
		p += 4;
	}
	nibbles(p, b->code);
	for (int i = 0; i < 32; i++)
		b->code[i] |= (uint8_t)((high >> i & 1) << 4);
}

/* Q4_K and Q5_K: 6-bit scales and mins of 8 groups in 12 bytes. */
static void read_scales(const uint8_t *s, int g, struct block *b)
{
	if (g < 4) {
		b->scale[0] = s[g] & 63;
		b->min = s[g + 4] & 63;
	} else {
		b->scale[0] = (uint8_t)((s[g + 4] & 15) | (s[g - 4] >> 6) << 4);
		b->min = (uint8_t)(s[g + 4] >> 4 | (s[g] >> 6) << 4);
	}
}

static void read_k45(enum quant_type type, const uint8_t *p, int g, struct block *b)
{
	const uint8_t *high = p + 16;
	const uint8_t *q = p + (type == QUANT_Q5_K ? 48 : 16) + g / 2 * 32;

	b->d = p;
	b->m = p + 2;
	read_scales(p + 4, g, b);
	for (int i = 0; i < 32; i++) {
		b->code[i] = g & 1 ? q[i] >> 4 : q[i] & 15;
		if (type == QUANT_Q5_K)
			b->code[i] |= (uint8_t)((high[i] >> g & 1) << 4);
	}
}

static void read_k6(const uint8_t *p, int g, struct block *b)
{
	int half = g / 4, quarter = g % 4;
	const uint8_t *low = p + half * 64 + (quarter & 1) * 32, *high = p + 128 + half * 32;

	b->d = p + 208;
	for (int i = 0; i < 32; i++) {
		uint8_t l = quarter < 2 ? low[i] & 15 : low[i] >> 4;

		b->code[i] = (uint8_t)(l | (high[i] >> 2 * quarter & 3) << 4);
	}
	memcpy(b->scale, p + 192 + half * 8 + quarter * 2, 2);
}

static void read_iq4_xs(const uint8_t *p, int g, struct block *b)
{
	b->d = p;
	nibbles(p + 8 + 16 * g, b->code);
	b->scale[0] = b->scale[1] = (uint8_t)(quant_iq4_scale(p, g) - 32);
}

static void read_block(const struct pack_shape *s, const uint8_t *row, int b, struct block *out)
{
	const struct quant_info *q = quant_info(s->type);

	if (!s->n_super)
		read_small(s->type, row + (size_t)b * (size_t)q->bytes, out);
	else if (s->type == QUANT_Q6_K)
		read_k6(row + (size_t)(b / 8) * (size_t)q->bytes, b % 8, out);
	else if (s->type == QUANT_IQ4_XS)
		read_iq4_xs(row + (size_t)(b / 8) * (size_t)q->bytes, b % 8, out);
	else
		read_k45(s->type, row + (size_t)(b / 8) * (size_t)q->bytes, b % 8, out);
}

/* The upper bits of a row's codes, in the bytes of planes high5 or high6. */
static void put_high(int bits, const uint8_t code[32], uint8_t *dst)
{
	uint8_t h[2][4] = { { 0 } };

	for (int g = 0; g < 4; g++)
		for (int i = 0; i < 4; i++) {
			uint8_t first = code[4 * g + i] >> 4, second = code[16 + 4 * g + i] >> 4;

			if (bits == 5) {
				h[0][i] |= (uint8_t)(first << g | second << (4 + g));
			} else {
				h[0][i] |= (uint8_t)(first << 2 * g);
				h[1][i] |= (uint8_t)(second << 2 * g);
			}
		}
	memcpy(dst, h[0], 4);
	if (bits == 6)
		memcpy(dst + 64, h[1], 4);
}

static void put_codes(const struct pack_shape *s, const uint8_t code[32], int r, uint8_t *dst)
{
	uint8_t both[16];

	if (s->bits == 8) {
		for (int g = 0; g < 8; g++)
			memcpy(dst + g * 64 + 4 * r, code + 4 * g, 4);
		return;
	}
	for (int i = 0; i < 16; i++)
		both[i] = (uint8_t)((code[i] & 15) | code[i + 16] << 4);
	for (int g = 0; g < 4; g++)
		memcpy(dst + g * 64 + 4 * r, both + 4 * g, 4);
	if (s->bits > 4)
		put_high(s->bits, code, dst + 256 + 4 * r);
}

/* Scales behind the planes of a block, and in front of every eighth one. */
static void put_scales(const struct pack_shape *s, const struct block *b, int r, uint8_t *dst)
{
	uint8_t *after = dst + s->bits * 64;

	if (s->n_f16 > 0)
		memcpy(after + 2 * r, b->d, 2);
	if (s->n_f16 > 1)
		memcpy(after + 32 + 2 * r, b->m, 2);
	if (s->n_u8) {
		after[r] = b->scale[0];
		after[16 + r] = s->n_super == 1 ? b->scale[1] : b->min;
	}
}

void pack_unit(enum quant_type type, const uint8_t *src, int rows, int cols, int u, uint8_t *dst)
{
	const struct pack_shape *s = pack_shape(type);
	size_t row_bytes = quant_bytes(quant_info(type), cols);

	memset(dst, 0, pack_unit_bytes(type, cols));
	for (int b = 0; b < cols / 32; b++) {
		uint8_t *super = dst;

		if (s->n_super && b % 8 == 0)
			dst += s->n_super * 32;
		for (int r = 0; r < UNIT && u * UNIT + r < rows; r++) {
			struct block one;

			read_block(s, src + (size_t)(u * UNIT + r) * row_bytes, b, &one);
			put_codes(s, one.code, r, dst);
			put_scales(s, &one, r, dst);
			if (super != dst)
				memcpy(super + 2 * r, one.d, 2);
			if (super != dst && s->n_super > 1)
				memcpy(super + 32 + 2 * r, one.m, 2);
		}
		dst += block_bytes(s);
	}
}
