/* pack.c - weights of 16 rows interleaved so that one wide load serves all of them.
 *
 * A unit is 16 rows; it is a row of blocks of 32 columns.  Planes of one block, in this order:
 *   low    4 x 64 B  plane g, byte 4r+i: low nibble = code of row r, column 4g+i; high = 16+4g+i
 *   high5  64 B      bit g of byte 4r+i = bit 4 of column 4g+i; bit 4+g = that of column 16+4g+i
 *   high6  2 x 64 B  bits 2g.. of byte 4r+i = bits 4-5 of column 4g+i (plane 1: of 16+4g+i)
 *   bytes  8 x 64 B  (Q8_0, instead of low) plane g: code + 128 of column 4g+i
 *   two    2 x 64 B  (Q2_K, Q3_K, instead of low) as high6, of bits 0-1
 *   third  64 B      (Q3_K) as high5, of bit 2
 *   scales           f16 d[16], then f16 m[16] (Q4_1, Q5_1); u8 sc[16], u8 m[16] (Q4_K, Q5_K);
 *                    i8 sc[2][16], one for each half of the block (Q3_K, Q6_K, IQ4_XS);
 *                    u8 sc[2][16], the half's m in the upper four bits (Q2_K)
 * and the 256-column types begin every eighth block with f16 d[16] (and f16 dmin[16]).
 * Codes are the unsigned ones of the file; invariant: packing loses nothing. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/pack.h"
#include <string.h>

bool pack_can(enum quant_type type)
{
	return type_facts(type).kind == TYPE_PACKED;
}

size_t pack_unit_bytes(enum quant_type type, int cols)
{
	struct pack_shape s = pack_shape(type_facts(type));

	return (size_t)cols / 32 * (size_t)s.bytes + (size_t)cols / 256 * (size_t)s.super_bytes;
}

static void nibbles(const uint8_t *q, uint8_t code[32])
{
	for (int i = 0; i < 16; i++) {
		code[i] = q[i] & 15;
		code[i + 16] = q[i] >> 4;
	}
}

/* Bit i of the word is the fifth bit of column i. */
static void read_small(const struct type_facts *f, const uint8_t *p, struct pack_block *b)
{
	uint32_t high = 0;

	if (f->bits == 8) {
		for (int i = 0; i < 32; i++)
			b->code[i] = p[f->at_codes + i] ^ 0x80;
		return;
	}
	if (f->bits == 5)
		memcpy(&high, p + f->at_high, 4);
	nibbles(p + f->at_codes, b->code);
	for (int i = 0; i < 32; i++)
		b->code[i] |= (uint8_t)((high >> i & 1) << 4);
}

/* Q4_K and Q5_K: 6-bit scales and mins of 8 groups in 12 bytes. */
static void read_scales(const uint8_t *s, int g, struct pack_block *b)
{
	if (g < 4) {
		b->scale[0] = s[g] & 63;
		b->min = s[g + 4] & 63;
	} else {
		b->scale[0] = (uint8_t)((s[g + 4] & 15) | (s[g - 4] >> 6) << 4);
		b->min = (uint8_t)(s[g + 4] >> 4 | (s[g] >> 6) << 4);
	}
}

static void read_k45(const struct type_facts *f, const uint8_t *p, int g, struct pack_block *b)
{
	const uint8_t *high = p + f->at_high, *q = p + f->at_codes + g / 2 * 32;

	read_scales(p + f->at_scales, g, b);
	for (int i = 0; i < 32; i++) {
		b->code[i] = g & 1 ? q[i] >> 4 : q[i] & 15;
		if (f->bits == 5)
			b->code[i] |= (uint8_t)((high[i] >> g & 1) << 4);
	}
}

static void read_k6(const struct type_facts *f, const uint8_t *p, int g, struct pack_block *b)
{
	int half = g / 4, quarter = g % 4;
	const uint8_t *low = p + f->at_codes + half * 64 + (quarter & 1) * 32;
	const uint8_t *high = p + f->at_high + half * 32;

	for (int i = 0; i < 32; i++) {
		uint8_t l = quarter < 2 ? low[i] & 15 : low[i] >> 4;

		b->code[i] = (uint8_t)(l | (high[i] >> 2 * quarter & 3) << 4);
	}
	memcpy(b->scale, p + f->at_scales + half * 8 + quarter * 2, 2);
}

/* Q2_K and Q3_K: of Q2_K's scales each byte has a minimum too. */
static void read_k23(const struct type_facts *f, const uint8_t *p, int g, struct pack_block *b)
{
	const uint8_t *high = p + f->at_high, *q = p + f->at_codes + g / 4 * 32;

	for (int i = 0; i < 32; i++) {
		b->code[i] = q[i] >> g % 4 * 2 & 3;
		if (f->bits == 3)
			b->code[i] |= (uint8_t)((high[i] >> g & 1) << 2);
	}
	for (int i = 0; i < 2; i++)
		b->scale[i] = f->bits == 2 ? p[f->at_scales + 2 * g + i] :
			      (uint8_t)(quant_q3_scale(p + f->at_scales, 2 * g + i) - 32);
}

static void read_iq4_xs(const struct type_facts *f, const uint8_t *p, int g, struct pack_block *b)
{
	nibbles(p + f->at_codes + 16 * g, b->code);
	b->scale[0] = b->scale[1] = (uint8_t)(quant_iq4_scale(p, g) - 32);
}

void pack_read(const struct type_facts *f, const uint8_t *row, int b, struct pack_block *out)
{
	const uint8_t *p = row + (size_t)(b * 32 / f->block) * (size_t)f->bytes;

	out->d = p + f->at_d;
	out->m = out->d + 2;
	if (f->block != TYPE_SUPER)
		read_small(f, p, out);
	else if (f->bits < 4)
		read_k23(f, p, b % 8, out);
	else if (f->bits == 6)
		read_k6(f, p, b % 8, out);
	else if (f->flags & TYPE_TABLE)
		read_iq4_xs(f, p, b % 8, out);
	else
		read_k45(f, p, b % 8, out);
}

/* One bit of each code of a row, in the bytes of a plane like high5. */
static void put_ones(const uint8_t code[32], int bit, uint8_t *dst)
{
	uint8_t h[4] = { 0 };

	for (int i = 0; i < 32; i++)
		h[i % 4] |= (uint8_t)((code[i] >> bit & 1) << i / 4);
	memcpy(dst, h, 4);
}

/* Two bits of each, from `bit` on, in those of planes like high6. */
static void put_twos(const uint8_t code[32], int bit, uint8_t *dst)
{
	uint8_t h[2][4] = { { 0 } };

	for (int i = 0; i < 32; i++)
		h[i / 16][i % 4] |= (uint8_t)((code[i] >> bit & 3) << i % 16 / 4 * 2);
	memcpy(dst, h[0], 4);
	memcpy(dst + 64, h[1], 4);
}

static void put_nibbles(const uint8_t code[32], uint8_t *dst)
{
	uint8_t both[16];

	for (int i = 0; i < 16; i++)
		both[i] = (uint8_t)((code[i] & 15) | code[i + 16] << 4);
	for (int g = 0; g < 4; g++)
		memcpy(dst + g * 64, both + 4 * g, 4);
}

/* dst: the places of a row in the planes of a block. */
static void put_codes(int bits, const uint8_t code[32], uint8_t *dst)
{
	if (bits == 8)
		for (int g = 0; g < 8; g++)
			memcpy(dst + g * 64, code + 4 * g, 4);
	else if (bits < 4)
		put_twos(code, 0, dst);
	else
		put_nibbles(code, dst);
	if (bits == 3)
		put_ones(code, 2, dst + 128);
	else if (bits == 5)
		put_ones(code, 4, dst + 256);
	else if (bits == 6)
		put_twos(code, 4, dst + 256);
}

void pack_scales(const struct type_facts *f, const struct pack_block *b, int r, uint8_t *after)
{
	if (f->block == TYPE_SUPER) {
		after[r] = b->scale[0];
		after[16 + r] = f->flags == TYPE_MIN ? b->min : b->scale[1];
		return;
	}
	memcpy(after + 2 * r, b->d, 2);
	if (f->flags & TYPE_MIN)
		memcpy(after + 32 + 2 * r, b->m, 2);
}

void pack_super(const struct type_facts *f, const struct pack_block *b, int r, uint8_t *dst)
{
	memcpy(dst + 2 * r, b->d, 2);
	if (f->flags & TYPE_MIN)
		memcpy(dst + 32 + 2 * r, b->m, 2);
}

void pack_unit(enum quant_type type, const uint8_t *src, int rows, int cols, int u, uint8_t *dst)
{
	const struct type_facts f = type_facts(type);
	const struct pack_shape s = pack_shape(f);
	size_t row_bytes = (size_t)(cols / f.block) * (size_t)f.bytes;

	memset(dst, 0, pack_unit_bytes(type, cols));
	for (int b = 0; b < cols / 32; b++) {
		uint8_t *super = dst;

		if (b % 8 == 0)
			dst += s.super_bytes;
		for (int r = 0; r < UNIT && u * UNIT + r < rows; r++) {
			struct pack_block one;

			pack_read(&f, src + (size_t)(u * UNIT + r) * row_bytes, b, &one);
			put_codes(s.bits, one.code, dst + 4 * r);
			pack_scales(&f, &one, r, dst + s.bits * 64);
			if (super != dst)
				pack_super(&f, &one, r, super);
		}
		dst += s.bytes;
	}
}
