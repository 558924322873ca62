/* packed_neon.h - a block's products by NEON with dot products, half a block at a time: part of
 * packed.c.
 *
 * The codes of sixteen rows of a half are decoded once, into sixteen registers, and stay there for
 * all columns.  sdot adds four products of signed bytes to each row's sum: codes of up to six bits
 * are such bytes as they are, and wide ones are less their offset.
 * Invariant: integers are exact. */
#ifndef S3D_PACKED_NEON_H
#define S3D_PACKED_NEON_H
/* The codes' upper bits that lie at w, in their place. */
INLINE uint8x16_t high_bits(const uint8_t *w, int shift, int mask)
{
	return vandq_u8(vshlq_u8(vld1q_u8(w), vdupq_n_s8((int8_t)shift)),
			vdupq_n_u8((uint8_t)mask));
}

/* Codes of one half's plane g, for rows 4 * part.. */
INLINE int8x16_t codes(enum quant_type k, const uint8_t *w, int half, int g, int part)
{
	const uint8_t *plane = w + g * 64 + part * 16, *high = w + 256 + part * 16;
	uint8x16_t q;

	if (bits_of(k) == 8)
		return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(plane + half * 256),
						    vdupq_n_u8(128)));
	if (bits_of(k) < 4) {
		q = high_bits(w + half * 64 + part * 16, -2 * g, 3);
		if (bits_of(k) == 3)
			q = vorrq_u8(q, high_bits(w + 128 + part * 16, 2 - g - 4 * half, 4));
		return vreinterpretq_s8_u8(q);
	}
	q = vld1q_u8(plane);
	q = half ? vshrq_n_u8(q, 4) : vandq_u8(q, vdupq_n_u8(15));
	if (has_table(k))
		return vqtbl1q_s8(vld1q_s8(quant_iq4), q);
	if (bits_of(k) == 5)
		q = vorrq_u8(q, high_bits(high, half ? -g : 4 - g, 16));
	else if (bits_of(k) == 6)
		q = vorrq_u8(q, high_bits(high + half * 64, 4 - 2 * g, 48));
	return vreinterpretq_s8_u8(q);
}

struct half_codes {     /* of sixteen rows: (part, plane) */
	int8x16_t w[4][4];
};

INLINE struct half_codes half_codes(enum quant_type k, const uint8_t *w, int half)
{
	struct half_codes c;

#pragma GCC unroll 4
	for (int part = 0; part < 4; part++)
#pragma GCC unroll 4
		for (int g = 0; g < 4; g++)
			c.w[part][g] = codes(k, w, half, g, part);
	return c;
}

/* Sixteen products a row of four rows, summed, more than `sum`.  vdotq_laneq_s32 takes which four
 * activations as a literal. */
INLINE float32x4_t sixteen(const int8x16_t w[4], int8x16_t x, int32x4_t sum)
{
	sum = vdotq_laneq_s32(sum, w[0], x, 0);
	sum = vdotq_laneq_s32(sum, w[1], x, 1);
	sum = vdotq_laneq_s32(sum, w[2], x, 2);
	sum = vdotq_laneq_s32(sum, w[3], x, 3);
	return vcvtq_f32_s32(sum);
}

/* codes . q for sixteen rows; h: the sum of the activations, by which offsets are taken off. */
INLINE struct vf half_product(enum quant_type k, const struct half_codes *w, const int8_t *q,
			      const int32_t *h)
{
	int32x4_t sum = vdupq_n_s32(is_wide(k) ? 0 : -code_offset(k) * *h);
	int8x16_t x = vld1q_s8(q);

	return (struct vf){ { sixteen(w->w[0], x, sum), sixteen(w->w[1], x, sum),
			      sixteen(w->w[2], x, sum), sixteen(w->w[3], x, sum) } };
}
#endif
