/* topk.c - see topk.h.  No state.
 *
 * Floats that are not negative have the order of their bits, so the smallest score that stays is
 * found digit by digit: how many scores have which first digit says which digit it begins with. */
#include "kernels/topk.h"
#include <stdint.h>
#include <string.h>

enum { BUCKETS = 1 << 11, LATER_BITS = 10, KEY_BITS = 31 };

struct cut {
	uint32_t key;           /* of the smallest score that stays */
	int equal;              /* so many of these */
};

/* Rises with the score; 0: it is not a number. */
static uint32_t key_of(const float *x, const float *weight, int i)
{
	float score = weight ? x[i] * weight[i] : x[i];
	uint32_t bits;

	memcpy(&bits, &score, sizeof(bits));
	bits &= 0x7fffffff;
	return bits > 0x7f800000 ? 0 : bits + 1;
}

/* A first digit of 11 bits and two of 10. */
static struct cut find(const float *x, const float *weight, int n, int k)
{
	struct cut cut = { 0, k };
	int above = KEY_BITS;

	for (int shift = 2 * LATER_BITS; shift >= 0; above = shift, shift -= LATER_BITS) {
		int count[BUCKETS] = { 0 }, digit = (1 << (above - shift)) - 1;

		for (int i = 0; i < n; i++) {
			uint32_t key = key_of(x, weight, i);

			if ((key ^ cut.key) >> above == 0)
				count[key >> shift & (uint32_t)digit]++;
		}
		for (; digit && count[digit] < cut.equal; digit--)
			cut.equal -= count[digit];
		cut.key |= (uint32_t)digit << shift;
	}
	return cut;
}

void topk_keep(float *x, const float *weight, int n, int k)
{
	struct cut cut;

	if (k >= n)
		return;
	cut = find(x, weight, n, k);
	for (int i = 0; i < n; i++) {
		uint32_t key = key_of(x, weight, i);

		if (key < cut.key || (key == cut.key && cut.equal-- <= 0))
			x[i] = 0;
	}
}
