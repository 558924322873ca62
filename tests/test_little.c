/* test_little.c - the little model that ships with the default model: it is the file that
 * models/README.md describes, its pair loads, and its logits are those that PyTorch made of it
 * (tests/tools/make_little_vector.py).  Without the default model only the first can be tested. */
#include "engine/engine.h"
#include "engine/decode/probs.h"
#include "kernels/peaks.h"
#include <math.h>
#include <nettle/sha2.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char LITTLE[] = "models/SmolLM2-135M-Instruct.little.gguf",
	RECIPE[] = "models/README.md", VECTOR[] = "tests/vectors/little.txt";
enum { CONTEXT = 128, ROWS = 16, TOP = 12, SIZE_MAX_MB = 16 };

static const char *big_path(void)
{
	const char *path = getenv("S3D_TEST_MODEL");

	return path ? path : "build/model/SmolLM2-135M-Instruct.Q4_1.gguf";
}

static char *read_whole(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *s;

	assert_non_null(f);
	fseek(f, 0, SEEK_END);
	*n = (size_t)ftell(f);
	rewind(f);
	s = malloc(*n + 1);
	assert_int_equal(fread(s, 1, *n, f), *n);
	s[*n] = '\0';
	fclose(f);
	return s;
}

static void test_file(void **state)
{
	struct sha256_ctx c;
	uint8_t digest[SHA256_DIGEST_SIZE];
	char hex[65];
	size_t n, m;
	char *file = read_whole(LITTLE, &n), *recipe = read_whole(RECIPE, &m);

	(void)state;
	sha256_init(&c);
	sha256_update(&c, n, (uint8_t *)file);
	sha256_digest(&c, sizeof(digest), digest);
	for (int i = 0; i < SHA256_DIGEST_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	assert_true(n <= SIZE_MAX_MB * 1000000u);
	if (!strstr(recipe, hex))
		fail_msg("%s does not give the SHA-256 of %s: %s", RECIPE, LITTLE, hex);
	free(file);
	free(recipe);
}

static struct engine *open_pair(const char *kernels)
{
	struct engine_opt o = { .model = big_path(), .model_draft = LITTLE, .n_ctx = CONTEXT,
				.be = { .n_batch = CONTEXT, .n_out = ROWS, .kernels = kernels } };
	char err[ERR_MAX] = "";
	struct engine *e;

	if (access(o.model, R_OK)) {
		print_message("no default model (make model)\n");
		skip();
	}
	e = engine_open(&o, err);
	if (!e || !e->draft_model)
		fail_msg("%s", e ? e->draft_err : err);
	return e;
}

struct row {
	double log_sum;
	int id[TOP];
	float logit[TOP];
};

/* The vector: returns the number of ids. */
static int read_vector(int ids[CONTEXT], struct row rows[ROWS])
{
	FILE *f = fopen(VECTOR, "r");
	int n = 0;

	assert_non_null(f);
	do
		assert_int_equal(fscanf(f, "%d", &ids[n++]), 1);
	while (fgetc(f) != '\n');
	for (int i = 0; i < ROWS; i++) {
		assert_int_equal(fscanf(f, "%lf", &rows[i].log_sum), 1);
		for (int j = 0; j < TOP; j++)
			assert_int_equal(fscanf(f, "%d:%f", &rows[i].id[j], &rows[i].logit[j]), 2);
	}
	fclose(f);
	return n;
}

static int place_of(const struct model *m, int id)
{
	for (int i = 0; i < m->cfg.n_out; i++)
		if (m->out_id[i] == id)
			return i;
	fail_msg("token %d is not in the little model's output", id);
	return -1;
}

/* The engine's rows of the vector's last ROWS positions, each n_out logits. */
static const float *run_vector(struct engine *e, const int *ids, int n)
{
	char err[ERR_MAX] = "";
	const float *logits = NULL;

	if (session_set(&e->draft, ids, n - ROWS + 1, err) == 0)
		logits = session_extend(&e->draft, ids + n - ROWS + 1, ROWS - 1, err);
	if (!logits)
		fail_msg("%s", err);
	return logits;
}

/* Float arithmetic gives PyTorch's numbers but for the cache, which is f16; the fast kernels, which
 * round activations to 8 bits, the same choice wherever it is not close. */
static void compare(const char *kernels, double tolerance, double clear)
{
	struct engine *e = open_pair(kernels);
	const struct model *m = e->draft_model;
	struct row want[ROWS];
	int ids[CONTEXT], n = read_vector(ids, want), chosen = 0;
	const float *got = run_vector(e, ids, n);

	for (int i = 0; i < ROWS; i++) {
		const float *row = row_at(got, m->cfg.n_out, i);
		const struct row *w = &want[i];

		if (!(fabs(probs_log_sum(row, m->cfg.n_out) - w->log_sum) <= tolerance))
			fail_msg("%s: row %d: log of the sum %f, not %f", kernels, i,
				 probs_log_sum(row, m->cfg.n_out), w->log_sum);
		for (int j = 0; j < TOP; j++)
			if (!(fabsf(row[place_of(m, w->id[j])] - w->logit[j]) <= (float)tolerance))
				fail_msg("%s: row %d, token %d: %f, not %f", kernels, i, w->id[j],
					 (double)row[place_of(m, w->id[j])], (double)w->logit[j]);
		if (w->logit[0] - w->logit[1] < (float)clear)
			continue;
		assert_int_equal(m->out_id[probs_first(row, m->cfg.n_out)], w->id[0]);
		chosen++;
	}
	assert_true(chosen >= ROWS / 3);
	engine_close(e);
}

static void test_float(void **state)
{
	(void)state;
	compare("float", 0.02, 0.05);
}

static void test_fast(void **state)
{
	(void)state;
	compare("auto", 0.5, 1.0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_float),
		cmocka_unit_test(test_fast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
