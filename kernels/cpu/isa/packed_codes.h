/* packed_codes.h - a block's codes as unsigned bytes in registers, for AVX2 and AVX-512: part of
 * packed.c.  See pack.c for the planes.
 *
 * Who includes this has a register `bytes` and three functions: bits_at(p, left, mask), which are
 * bits of the plane at p, moved to the place of the mask; both(a, b), a or b; iq4(x), the numbers
 * that codes stand for.  Invariant: as `code` of packed_generic.h says. */
#ifndef S3D_PACKED_CODES_H
#define S3D_PACKED_CODES_H

/* Columns 4g.. of one half, for the rows whose bytes w points at and a register holds. */
INLINE bytes codes(enum quant_type k, const uint8_t *w, int half, int g)
{
	bytes low;

	if (bits_of(k) == 8)
		return bits_at(w + (half * 4 + g) * 64, 0, 255);
	if (bits_of(k) < 4)
		low = bits_at(w + half * 64, -2 * g, 3);
	else
		low = bits_at(w + g * 64, -4 * half, 15);
	if (has_table(k))
		return iq4(low);
	if (bits_of(k) == 3)
		return both(low, bits_at(w + 128, 2 - g - 4 * half, 4));
	if (bits_of(k) == 5)
		return both(low, bits_at(w + 256, 4 - g - 4 * half, 16));
	if (bits_of(k) == 6)
		return both(low, bits_at(w + 256 + half * 64, 4 - 2 * g, 48));
	return low;
}
#endif
