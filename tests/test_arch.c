/* test_arch.c - each architecture on the cpu backend gives the logits that transformers gives, also
 * far beyond its window; and around the window's edges nothing depends on how it is run. */
#include "kernels/cpu/cpu.h"
#define SCRATCH "build/test-arch"
#include "tests/arch_kit.h"
#include <nettle/sha2.h>

enum { BATCH = 512, SMALL = 56 };       /* more than a window and its drafts, less than a ring */

static const int whole[] = { BATCH, 0 }, one[] = { 1, 0 }, uneven[] = { 37, 1, 16, 5, 56, 2, 0 };

/* The vectors were made from the files that are written here. */
static void test_files(void **state)
{
	static const char path[] = SCRATCH ".gguf";

	(void)state;
	for (int i = 0; i < MK_ARCHS; i++) {
		struct vector v = read_vector(mk_archs[i].name);
		struct sha256_ctx c;
		uint8_t bytes[4096], digest[SHA256_DIGEST_SIZE];
		char err[ERR_MAX], hex[65];
		size_t n;
		FILE *f;

		assert_int_equal(mk_write_calm(path, &mk_archs[i].spec, err), 0);
		assert_non_null(f = fopen(path, "rb"));
		sha256_init(&c);
		while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
			sha256_update(&c, n, bytes);
		fclose(f);
		sha256_digest(&c, sizeof(digest), digest);
		for (int j = 0; j < 32; j++)
			snprintf(hex + 2 * j, 3, "%02x", digest[j]);
		if (strcmp(hex, v.sha256))
			fail_msg("tiny-%s is not the model of its vector; make_arch_vectors.py?",
				 mk_archs[i].name);
		free_vector(&v);
	}
	remove(path);
}

static void logits(const struct mk_arch *a, const char *kernels)
{
	struct vector v = read_vector(a->name);

	for (int i = 0; i < v.n_passes; i++) {
		const struct pass *p = &v.pass[i];
		struct rig r = open_arch(&backend_cpu, &a->spec, kernels, BATCH, p->n);
		float *all = read_text(&r, p->n, whole);
		double worst = distance_from(&r, p, all);

		print_message("# %s, %d tokens, %s: at most %.2g\n", a->name, p->n, kernels, worst);
		assert_true(worst < 1e-3);
		free(all);
		close_rig(&r);
	}
	free_vector(&v);
}

static void test_logits(void **state)
{
	(void)state;
	for (int i = 0; i < MK_ARCHS; i++)
		logits(&mk_archs[i], "float");
}

/* Matrices of floats are multiplied as floats by all kernels. */
static void test_kernels(void **state)
{
	static const char *const names[] = { "generic", "avx2", "avxvnni", "avx512", "amx" };
	char err[ERR_MAX];

	(void)state;
	for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
		if (!cpu_kernels_find(names[k], err)) {
			print_message("# %s\n", err);
			continue;
		}
		for (int i = 0; i < MK_ARCHS; i++)
			logits(&mk_archs[i], names[k]);
	}
}

/* In one pass, token by token and in pieces; in whole caches and in rings. */
static void test_pieces(void **state)
{
	(void)state;
	for (int i = 0; i < MK_ARCHS; i++) {
		const struct mk_spec *s = &mk_archs[i].spec;
		struct rig all = open_arch(&backend_cpu, s, "float", BATCH, TEXT);
		struct rig ring = open_arch(&backend_cpu, s, "auto", SMALL, TEXT);
		float *a = read_text(&all, TEXT, whole), *b = read_text(&ring, TEXT, uneven);

		same_rows(a, b, TEXT, &all);
		check_pieces(&all, TEXT, one, uneven);
		check_pieces(&ring, TEXT, one, uneven);
		if (s->window)
			assert_true(backend_cpu.kv_bytes(ring.kv) < backend_cpu.kv_bytes(all.kv));
		free(a);
		free(b);
		close_rig(&all);
		close_rig(&ring);
	}
}

/* Few drafts, and more than a window of them. */
static void test_rollback(void **state)
{
	(void)state;
	for (int i = 0; i < MK_ARCHS; i++)
		for (int ring = 0; ring < 2; ring++) {
			struct rig r = open_arch(&backend_cpu, &mk_archs[i].spec, "auto",
						 ring ? SMALL : BATCH, TEXT + SMALL);

			check_edges(&r, 4, SMALL);
			free(run(&r, NULL, 0, 1, 0));
			check_edges(&r, SMALL - 1, SMALL);
			close_rig(&r);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files), cmocka_unit_test(test_logits),
		cmocka_unit_test(test_kernels), cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_rollback),
	};

	return cmocka_run_group_tests_name("arch", tests, NULL, NULL);
}
