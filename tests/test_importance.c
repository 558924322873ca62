/* test_importance.c - mean squares of activations: measured against the naive forward in double,
 * and read from files of llama-imatrix's two forms, also from hostile ones. */
#include "engine/quantize/importance.h"
#include "engine/gguf/gguf_write.h"
#include "tests/folder_kit.h"
#include "tests/naive_kit.h"

static char folder[] = "/tmp/importance.XXXXXX", model[64], text[64], file[64];

static void write_file(const char *path, const void *p, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	fclose(f);
}

/* ---- measured ---- */

enum { MATRICES = 64 };
static struct {
	const struct gguf_tensor *t;
	double sum[WIDE];
} seen[MATRICES];
static int n_seen;
static long rows;

static void add(const struct gguf_tensor *t, const double *x)
{
	int i = 0;

	while (i < n_seen && seen[i].t != t)
		i++;
	assert_true(i < MATRICES);
	n_seen += i == n_seen;
	seen[i].t = t;
	for (int64_t k = 0; k < t->dim[0]; k++)
		seen[i].sum[k] += x[k] * x[k];
}

/* The same tokens through the naive forward, a new cache every 512. */
static void look_naively(const struct model *m, const int *ids, int n)
{
	size_t kv = (size_t)m->cfg.n_layers * CTX * (size_t)(m->cfg.n_kv_heads * m->cfg.head_dim);
	struct naive s = { .m = m, .k = calloc(kv, sizeof(double)),
			   .v = calloc(kv, sizeof(double)), .closest = 1, .seen = add };
	double *logits = malloc(sizeof(double) * (size_t)m->cfg.n_vocab);

	memset(seen, 0, sizeof(seen));
	n_seen = 0;
	rows = n;
	for (int i = 0; i < n; i++) {
		tokens[i % 512] = ids[i];
		naive_step(&s, i % 512, logits);
	}
	free(s.k);
	free(s.v);
	free(logits);
}

static struct importance *measure(int most, char err[ERR_MAX])
{
	struct importance_job job = {
		.engine = { .model = model, .backend = "cpu",
			    .be = { .kernels = "float", .n_threads = 2 } },
		.text = text, .tokens = most,
	};

	return importance_measure(&job, err);
}

/* Tokens of the text, as the engine reads them. */
static int read_ids(const struct model *m, int **ids)
{
	char err[ERR_MAX], words[4096];
	struct tokenizer *t = tokenizer_open(m->file, err);
	FILE *f = fopen(text, "rb");
	size_t len = f ? fread(words, 1, sizeof(words), f) : 0;
	int n;

	assert_non_null(t);
	assert_true(f && len > 0);
	fclose(f);
	n = tokenizer_encode_new(t, words, len, false, tokenizer_add_bos(t), ids, err);
	tokenizer_close(t);
	return n;
}

static void compare(const struct mk_spec *spec, int most)
{
	char err[ERR_MAX] = "";
	struct importance *m;
	struct model *naive;
	int *ids, n;

	assert_int_equal(mk_write(model, spec, err), 0);
	naive = model_open(model, NULL, err);
	assert_non_null(naive);
	n = read_ids(naive, &ids);
	assert_true(n > 512);
	look_naively(naive, ids, n < most ? n : most);
	m = measure(most, err);
	if (!m)
		fail_msg("%s", err);
	assert_int_equal(n_seen, 7 * spec->n_layers + 1);
	for (int i = 0; i < n_seen; i++) {
		const struct gguf_tensor *t = seen[i].t;
		const float *mean = importance_of(m, t->name, t->dim[0]);

		assert_non_null(mean);
		for (int64_t k = 0; k < t->dim[0]; k++) {
			double want = seen[i].sum[k] / (double)rows;

			if (fabs((double)mean[k] - want) > 0.01 * want + 1e-9)
				fail_msg("%s, %.*s, column %d: %g, naively %g", spec->arch,
					 (int)t->name.n, t->name.s, (int)k, (double)mean[k], want);
		}
	}
	importance_free(m);
	mem_free(ids);
	model_close(naive);
}

static void test_measured(void **state)
{
	static const struct mk_spec specs[] = { MK_TINY, MK_OTHERS };
	char words[2400];

	(void)state;
	for (size_t i = 0; i < sizeof(words); i++)
		words[i] = i % 7 == 6 ? ' ' : (char)('a' + mix64(i) % 26);
	write_file(text, words, 700);
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++)
		if (!specs[i].arch || strcmp(specs[i].arch, "phi3"))    /* several in one tensor */
			compare(&specs[i], i ? 560 : 1000);
}

static bool at_once(void *ctx)
{
	(void)ctx;
	return true;
}

static void test_measure_fails(void **state)
{
	static const struct mk_spec spec = MK_TINY;
	struct importance_job job = { .engine = { .model = model, .backend = "cpu" },
				      .text = text, .tokens = 1000, .stop = at_once };
	char err[ERR_MAX] = "x";

	(void)state;
	assert_int_equal(mk_write(model, &spec, err), 0);
	assert_null(importance_measure(&job, err));
	assert_string_equal(err, "");
	write_file(text, "", 0);
	assert_null(measure(1000, err));
	assert_non_null(strstr(err, "there is no text in it"));
	unlink(text);
	assert_null(measure(1000, err));
	assert_non_null(strstr(err, "No such file"));
}

/* ---- read ---- */

static const float sums[] = { 8, 2, 0, 4 };

/* One matrix of the older form; returns how many bytes. */
static size_t older(uint8_t *p, int calls)
{
	const int32_t head[] = { 1, 7 }, tail[] = { calls, 4 };

	memcpy(p, head, 8);
	memcpy(p + 8, "a.w.xyz", 7);
	memcpy(p + 15, tail, 8);
	memcpy(p + 23, sums, sizeof(sums));
	return 23 + sizeof(sums);
}

static void check_read(float count)
{
	char err[ERR_MAX] = "";
	struct importance *m = importance_read(file, err);
	const float *mean;

	if (!m)
		fail_msg("%s", err);
	assert_int_equal(importance_n(m), 1);
	mean = importance_of(m, (struct gguf_str){ "a.w.xyz", 7 }, 4);
	assert_non_null(mean);
	for (int i = 0; i < 4; i++)
		assert_true(mean[i] == sums[i] / count);
	assert_null(importance_of(m, (struct gguf_str){ "a.w.xyz", 7 }, 5));
	assert_null(importance_of(m, (struct gguf_str){ "a.w.xy", 6 }, 4));
	importance_free(m);
}

static void refused(const char *why)
{
	char err[ERR_MAX] = "";

	assert_null(importance_read(file, err));
	if (!strstr(err, why))
		fail_msg("'%s', not '%s'", err, why);
}

static void test_older(void **state)
{
	uint8_t p[64];
	size_t n = older(p, 2);
	float bad = -1;

	(void)state;
	write_file(file, p, n);
	check_read(2);
	for (size_t cut = 0; cut < n; cut++) {
		write_file(file, p, cut);
		refused("not a file of llama-imatrix");
	}
	memset(p + 4, 0xff, 4);
	write_file(file, p, n);
	refused("cannot be read");
	n = older(p, 2);
	p[20] = 0x7f;           /* columns */
	write_file(file, p, n);
	refused("cannot be read");
	n = older(p, 2);
	memcpy(p + 27, &bad, 4);
	write_file(file, p, n);
	refused("a.w.xyz: the sum of column 1 is no number");
}

static void write_gguf(const char *counts, float count, bool other)
{
	struct gguf_tensor t[] = {
		{ .name = { "a.w.xyz.in_sum2", 15 }, .type = QUANT_F32, .n_dims = 2,
		  .dim = { 4, 1, 1, 1 }, .data = sums },
		{ .name = { counts, strlen(counts) }, .type = QUANT_F32, .n_dims = 2,
		  .dim = { 1, 1, 1, 1 }, .data = &count },
		{ .name = { "unrelated", 9 }, .type = QUANT_F32, .n_dims = 1,
		  .dim = { 4, 1, 1, 1 }, .data = sums },
	};
	char err[ERR_MAX] = "";
	struct gguf_writer *w = gguf_writer_new(err);
	FILE *f = fopen(file, "wb");

	assert_true(w && f);
	gguf_put_text(w, "general.type", "imatrix");
	for (int i = 0; i < 2 + other; i++)
		gguf_put_tensor(w, &t[i]);
	assert_int_equal(gguf_write(w, f, NULL, NULL, err), 0);
	fclose(f);
	gguf_writer_free(w);
}

static void test_gguf(void **state)
{
	(void)state;
	write_gguf("a.w.xyz.counts", 16, true);
	check_read(16);
	write_gguf("a.w.xyz.count", 16, true);
	refused("which belong together");
	write_gguf("a.w.xyz.counts", 0, true);
	refused("no matrix of it has been measured");
	write_gguf("a.w.xyz.counts", NAN, true);
	refused("no matrix of it has been measured");
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(model, sizeof(model), "%s/m.gguf", folder);
	snprintf(text, sizeof(text), "%s/t.txt", folder);
	snprintf(file, sizeof(file), "%s/f", folder);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	return folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_measured),
		cmocka_unit_test(test_measure_fails),
		cmocka_unit_test(test_older),
		cmocka_unit_test(test_gguf),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
