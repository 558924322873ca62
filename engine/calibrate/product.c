/* product.c - see product.h.  A tile of c stays in registers while all rows go by.
 *
 * Of several panels of a, which the second cache holds, and a few panels of b, which the first one
 * does, all tiles are made in turn.  Threads take such groups of panels one by one.
 * Invariant: a tile is computed by one thread alone. */
#include "engine/calibrate/product.h"
#include "base/altstack.h"
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { GROUP = 32, THREADS_MAX = 64 };

void product_put(double *packed, int rows, int r, int from, const float *x, int n)
{
	double *row = packed + (size_t)r * PRODUCT_WIDE;

	for (int i = 0; i < n; i++) {
		size_t at = (size_t)(from + i);

		row[at / PRODUCT_WIDE * (size_t)rows * PRODUCT_WIDE + at % PRODUCT_WIDE] =
			(double)x[i];
	}
}

/* A tile of `tall` rows, which begin at row `from` of a panel of a, and of `wide` panels of b.
 * Each is inlined into a function that is compiled for the instructions it is named after. */
#define TILE(name, vec, tall, wide, attribute) \
attribute static void name(const double *a, const double *b, int rows, double sign, double *c, \
			   size_t ld) \
{ \
	enum { PER = PRODUCT_WIDE * sizeof(double) / sizeof(vec), N = PER * (wide) }; \
	vec sum[tall][N]; \
	memset(sum, 0, sizeof(sum)); \
	for (int r = 0; r < rows; r++) { \
		vec row[N]; \
		for (int j = 0; j < N; j++) \
			memcpy(&row[j], b + (size_t)(j / PER) * (size_t)rows * PRODUCT_WIDE + \
			       (size_t)r * PRODUCT_WIDE + \
			       (size_t)(j % PER) * (PRODUCT_WIDE / PER), sizeof(vec)); \
		for (int i = 0; i < (tall); i++) \
			for (int j = 0; j < N; j++) \
				sum[i][j] += a[(size_t)r * PRODUCT_WIDE + (size_t)i] * row[j]; \
	} \
	for (int i = 0; i < (tall); i++) \
		for (int j = 0; j < N; j++) { \
			double *to = c + (size_t)i * ld + (size_t)j * (PRODUCT_WIDE / PER); \
			vec was; \
			memcpy(&was, to, sizeof(vec)); \
			was += sign * sum[i][j]; \
			memcpy(to, &was, sizeof(vec)); \
		} \
}
#define UNROLLED(...) __attribute__((optimize("O3", "fp-contract=fast") __VA_ARGS__))
typedef double two __attribute__((vector_size(16)));
TILE(tile_generic, two, 2, 1, UNROLLED())
#ifdef __x86_64__
typedef double four __attribute__((vector_size(32)));
typedef double eight __attribute__((vector_size(64)));
TILE(tile_avx2, four, 4, 1, UNROLLED(, target("avx2,fma")))
TILE(tile_avx512, eight, 8, 3, UNROLLED(, target("avx512f")))
TILE(tile_avx512_rest, eight, 8, 1, UNROLLED(, target("avx512f")))
#endif

typedef void tile(const double *a, const double *b, int rows, double sign, double *c, size_t ld);
struct kernel {
	tile *of, *rest;        /* rest: one panel of b */
	int tall, wide;
};

static struct kernel best_kernel(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx512f"))
		return (struct kernel){ tile_avx512, tile_avx512_rest, 8, 3 };
	if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
		return (struct kernel){ tile_avx2, tile_avx2, 4, 1 };
#endif
	return (struct kernel){ tile_generic, tile_generic, 2, 1 };
}

struct work {
	const struct product *p;
	struct kernel k;
	atomic_int next;        /* group */
};

/* All tiles of panel i of a and n panels of b from j on. */
static void panel(const struct work *w, int i, int j, int n)
{
	const struct product *p = w->p;
	size_t each = (size_t)p->rows * PRODUCT_WIDE;
	tile *of = n == w->k.wide ? w->k.of : w->k.rest;
	int step = n == w->k.wide ? n : 1;

	for (; n > 0; n -= step, j += step)
		for (int t = 0; t < PRODUCT_WIDE; t += w->k.tall)
			of(p->a + (size_t)i * each + t, p->b + (size_t)j * each, p->rows,
			   p->minus ? -1 : 1, p->c + (size_t)(i * PRODUCT_WIDE + t) * p->ld +
			   (size_t)j * PRODUCT_WIDE, p->ld);
}

static void *work(void *arg)
{
	struct work *w = arg;
	const struct product *p = w->p;
	int groups = (p->a_panels + GROUP - 1) / GROUP, g;

	altstack_use();
	while ((g = atomic_fetch_add(&w->next, 1)) < groups) {
		int from = g * GROUP, to = from + GROUP;

		to = to < p->a_panels ? to : p->a_panels;
		for (int j = p->upper ? from : 0; j < p->b_panels; j += w->k.wide) {
			int n = p->b_panels - j < w->k.wide ? p->b_panels - j : w->k.wide;

			for (int i = from; i < to && (!p->upper || i < j + n); i++)
				panel(w, i, j, n);
		}
	}
	return NULL;
}

void product_run(const struct product *p, int n_threads)
{
	struct work w = { .p = p, .k = best_kernel() };
	pthread_t id[THREADS_MAX];
	int n = 0;

	while (n < n_threads - 1 && n < THREADS_MAX &&
	       pthread_create(&id[n], NULL, work, &w) == 0)
		n++;
	work(&w);
	while (n > 0)
		pthread_join(id[--n], NULL);
}
