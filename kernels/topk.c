/* topk.c - see topk.h.  No state.
 *
 * Floats that are not negative have the order of their bits, so the smallest score that stays is
 * found digit by digit: how many scores have which first digit says which digit it begins with. */
#include "kernels/topk.h"
#include <string.h>

enum { BUCKETS = 1 << 11, LATER_BITS = 10, KEY_BITS = 31 };

/* Rises with the score; 0: it is not a number. */
static uint32_t key_of(const float *x, const float *weight, int i)
{
	float score = weight ? x[i] * weight[i] : x[i];
	uint32_t bits;

	memcpy(&bits, &score, sizeof(bits));
	bits &= 0x7fffffff;
	return bits > 0x7f800000 ? 0 : bits + 1;
}

/* Behind the first `many` of x[0..n-1] with this key. */
static int end_of(const float *x, const float *weight, int n, uint32_t key, int many)
{
	int i = 0;

	for (; i < n && many > 0; i++)
		many -= key_of(x, weight, i) == key;
	return i;
}

/* A first digit of 11 bits and two of 10. */
struct topk_cut topk_find(const float *x, const float *weight, int n, int k)
{
	struct topk_cut cut = { 0, n };

	if (k >= n)
		return cut;
	for (int shift = 2 * LATER_BITS, above = KEY_BITS; shift >= 0;
	     above = shift, shift -= LATER_BITS) {
		int count[BUCKETS] = { 0 }, digit = (1 << (above - shift)) - 1;

		for (int i = 0; i < n; i++) {
			uint32_t key = key_of(x, weight, i);

			if ((key ^ cut.key) >> above == 0)
				count[key >> shift & (uint32_t)digit]++;
		}
		for (; digit && count[digit] < k; digit--)
			k -= count[digit];
		cut.key |= (uint32_t)digit << shift;
		if (shift == 0 && count[digit] > k)
			cut.end = end_of(x, weight, n, cut.key, k);
	}
	return cut;
}

/* Without a branch for each number, of which nobody can guess whether it stays. */
static void cut_below(float *x, const float *weight, int from, int to, uint32_t key)
{
	for (int i = from; i < to; i++) {
		uint32_t bits, mask = key_of(x, weight, i) >= key ? UINT32_MAX : 0;

		memcpy(&bits, &x[i], sizeof(bits));
		bits &= mask;
		memcpy(&x[i], &bits, sizeof(bits));
	}
}

void topk_cut(float *x, const float *weight, int from, int to, const struct topk_cut *cut)
{
	int end = cut->end < from ? from : cut->end > to ? to : cut->end;

	cut_below(x, weight, from, end, cut->key);
	cut_below(x, weight, end, to, cut->key + 1);
}

void topk_keep(float *x, const float *weight, int n, int k)
{
	struct topk_cut cut = topk_find(x, weight, n, k);

	topk_cut(x, weight, 0, n, &cut);
}
