/* test_kernels.c - packed and float matrix kernels of every instruction set against plain sums in
 * double precision over quant_row's values (which have their own, independent vectors). */
#include "tests/kernel_kit.h"
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* The scale of activation (c, j). */
static float step_of(const struct fixture *f, int c, int j)
{
	size_t block = (size_t)(c / PANEL) * (COLS / BLOCK) + (size_t)(j / BLOCK);

	return f->a.d[(2 * block + (size_t)(j % BLOCK / 16)) * PANEL + (size_t)(c % PANEL)];
}

/* What the kernel should see of activation (c, j): its int8 code times the scale, or the float. */
static double seen(const struct fixture *f, bool packed, int c, int j)
{
	size_t block = ((size_t)(c / PANEL) * (COLS / BLOCK) + (size_t)(j / BLOCK)) * PANEL +
		       (size_t)(c % PANEL);

	if (!packed)
		return (double)f->x[c][j];
	return (double)step_of(f, c, j) * f->a.q[block * BLOCK + (size_t)(j % BLOCK)];
}

static void check_type(const struct cpu_kernels *k, enum quant_type type, bool packed, int fill)
{
	struct fixture *f = open_filled(k, type, packed, fill);
	float y[N][ROWS + 1], one[N][ROWS + 1];

	for (int c = 0; c < N; c++)
		y[c][ROWS] = one[c][ROWS] = 12345.0f;
	f->m.mul(&f->m, 0, 3, &f->a, N, y[0], ROWS + 1);
	for (int c = 0; c < N; c++) {
		assert_true(y[c][ROWS] == 12345.0f);
		for (int r = 0; r < ROWS; r++) {
			double sum = 0, size = 0;

			for (int j = 0; j < COLS; j++) {
				double p = (double)f->w[r][j] * seen(f, packed, c, j);
				sum += p;
				size += fabs(p);
			}
			if (!(fabs((double)y[c][r] - sum) <= 2e-5 * size + 1e-30))
				fail_msg("%s %s column %d row %d: %g, expected %g", k->name,
					 quant_info((int)type)->name, c, r, (double)y[c][r], sum);
		}
	}
	for (int n = 1; n < N; n++) {           /* the same bits for every n, unit by unit */
		for (int u = 0; u < 3; u++)
			f->m.mul(&f->m, u, u + 1, &f->a, n, one[0], ROWS + 1);
		assert_memory_equal(one, y, (size_t)n * sizeof(y[0]));
	}
	close_fixture(f);
}

static void test_products(void **state)
{
	const struct cpu_kernels *k = *state;

	for (int i = 0; i < N_TYPES; i++) {
		check_type(k, types[i], false, RANDOM);
		if (pack_can(types[i]))
			check_type(k, types[i], true, RANDOM);
	}
}

/* As floats.c says: lane i adds columns i, i + 16, ... in order, then lanes are added in pairs. */
static float plain_sum(const float *w, const float *x, bool fused)
{
	float lane[16] = { 0 };

	for (int j = 0; j < COLS; j++)
		lane[j % 16] = fused ? fmaf(w[j], x[j], lane[j % 16]) : lane[j % 16] + w[j] * x[j];
	for (int step = 8; step; step /= 2)
		for (int i = 0; i < step; i++)
			lane[i] += lane[i + step];
	return lane[0];
}

/* To the bit, of every type; only the generic kernels do not fuse. */
static void test_floats(void **state)
{
	const struct cpu_kernels *k = *state;
	bool fused = strcmp(k->name, "generic");
	float y[N][ROWS + 1];

	for (int i = 0; i < N_TYPES; i++) {
		struct fixture *f = open_fixture(k, types[i], false);

		f->m.mul(&f->m, 0, 3, &f->a, N, y[0], ROWS + 1);
		for (int c = 0; c < N; c++)
			for (int r = 0; r < ROWS; r++)
				assert_true(y[c][r] == plain_sum(f->w[r], f->x[c], fused));
		close_fixture(f);
	}
}

/* The largest codes times the largest activations: sums that do not fit would show. */
static void test_largest(void **state)
{
	const struct cpu_kernels *k = *state;
	static const int fills[] = { 0xff, 0x80, 0 };

	for (int i = 0; i < N_TYPES; i++)
		for (int j = 0; j < 3; j++)
			if (pack_can(types[i]))
				check_type(k, types[i], true, fills[j]);
}

/* The same bits, whoever computes them; only the generic kernels do not fuse. */
static void test_same_bits(void **state)
{
	const struct cpu_kernels *const *two = *state, *k = two[0], *other = two[1];
	float y[N][ROWS + 1], want[N][ROWS + 1];

	for (int i = 0; i < N_TYPES; i++) {
		struct fixture *f = pack_can(types[i]) ? open_fixture(k, types[i], true) : NULL;

		for (int n = 1; f && n <= N; n++) {
			for (int c = 0; c < N; c++)
				for (int r = 0; r <= ROWS; r++)
					y[c][r] = want[c][r] = 12345.0f;
			f->m.mul(&f->m, 0, 3, &f->a, n, y[0], ROWS + 1);
			other->packed(types[i])(&f->m, 0, 3, &f->a, n, want[0], ROWS + 1);
			assert_memory_equal(y, want, sizeof(y));
		}
		if (f)
			close_fixture(f);
	}
}

static void test_packing_covers(void **state)
{
	(void)state;
	for (int i = 0; i < N_TYPES; i++)
		assert_int_equal(pack_can(types[i]),
				 types[i] != QUANT_F32 && types[i] != QUANT_F16 &&
				 types[i] != QUANT_BF16);
}

/* int8 codes within half a step of the value, sums exact. */
static void test_quantise(void **state)
{
	const struct cpu_kernels *k = *state;
	struct fixture *f = open_fixture(k, QUANT_F32, false);

	for (int c = 0; c < N; c++)
		for (int j = 0; j < COLS; j++) {
			assert_true(fabs(seen(f, true, c, j) - (double)f->x[c][j]) <=
				    0.5001 * (double)step_of(f, c, j));
		}
	for (int c = 0; c < N; c++)
		for (int b = 0; b < COLS / BLOCK; b++) {
			size_t at = ((size_t)(c / PANEL) * (COLS / BLOCK) + (size_t)b) * PANEL;
			const int8_t *q = f->a.q + (at + (size_t)(c % PANEL)) * BLOCK;
			int lo = 0, hi = 0;

			for (int i = 0; i < 16; i++) {
				lo += q[i];
				hi += q[16 + i];
			}
			assert_int_equal(f->a.h[2 * at + (size_t)(c % PANEL)], lo);
			assert_int_equal(f->a.h[2 * at + PANEL + (size_t)(c % PANEL)], hi);
		}
	close_fixture(f);
}

static void test_vectors(void **state)
{
	const struct cpu_kernels *k = *state;
	float x[64], w[64], y[64], g[64];
	double sum = 0;

	for (int i = 0; i < 64; i++) {
		x[i] = uniform() * 3;
		w[i] = uniform();
		g[i] = (float)(i - 32) * 3.0f;
		sum += (double)x[i] * (double)x[i];
	}
	k->norm(x, w, 64, 1e-5f, y);
	for (int i = 0; i < 64; i++)
		assert_true(fabs((double)y[i] - (double)x[i] / sqrt(sum / 64 + 1e-5) *
				 (double)w[i]) < 2e-6);
	memcpy(y, g, sizeof(y));
	k->glu(ACT_SILU, y, x, 64);
	for (int i = 0; i < 64; i++) {
		double want = (double)g[i] / (1 + exp(-(double)g[i])) * (double)x[i];

		assert_true(fabs((double)y[i] - want) <= 3e-6 * fabs(want) + 1e-30);
	}
}

/* Rows of heads are no multiple of what a vector holds: nothing behind them is written. */
static void test_lengths(void **state)
{
	const struct cpu_kernels *k = *state;
	float x[64], w[64], y[64], z[64];

	for (int n = 1; n <= 40; n++) {
		double sum = 0;

		for (int i = 0; i < 64; i++) {
			x[i] = uniform();
			y[i] = z[i] = w[i] = uniform();
			sum += i < n ? (double)x[i] * (double)x[i] : 0;
		}
		k->add(y, x, 0.5f, n);
		k->norm(x, w, n, 1e-5f, z);
		for (int i = 0; i < n; i++) {
			double norm = (double)x[i] / sqrt(sum / n + 1e-5) * (double)w[i];

			assert_true(fabs((double)y[i] - (double)(w[i] + 0.5f * x[i])) < 1e-6);
			assert_true(fabs((double)z[i] - norm) < 2e-6);
		}
		assert_memory_equal(y + n, w + n, sizeof(*y) * (size_t)(64 - n));
		assert_memory_equal(z + n, w + n, sizeof(*z) * (size_t)(64 - n));
	}
}

/* GELU by its tanh formula (Hendrycks and Gimpel 2016), scales and soft caps of any length. */
static void test_bends(void **state)
{
	const struct cpu_kernels *k = *state;
	float g[64], up[64], x[69], y[69];

	for (int i = 0; i < 64; i++) {
		double v = (i - 32) * 0.25, root = sqrt(2 / acos(-1));

		g[i] = (float)v;
		up[i] = (float)(v / 2 * (1 + tanh(root * (v + 0.044715 * v * v * v))));
	}
	for (int i = 0; i < 64; i++)
		x[i] = 1;
	k->glu(ACT_GELU, g, x, 64);
	for (int i = 0; i < 64; i++)
		assert_true(fabsf(g[i] - up[i]) <= 3e-6f * fabsf(up[i]) + 3e-7f);
	for (int i = 0; i < 69; i++)
		x[i] = y[i] = (float)(i - 30) * 3;
	k->bend(x, 0.5f, 0, 69);
	for (int i = 0; i < 69; i++)
		assert_true(x[i] == y[i] / 2);
	memcpy(x, y, sizeof(x));
	k->bend(x, 0.5f, 20, 67);
	for (int i = 0; i < 67; i++)
		assert_true(fabs((double)x[i] - 20 * tanh((double)y[i] / 40)) < 1e-5);
	assert_true(x[67] == y[67] && x[68] == y[68]);
}

/* The scale is f16 of a 127th of the largest; the codes are within half a step of it. */
static void test_codes(void **state)
{
	const struct cpu_kernels *k = *state;
	static const float spread[] = { 1, 0, 1e-7f, 3e4f };
	float x[128], most[4] = { 0 };
	int8_t code[128];
	uint16_t scale[4];

	for (int i = 0; i < 128; i++) {
		x[i] = uniform() * spread[i / 32];
		most[i / 32] = fmaxf(most[i / 32], fabsf(x[i]));
	}
	k->codes(x, 128, code, scale);
	for (int i = 0; i < 128; i++) {
		float step = quant_f16_to_f32(scale[i / 32]);

		assert_int_equal(scale[i / 32], quant_f32_to_f16(most[i / 32] / 127));
		assert_true(fabsf((float)code[i] * step - x[i]) <=
			    (step > 0 ? 0.502f * step : 1e-7f));
	}
}

/* A cache of 2 blocks and its values: one head group of 3, 40 dimensions. */
enum { POSITIONS = 256, DIM = 40, PAD = 48, GROUP = 3, QROWS = 3 };
struct cached {
	struct plane plane;
	uint16_t half[POSITIONS * PAD], scale[POSITIONS * 2];
	int8_t code[POSITIONS * PAD];
	double value[POSITIONS][DIM];
};

static void fill_cached(struct cached *c, bool q8, bool keys)
{
	c->plane = q8 ? (struct plane){ c->code, c->scale } : (struct plane){ c->half, NULL };
	for (int i = 0; i < POSITIONS * 2; i++)
		c->scale[i] = quant_f32_to_f16(0.005f + 0.01f * fabsf(uniform()));
	for (int t = 0; t < POSITIONS; t++)
		for (int i = 0; i < DIM; i++) {
			int at = keys ? t / 16 * 16 * PAD + i * 16 + t % 16 : t * PAD + i;
			int block = (t / 16 * 2 + i / 32) * 16 + t % 16;

			c->code[at] = (int8_t)((int)(rnd() % 255) - 127);
			c->half[at] = quant_f32_to_f16(uniform());
			c->value[t][i] = (double)quant_f16_to_f32(c->half[at]);
			if (q8)
				c->value[t][i] = c->code[at] *
						 (double)quant_f16_to_f32(c->scale[block]);
		}
}

static void check_attention(const struct attend *a, const struct cached *key,
			    const struct cached *value, int query, const float *got)
{
	const float *q = a->q + query / GROUP * a->ldq + query % GROUP * DIM;
	double sum = 0, want[DIM] = { 0 };

	for (int t = 0; t <= a->pos + query / GROUP; t++) {
		double dot = 0;

		for (int i = 0; i < DIM; i++)
			dot += (double)q[i] * key->value[t][i];
		dot = exp(dot * (double)a->scale);
		sum += dot;
		for (int i = 0; i < DIM; i++)
			want[i] += dot * value->value[t][i];
	}
	for (int i = 0; i < DIM; i++)
		assert_true(fabs((double)got[i] - want[i] / sum) < 1e-5);
}

/* Three rows of a head group that end in the second block, against plain sums. */
static void test_attend(void **state)
{
	const struct cpu_kernels *k = *state;
	static struct cached key, value;
	float q[QROWS * GROUP * DIM], acc[QROWS * GROUP][PAD], got[DIM];

	for (int i = 0; i < QROWS * GROUP * DIM; i++)
		q[i] = uniform();
	for (int q8 = 0; q8 < 4; q8++) {
		struct partial part[QROWS * GROUP];
		struct attend a = { .q = q, .ldq = GROUP * DIM, .pos = 201, .group = GROUP,
				    .head_dim = DIM, .pad_dim = PAD, .scale = 0.5f };

		memset(&key, 0, sizeof(key));
		memset(&value, 0, sizeof(value));
		fill_cached(&key, q8 & 1, true);
		fill_cached(&value, q8 & 2, false);
		a.k = key.plane;
		a.v = value.plane;
		memset(acc, 0, sizeof(acc));
		for (int i = 0; i < QROWS * GROUP; i++)
			part[i] = (struct partial){ -INFINITY, 0, acc[i] };
		k->attend(&a, 0, QROWS, 0, ATTEND_BLOCK, part);
		k->attend(&a, 0, QROWS, ATTEND_BLOCK, a.pos + QROWS, part);
		for (int i = 0; i < QROWS * GROUP; i++) {
			k->fold(&part[i], 1, PAD, got, DIM);
			check_attention(&a, &key, &value, i, got);
		}
	}
}

static void no_trap(int sig)
{
	(void)sig;
	abort();
}

/* A function of the emulation's, NULL without it.  With it a refusal would hide that nothing was
 * compared. */
extern void tile_release(void) __attribute__((weak));

/* The tile instructions are tried, also where they trap; what handled signals handles them again,
 * and a blocked one does not end the process. */
static void test_amx_trial(void **state)
{
	struct sigaction mine = { .sa_handler = no_trap }, cmocka, after;
	sigset_t ill, before, mask;

	(void)state;
	if (tile_release && amx_refused())
		fail_msg("%s", amx_refused());
	sigemptyset(&ill);
	sigaddset(&ill, SIGILL);
	sigaction(SIGILL, &mine, &cmocka);
	sigprocmask(SIG_BLOCK, &ill, &before);
	for (int i = 0; i < 3; i++)
		assert_int_equal(amx_try(), amx_refused() == NULL);
	sigprocmask(SIG_SETMASK, &before, &mask);
	sigaction(SIGILL, &cmocka, &after);
	assert_true(after.sa_handler == no_trap);
	assert_true(sigismember(&mask, SIGILL));
}

static int run_all(const char *name)
{
	char err[ERR_MAX];
	const struct cpu_kernels *k = cpu_kernels_find(name, err);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_products, (void *)k),
		cmocka_unit_test_prestate(test_largest, (void *)k),
		cmocka_unit_test_prestate(test_floats, (void *)k),
		cmocka_unit_test_prestate(test_quantise, (void *)k),
		cmocka_unit_test_prestate(test_vectors, (void *)k),
		cmocka_unit_test_prestate(test_lengths, (void *)k),
		cmocka_unit_test_prestate(test_bends, (void *)k),
		cmocka_unit_test_prestate(test_codes, (void *)k),
		cmocka_unit_test_prestate(test_attend, (void *)k),
		cmocka_unit_test(test_packing_covers),
	};

	if (k)
		return cmocka_run_group_tests_name(name, tests, NULL, NULL);
	printf("ok - %s # SKIP %s\n", name, err);
	return 0;
}

static int compare(const char *name, const char *other)
{
	char err[ERR_MAX];
	const struct cpu_kernels *two[2] = { cpu_kernels_find(name, err) };
	const struct CMUnitTest tests[] = { cmocka_unit_test_prestate(test_same_bits, two) };

	if (two[0] && (two[1] = cpu_kernels_find(other, err)))
		return cmocka_run_group_tests_name(name, tests, NULL, NULL);
	printf("ok - %s and %s # SKIP %s\n", name, other, err);
	return 0;
}

int main(void)
{
	const struct CMUnitTest trial[] = { cmocka_unit_test(test_amx_trial) };
	int failed = cmocka_run_group_tests_name("trial", trial, NULL, NULL);

	for (int i = 0; i < N_KERNELS; i++)
		failed += run_all(kernel_names[i]);
	return failed + compare("avx2", "avx512") + compare("avxvnni", "avx2") +
	       compare("amx", "avx512");
}
