/* quant.c - what the blocks of every supported tensor type mean, one readable loop each.
 *
 * No state, nothing owned; src may have any alignment.  In every formula the products are exact
 * in float (11-bit scale, 6-bit sub-scale, 8-bit quant), so at most one rounding happens per
 * value and any correct kernel can be held to these results. */
#include "engine/gguf/quant.h"

#include <string.h>
#include <strings.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "GGUF data is read in place");

#define INFO(ID, number, block, bytes, ...) { QUANT_##ID, #ID, block, bytes },
static const struct quant_info infos[] = { TENSOR_TYPES(INFO) };
#define N_INFOS (sizeof(infos) / sizeof(infos[0]))

const struct quant_info *quant_info(int type)
{
	for (size_t i = 0; i < N_INFOS; i++)
		if ((int)infos[i].type == type)
			return &infos[i];
	return NULL;
}

const struct quant_info *quant_find(const char *name)
{
	for (size_t i = 0; i < N_INFOS; i++)
		if (!strcasecmp(infos[i].name, name))
			return &infos[i];
	return NULL;
}

int quant_cache(const struct quant_info *type, bool *q8, char err[ERR_MAX])
{
	*q8 = type && type->type == QUANT_Q8_0;
	if (!type || type->type == QUANT_F16 || *q8)
		return 0;
	return fail(err, "no cache of type %s; there are F16 and Q8_0", type->name);
}

const char *quant_supported(void)
{
#define SPACED(ID, ...) " " #ID
	static const char all[] = TENSOR_TYPES(SPACED);

	return all + 1;
}

const char *quant_name(uint32_t number)
{
#define OURS(ID, number, ...) case number: return #ID;
#define FOREIGN(number, name) case number: return name;
	switch (number) {
	TENSOR_TYPES(OURS)
	FOREIGN_TYPES(FOREIGN)
	}
	return "unknown";
}

size_t quant_bytes(const struct quant_info *q, int64_t n)
{
	return (size_t)(n / q->block) * (size_t)q->bytes;
}

size_t quant_columns(int type, size_t bytes, int64_t keep, int64_t cols)
{
	struct type_facts f = type_facts((enum quant_type)type);
	size_t codes = (size_t)(f.block * f.bits / 8) * (bytes / (size_t)f.bytes);

	if (f.kind != TYPE_PACKED || f.bits < 4 || f.flags & TYPE_TABLE)
		return bytes;
	return bytes - codes + codes / (size_t)cols * (size_t)keep;
}

static float float_of(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static uint32_t bits_of(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

float quant_f16_to_f32(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16, exp = h >> 10 & 31, man = h & 0x3ff;

	if (exp == 31)
		return float_of(sign | 0x7f800000 | man << 13);
	if (exp == 0)   /* man units of 2^-24 */
		return float_of(sign | bits_of((float)man * 0x1p-24f));
	return float_of(sign | (exp + 112) << 23 | man << 13);
}

uint16_t quant_f32_to_f16(float f)
{
	uint32_t bits = bits_of(f), mag = bits & 0x7fffffff;
	uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);

	if (mag > 0x7f800000)           /* a NaN stays one and becomes quiet */
		return (uint16_t)(sign | 0x7e00 | (mag >> 13 & 0x3ff));
	if (mag >= 0x47800000)          /* 2^16 and above */
		return sign | 0x7c00;
	if (mag < 0x38800000)           /* below 2^-14: in [0.5, 1) an ulp is 2^-24 */
		return (uint16_t)(sign | (bits_of(float_of(mag) + 0.5f) - 0x3f000000));
	mag -= 0x38000000;
	return (uint16_t)(sign | (mag + 0xfff + (mag >> 13 & 1)) >> 13);
}

float quant_bf16_to_f32(uint16_t h)
{
	return float_of((uint32_t)h << 16);
}

static float half_at(const uint8_t *p)
{
	return quant_f16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

/* Blocks of 32: byte j of the nibbles holds element j (low) and element j + 16 (high). */

static void row_Q4_0(const uint8_t *p, float *y)
{
	float d = half_at(p);

	for (int j = 0; j < 16; j++) {
		y[j] = d * (float)((p[2 + j] & 15) - 8);
		y[j + 16] = d * (float)((p[2 + j] >> 4) - 8);
	}
}

static void row_Q4_1(const uint8_t *p, float *y)
{
	float d = half_at(p), m = half_at(p + 2);

	for (int j = 0; j < 16; j++) {
		y[j] = d * (float)(p[4 + j] & 15) + m;
		y[j + 16] = d * (float)(p[4 + j] >> 4) + m;
	}
}

/* The fifth bit of element j is bit j of a 32-bit word. */
static int fifth(const uint8_t *high, int j)
{
	return (high[j / 8] >> j % 8 & 1) << 4;
}

static void row_Q5_0(const uint8_t *p, float *y)
{
	float d = half_at(p);

	for (int j = 0; j < 16; j++) {
		y[j] = d * (float)(((p[6 + j] & 15) | fifth(p + 2, j)) - 16);
		y[j + 16] = d * (float)((p[6 + j] >> 4 | fifth(p + 2, j + 16)) - 16);
	}
}

static void row_Q5_1(const uint8_t *p, float *y)
{
	float d = half_at(p), m = half_at(p + 2);

	for (int j = 0; j < 16; j++) {
		y[j] = d * (float)((p[8 + j] & 15) | fifth(p + 4, j)) + m;
		y[j + 16] = d * (float)(p[8 + j] >> 4 | fifth(p + 4, j + 16)) + m;
	}
}

static void row_Q8_0(const uint8_t *p, float *y)
{
	float d = half_at(p);

	for (int j = 0; j < 32; j++)
		y[j] = d * (float)(int8_t)p[2 + j];
}

/* Blocks of 256.  In Q2_K and Q3_K, element e has its two low bits in byte 32*(e/128) + e%32,
 * at bit 2*(e/32 % 4), and belongs to group e/16. */

static int two_bits(const uint8_t *q, int e)
{
	return q[e / 128 * 32 + e % 32] >> e / 32 % 4 * 2 & 3;
}

static void row_Q2_K(const uint8_t *p, float *y)
{
	const uint8_t *scale = p, *q = p + 16;
	float d = half_at(p + 80), dmin = half_at(p + 82);

	for (int g = 0; g < 16; g++) {
		float dl = d * (float)(scale[g] & 15), ml = dmin * (float)(scale[g] >> 4);

		for (int e = 16 * g; e < 16 * g + 16; e++)
			y[e] = dl * (float)two_bits(q, e) - ml;
	}
}

/* Six-bit scale of group g: low four bits in a nibble of b[0..7], high two in b[8..11]. */
int quant_q3_scale(const uint8_t *b, int g)
{
	return (b[g % 8] >> g / 8 * 4 & 15) | (b[8 + g % 4] >> g / 4 * 2 & 3) << 4;
}

static void row_Q3_K(const uint8_t *p, float *y)
{
	const uint8_t *high = p, *q = p + 32, *scale = p + 96;
	float d = half_at(p + 108);

	for (int g = 0; g < 16; g++) {
		float dl = d * (float)(quant_q3_scale(scale, g) - 32);

		for (int e = 16 * g; e < 16 * g + 16; e++) {
			int set = high[e % 32] >> e / 32 & 1;   /* a clear bit subtracts 4 */

			y[e] = dl * (float)(two_bits(q, e) - (set ? 0 : 4));
		}
	}
}

/* Six-bit scale and minimum of group g in the twelve bytes that Q4_K and Q5_K share. */
static void scale_min(const uint8_t *b, int g, int *scale, int *min)
{
	if (g < 4) {
		*scale = b[g] & 63;
		*min = b[g + 4] & 63;
	} else {
		*scale = (b[g + 4] & 15) | b[g - 4] >> 6 << 4;
		*min = b[g + 4] >> 4 | b[g] >> 6 << 4;
	}
}

/* Eight groups of 32; groups 2c and 2c+1 are the low and high nibbles of bytes 32c..32c+31.
 * high: Q5_K's fifth bits, bit g of byte l for lane l of group g; NULL for Q4_K. */
static void row_k_nibbles(const uint8_t *p, const uint8_t *high, const uint8_t *q, float *y)
{
	float d = half_at(p), dmin = half_at(p + 2);

	for (int g = 0; g < 8; g++) {
		int scale, min;

		scale_min(p + 4, g, &scale, &min);
		float dl = d * (float)scale, ml = dmin * (float)min;
		for (int l = 0; l < 32; l++) {
			int v = q[g / 2 * 32 + l] >> g % 2 * 4 & 15;

			if (high)
				v |= (high[l] >> g & 1) << 4;
			y[32 * g + l] = dl * (float)v - ml;
		}
	}
}

static void row_Q4_K(const uint8_t *p, float *y)
{
	row_k_nibbles(p, NULL, p + 16, y);
}

static void row_Q5_K(const uint8_t *p, float *y)
{
	row_k_nibbles(p, p + 16, p + 48, y);
}

/* Two halves of 128 elements; in each, run r (0..3) of 32 takes nibbles from ql (runs 0 and 2
 * share bytes, as do 1 and 3) and bits 2r, 2r+1 of qh. */
static void row_Q6_K(const uint8_t *p, float *y)
{
	const uint8_t *scale = p + 192;
	float d = half_at(p + 208);

	for (int e = 0; e < 256; e++) {
		int half = e / 128, r = e / 32 % 4, l = e % 32;
		int low = p[half * 64 + r % 2 * 32 + l] >> r / 2 * 4 & 15;
		int high = p[128 + half * 32 + l] >> 2 * r & 3;

		y[e] = d * (float)(int8_t)scale[e / 16] * (float)((low | high << 4) - 32);
	}
}

int quant_iq4_scale(const uint8_t *block, int g)
{
	int high = (block[2] | block[3] << 8) >> 2 * g & 3;

	return (block[4 + g / 2] >> g % 2 * 4 & 15) | high << 4;
}

static void iq4_run(const uint8_t *q, float d, float *y)
{
	for (int j = 0; j < 16; j++) {
		y[j] = d * (float)quant_iq4[q[j] & 15];
		y[j + 16] = d * (float)quant_iq4[q[j] >> 4];
	}
}

static void row_IQ4_NL(const uint8_t *p, float *y)
{
	iq4_run(p + 2, half_at(p), y);
}

/* Eight groups of 32; low four bits of a group's scale in a nibble of p[4..7], high two in the
 * word at 2. */
static void row_IQ4_XS(const uint8_t *p, float *y)
{
	for (int g = 0; g < 8; g++)
		iq4_run(p + 8 + 16 * g, half_at(p) * (float)(quant_iq4_scale(p, g) - 32),
			y + 32 * g);
}

static void row_F32(const uint8_t *p, float *y)
{
	memcpy(y, p, sizeof(*y));
}

static void row_F16(const uint8_t *p, float *y)
{
	*y = half_at(p);
}

static void row_BF16(const uint8_t *p, float *y)
{
	*y = quant_bf16_to_f32((uint16_t)(p[0] | p[1] << 8));
}

void quant_row(enum quant_type type, const void *src, float *dst, int64_t n)
{
	const uint8_t *p = src;

#define ROW(ID, number, block, bytes, ...) \
	case QUANT_##ID: \
		for (int64_t i = 0; i < n; i += (block), p += (bytes)) \
			row_##ID(p, dst + i); \
		break;
	switch (type) {
	TENSOR_TYPES(ROW)
	}
}
