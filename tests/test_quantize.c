/* test_quantize.c - smaller copies of model files: what stays as it was, which types tensors get,
 * how far their numbers move, and that what goes wrong leaves no file behind. */
#include "engine/quantize/quantize.h"
#include "engine/gguf/gguf_write.h"
#include "tests/folder_kit.h"
#include "tests/mk.h"
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "/tmp/quantize.XXXXXX", in[64], out[64], err[ERR_MAX];

/* Columns that blocks of 256 fit. */
static const struct mk_spec wide = MK_SMALL(.n_layers = 4, .n_embd = 256, .n_heads = 4,
	.n_kv_heads = 2, .n_ff = 512, .type = "F32", .seed = 5);

static void make_model(const struct mk_spec *spec)
{
	if (mk_write(in, spec, err))
		fail_msg("%s", err);
}

static int quantize(const char *type, const struct importance *m, const struct quantize_job *job)
{
	struct quantizer *q = quantize_open(in, recipe_find(type), m, err);
	int rc = q ? quantize_write(q, out, job, err) : -1;

	quantize_close(q);
	return rc;
}

static const struct quantize_job plain = { .n_threads = 2 };

static struct gguf *must_open(const char *path)
{
	struct gguf *g = gguf_open(path, err);

	if (!g)
		fail_msg("%s", err);
	return g;
}

static void float_row(const struct gguf_tensor *t, int64_t row, float *x)
{
	size_t bytes = quant_bytes(quant_info((int)t->type), t->dim[0]);

	quant_row(t->type, (const uint8_t *)t->data + (size_t)row * bytes, x, t->dim[0]);
}

/* The error of a tensor's numbers in parts of their size; weight (columns) or NULL. */
static double moved(const struct gguf_tensor *a, const struct gguf_tensor *b, const float *weight)
{
	float x[1024], y[1024];
	double error = 0, size = 0;

	for (int64_t r = 0; r < a->dim[1]; r++) {
		float_row(a, r, x);
		float_row(b, r, y);
		for (int64_t i = 0; i < a->dim[0]; i++) {
			double w = weight ? (double)weight[i] : 1, e = (double)(x[i] - y[i]);

			error += w * e * e;
			size += w * (double)x[i] * (double)x[i];
		}
	}
	return sqrt(error / size);
}

/* What is no matrix is copied, in the same order; numbers of matrices move as little as their bits
 * allow: a step of normal numbers in n bits, between its ends, is about 2^(1-n) of them. */
static void test_numbers(void **state)
{
	static const struct {
		const char *type;
		double most;
	} rows[] = { { "f16", 3e-4 }, { "q8_0", 0.006 }, { "q6_k", 0.02 }, { "q5_k_m", 0.04 },
		     { "q4_k_m", 0.075 }, { "q4_1", 0.08 }, { "q4_0", 0.09 }, { "iq4_nl", 0.08 } };

	(void)state;
	make_model(&wide);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gguf *a, *b;
		int64_t n;

		if (quantize(rows[i].type, NULL, &plain))
			fail_msg("%s", err);
		a = must_open(in);
		b = must_open(out);
		n = gguf_n_tensors(a);
		assert_int_equal(gguf_n_tensors(b), n);
		for (int64_t k = 0; k < n; k++) {
			const struct gguf_tensor *s = gguf_tensor_at(a, k);
			const struct gguf_tensor *t = gguf_tensor_at(b, k);

			assert_int_equal(s->name.n, t->name.n);
			assert_memory_equal(s->name.s, t->name.s, t->name.n);
			assert_memory_equal(s->dim, t->dim, sizeof(t->dim));
			if (s->n_dims == 1) {
				assert_int_equal(s->bytes, t->bytes);
				assert_memory_equal(s->data, t->data, t->bytes);
			} else if (moved(s, t, NULL) > rows[i].most || s->type == t->type) {
				fail_msg("%s: %.*s moved by %g", rows[i].type, (int)t->name.n,
					 t->name.s, moved(s, t, NULL));
			}
		}
		gguf_close(a);
		gguf_close(b);
	}
}

/* All keys stay but the two that say how it is quantised. */
static void test_keys(void **state)
{
	struct gguf *a, *b;
	int64_t type, version, same = 0;

	(void)state;
	make_model(&wide);
	assert_int_equal(quantize("q4_k_m", NULL, &plain), 0);
	a = must_open(in);
	b = must_open(out);
	for (int64_t i = 0; i < gguf_n_keys(a); i++) {
		struct gguf_str k = gguf_key_at(a, i);
		char name[256];

		snprintf(name, sizeof(name), "%.*s", (int)k.n, k.s);
		assert_true(gguf_has(b, name));
		same += strcmp(name, "general.file_type") && strcmp(name,
			"general.quantization_version");
	}
	assert_int_equal(gguf_n_keys(b), same + 2);
	assert_true(gguf_int(b, "general.file_type", &type) && type == 15);
	assert_true(gguf_int(b, "general.quantization_version", &version) && version == 2);
	gguf_close(a);
	gguf_close(b);
}

/* ---- errors that count ---- */

static void test_weighted(void **state)
{
	struct importance *m;
	char path[80];
	FILE *f;
	float weight[256];
	const int32_t head[] = { 1, 19 }, tail[] = { 1, 256 };
	double with = 0, without = 0;

	(void)state;
	make_model(&wide);
	for (int i = 0; i < 256; i++)
		weight[i] = i % 5 ? 0.02f : 1;
	snprintf(path, sizeof(path), "%s/i.dat", folder);
	f = fopen(path, "wb");
	assert_non_null(f);
	fwrite(head, 1, 8, f);
	fwrite("blk.3.attn_q.weight", 1, 19, f);
	fwrite(tail, 1, 8, f);
	fwrite(weight, 4, 256, f);
	fclose(f);
	m = importance_read(path, err);
	if (!m)
		fail_msg("%s", err);
	for (int i = 0; i < 2; i++) {
		struct gguf *a, *b;

		assert_int_equal(quantize("q4_k_m", i ? m : NULL, &plain), 0);
		a = must_open(in);
		b = must_open(out);
		*(i ? &with : &without) =
			moved(gguf_tensor_find(a, "blk.3.attn_q.weight"),
			      gguf_tensor_find(b, "blk.3.attn_q.weight"), weight);
		gguf_close(a);
		gguf_close(b);
	}
	importance_free(m);
	unlink(path);
	if (with > 0.8 * without)
		fail_msg("%g with weights, %g without", with, without);
}

/* ---- what goes wrong ---- */

/* Only the input is in the folder. */
static void nothing_written(void)
{
	DIR *d = opendir(folder);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	assert_int_equal(n, 3);
}

static double stop_at;

static void progress(void *ctx, double done)
{
	*(double *)ctx = done;
}

static bool stop(void *ctx)
{
	return *(double *)ctx >= stop_at;
}

static void test_stopped(void **state)
{
	double done = 0;
	struct quantize_job job = { .n_threads = 2, .progress = progress, .stop = stop,
				    .ctx = &done };

	(void)state;
	make_model(&wide);
	unlink(out);
	stop_at = 0.5;
	assert_int_equal(quantize("q4_0", NULL, &job), 1);
	assert_true(done >= 0.5 && done < 1);
	nothing_written();
	stop_at = 2;
	done = 0;
	assert_int_equal(quantize("q4_0", NULL, &job), 0);
	assert_true(done == 1);
}

/* What stood there before stays where the disk is full. */
static void test_full_disk(void **state)
{
	struct rlimit was, little;
	struct stat before, after;

	(void)state;
	make_model(&wide);
	assert_int_equal(quantize("q4_0", NULL, &plain), 0);
	assert_int_equal(stat(out, &before), 0);
	getrlimit(RLIMIT_FSIZE, &was);
	little = (struct rlimit){ 1 << 20, was.rlim_max };
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &little);
	assert_int_equal(quantize("q8_0", NULL, &plain), -1);
	setrlimit(RLIMIT_FSIZE, &was);
	assert_non_null(strstr(err, "File too large"));
	assert_int_equal(stat(out, &after), 0);
	assert_int_equal(after.st_ino, before.st_ino);
	assert_int_equal(after.st_size, before.st_size);
	unlink(out);
	nothing_written();
}

static void test_not_finite(void **state)
{
	struct gguf *g;
	float bad = NAN;
	long at;
	FILE *f;

	(void)state;
	make_model(&wide);
	g = must_open(in);
	/* Where its bytes are: the file ends with the last tensor. */
	at = (long)gguf_size(g);
	for (int64_t i = gguf_n_tensors(g) - 1; i >= 0; i--) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);

		if (t->n_dims == 2) {
			at -= (const uint8_t *)gguf_tensor_at(g, gguf_n_tensors(g) - 1)->data +
			      gguf_tensor_at(g, gguf_n_tensors(g) - 1)->bytes -
			      (const uint8_t *)t->data;
			break;
		}
	}
	gguf_close(g);
	f = fopen(in, "r+b");
	assert_non_null(f);
	fseek(f, at + 400, SEEK_SET);
	fwrite(&bad, sizeof(bad), 1, f);
	fclose(f);
	unlink(out);
	assert_int_equal(quantize("q4_k_m", NULL, &plain), -1);
	assert_non_null(strstr(err, "some of its values are not finite"));
	nothing_written();
}

/* Cut anywhere, and what is no model. */
static void test_foreign(void **state)
{
	struct stat s;
	char *bytes;
	FILE *f;

	(void)state;
	make_model(&wide);
	unlink(out);
	assert_int_equal(stat(in, &s), 0);
	bytes = malloc((size_t)s.st_size);
	f = fopen(in, "rb");
	assert_true(bytes && f);
	assert_int_equal(fread(bytes, 1, (size_t)s.st_size, f), s.st_size);
	fclose(f);
	for (off_t n = 0; n < s.st_size; n += n < 30000 ? 997 : 500009) {
		f = fopen(in, "wb");
		fwrite(bytes, 1, (size_t)n, f);
		fclose(f);
		assert_int_equal(quantize("q4_0", NULL, &plain), -1);
		assert_true(*err != '\0');
	}
	free(bytes);
	nothing_written();
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(in, sizeof(in), "%s/in.gguf", folder);
	snprintf(out, sizeof(out), "%s/out.gguf", folder);
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
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_weighted),
		cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_not_finite),
		cmocka_unit_test(test_foreign),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
