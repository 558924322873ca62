/* kernel_bits.c - prints for each instruction set of this machine what its kernels compute from the
 * same random numbers, as one hash for each thing: "avx2 Q4_1 0123456789abcdef".
 *
 * What fuses multiplication and addition computes the same bits on every processor, and so does
 * what does not (generic): arm.test.sh compares machines by it. */
#include "tests/kernel_kit.h"
#include <math.h>
#include <stdio.h>

static uint64_t hash;

/* FNV-1a, by 64 bits. */
static void take(const void *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		hash = (hash ^ ((const uint8_t *)p)[i]) * 0x100000001b3;
}

static void begin(void)
{
	seed = 7;
	hash = 0xcbf29ce484222325;
}

static void tell(const struct cpu_kernels *k, const char *of)
{
	printf("%s %s %016llx\n", k->name, of, (unsigned long long)hash);
}

/* Of one unit and all of them, by one column, some, and more than a panel. */
static void products(const struct cpu_kernels *k, enum quant_type type, bool packed)
{
	static const int columns[] = { 1, 2, 4, 7, 8, 27 };
	struct fixture *f = open_fixture(k, type, packed);
	float y[N][ROWS] = { { 0 } };

	for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++) {
		f->m.mul(&f->m, i % 2, 3, &f->a, columns[i], y[0], ROWS);
		take(y, sizeof(y));
	}
	close_fixture(f);
}

static void all_products(const struct cpu_kernels *k)
{
	for (int i = 0; i < N_TYPES; i++) {
		begin();
		products(k, types[i], false);
		if (pack_can(types[i]))
			products(k, types[i], true);
		tell(k, quant_info((int)types[i])->name);
	}
}

static void fill(float *x, int n, float most)
{
	for (int i = 0; i < n; i++)
		x[i] = uniform() * most;
}

/* The parts of activations that quantising makes. */
static void quantise(const struct cpu_kernels *k)
{
	struct fixture *f;

	begin();
	f = open_fixture(k, QUANT_F32, false);
	for (int c = 0; c < N; c++)
		for (int b = 0; b < COLS / BLOCK; b++) {
			size_t at = ((size_t)(c / PANEL) * (COLS / BLOCK) + (size_t)b) * PANEL;
			size_t half = 2 * at + (size_t)(c % PANEL);

			at += (size_t)(c % PANEL);
			take(f->a.q + at * BLOCK, BLOCK);
			take(&f->a.s[at], sizeof(*f->a.s));
			for (int i = 0; i < 2; i++, half += PANEL) {
				take(&f->a.d[half], sizeof(*f->a.d));
				take(&f->a.h[half], sizeof(*f->a.h));
			}
		}
	close_fixture(f);
	tell(k, "quantise");
}

enum { LENGTH = 160 };

static void vectors(const struct cpu_kernels *k)
{
	float x[LENGTH], w[LENGTH], y[LENGTH];

	begin();
	for (int n = 1; n <= LENGTH; n += n < 20 ? 1 : 20) {
		fill(x, LENGTH, 3);
		fill(w, LENGTH, 1);
		k->norm(x, w, n, 1e-5f, y);
		take(y, sizeof(*y) * (size_t)n);
		k->add(x, w, 0.3f, n);
		take(x, sizeof(x));
		k->peaks(x, n, y);
		take(y, sizeof(*y) * (size_t)((n + 15) / 16));
	}
	for (int act = ACT_SILU; act <= ACT_GELU; act++) {
		fill(x, LENGTH, 100);
		k->glu((enum activation)act, x, w, LENGTH);
		take(x, sizeof(x));
	}
	fill(x, LENGTH, 100);
	k->bend(x, 0.7f, 30, LENGTH);
	take(x, sizeof(x));
	tell(k, "vectors");
}

static void rounding(const struct cpu_kernels *k)
{
	float x[LENGTH];
	uint16_t half[LENGTH];
	int8_t code[LENGTH];

	begin();
	for (float most = 1e-9f; most < 1e5f; most *= 3) {      /* subnormal to infinite in f16 */
		fill(x, LENGTH, most);
		x[5] = 0;
		k->halves(x, half, LENGTH);
		take(half, sizeof(half));
		if (most > 6e4f)
			continue;
		k->codes(x, LENGTH, code, half);
		take(code, sizeof(code));
		take(half, LENGTH / 32 * sizeof(*half));
	}
	tell(k, "rounding");
}

/* Keys and values of 256 positions: seven query rows of a group of three, the last position cut. */
enum { POSITIONS = 256, DIM = 40, PAD = 48, GROUP = 3, QROWS = 7 };

static void attention(const struct cpu_kernels *k)
{
	static uint16_t key[POSITIONS * PAD], value[POSITIONS * PAD], scale[POSITIONS * 2];
	static float q[QROWS * GROUP * DIM], acc[QROWS * GROUP][PAD], out[DIM];

	begin();
	for (int i = 0; i < POSITIONS * PAD; i++) {
		key[i] = quant_f32_to_f16(uniform());
		value[i] = quant_f32_to_f16(uniform());
	}
	for (int i = 0; i < POSITIONS * 2; i++)
		scale[i] = quant_f32_to_f16(0.005f + 0.01f * fabsf(uniform()));
	fill(q, QROWS * GROUP * DIM, 1);
	for (int i = 0; i < 8; i++) {
		struct partial part[QROWS * GROUP];
		struct attend a = { .q = q, .ldq = GROUP * DIM, .pos = 201, .group = GROUP,
				    .head_dim = DIM, .pad_dim = PAD, .scale = 0.5f,
				    .k = { key, i & 1 ? scale : NULL },
				    .v = { value, i & 2 ? scale : NULL },
				    .cap = i & 4 ? 20 : 0, .window = i & 4 ? 50 : 0 };

		memset(acc, 0, sizeof(acc));
		for (int j = 0; j < QROWS * GROUP; j++)
			part[j] = (struct partial){ -INFINITY, 0, acc[j] };
		k->attend(&a, 0, QROWS, 0, ATTEND_BLOCK, part);
		k->attend(&a, 0, QROWS, ATTEND_BLOCK, a.pos + QROWS, part);
		for (int j = 0; j < QROWS * GROUP; j++) {
			k->fold(&part[j], 1, PAD, out, DIM);
			take(out, sizeof(out));
		}
	}
	tell(k, "attention");
}

int main(void)
{
	char err[ERR_MAX];

	for (int i = 0; i < N_KERNELS; i++) {
		const struct cpu_kernels *k = cpu_kernels_find(kernel_names[i], err);

		if (!k)
			continue;
		all_products(k);
		quantise(k);
		vectors(k);
		rounding(k);
		attention(k);
	}
	return 0;
}
