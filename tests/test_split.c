/* test_split.c - a model in several files is the model in one: opened by any part, the same tensors
 * and logits; what is missing or does not fit is named.
 *
 * The files are parts of one tiny random model in a folder of their own. */
#include "kernels/devices/registry.h"
#include "kernels/schedule.h"
#include "tests/gguf_edit.h"
#include "tests/mk.h"
#include "kernels/peaks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

enum { PARTS = 3 };
static char folder[] = "/tmp/s3dchat-split.XXXXXX", whole[64], err[ERR_MAX];

struct says {           /* what a part says of itself */
	int64_t no, count, tensors;
};

static const char *part(int no)
{
	static char path[PARTS][96];

	snprintf(path[no], sizeof(path[no]), "%s/m-%05d-of-%05d.gguf", folder, no + 1, PARTS);
	return path[no];
}

static void put_key_i64(struct buf *b, const char *key, int64_t v)
{
	put_key(b, key, GGUF_I64);
	put_u64(b, (uint64_t)v);
}

/* Tensors from..to-1 as part no, which says so or something else. */
static void write_part(int no, int64_t from, int64_t to, struct says says)
{
	struct buf more = { 0 };

	put_key_i64(&more, "split.no", says.no);
	put_key_i64(&more, "split.count", says.count);
	put_key_i64(&more, "split.tensors.count", says.tensors);
	gguf_edit_file(part(no), whole, &(struct edit){ .no_keys = no > 0, .more = &more,
							.n_more = 3, .first = from,
							.n = to - from });
	buf_free(&more);
}

static int64_t count_tensors(void)
{
	struct gguf *g = gguf_open(whole, err);
	int64_t n = gguf_n_tensors(g);

	gguf_close(g);
	return n;
}

static int write_all(void **state)
{
	int64_t n = count_tensors();

	(void)state;
	for (int i = 0; i < PARTS; i++)
		write_part(i, n * i / PARTS, n * (i + 1) / PARTS, (struct says){ i, PARTS, n });
	return 0;
}

static int set_up(void **state)
{
	struct mk_spec spec = MK_TINY;

	(void)state;
	spec.type = "Q8_0";
	if (!mkdtemp(folder))
		return -1;
	snprintf(whole, sizeof(whole), "%s/whole.gguf", folder);
	return mk_write(whole, &spec, err);
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < PARTS; i++)
		remove(part(i));
	remove(whole);
	return rmdir(folder);
}

static void test_tensors(void **state)
{
	(void)state;
	for (int named = 0; named < PARTS; named++) {
		struct gguf *g = gguf_open(whole, err), *s = gguf_open(part(named), err);
		size_t bytes = 0, own = 0;

		if (!s)
			fail_msg("%s", err);
		assert_string_equal(gguf_path(s), part(0));
		assert_int_equal(gguf_n_tensors(s), gguf_n_tensors(g));
		assert_int_equal(gguf_n_keys(s), gguf_n_keys(g) + 3);
		gguf_drop_all(s);
		for (int64_t i = 0; i < gguf_n_tensors(g); i++) {
			const struct gguf_tensor *a = gguf_tensor_at(g, i);
			char name[128];

			snprintf(name, sizeof(name), "%.*s", (int)a->name.n, a->name.s);
			const struct gguf_tensor *b = gguf_tensor_find(s, name);
			assert_ptr_equal(b, gguf_tensor_at(s, i));
			assert_int_equal(a->bytes, b->bytes);
			assert_memory_equal(a->data, b->data, a->bytes);
			own += a->bytes;
		}
		for (int i = 0; i < PARTS; i++) {
			struct gguf_str text;
			FILE *f = fopen(part(i), "rb");

			assert_false(gguf_string(s, "split.no", &text));
			fseek(f, 0, SEEK_END);
			bytes += (size_t)ftell(f);
			fclose(f);
		}
		assert_int_equal(gguf_size(s), bytes);
		assert_true(bytes > own);
		gguf_close(g);
		gguf_close(s);
	}
}

/* The logits of a few rows, the file's pages dropped as repacking does it. */
static void run_model(const char *path, float *out, size_t n)
{
	static const int ids[] = { 5, 77, 3, 140, 9 };
	struct backend_opt o = { .n_threads = 1, .n_batch = 8, .n_out = 5 };
	struct schedule all;
	struct batch b = { .tok = ids, .n = 5, .n_out = 5, .run = &all };
	struct model *m = model_open(path, NULL, err);
	struct dev *d = m ? backend_cpu.open(m, &o, err) : NULL;
	struct kv *kv = d ? backend_cpu.kv_new(d, 16, err) : NULL;
	const float *rows;

	if (m)
		schedule_make(&all, m, &(struct plan){ .target = true });
	rows = kv ? backend_cpu.forward(d, kv, &b) : NULL;
	if (!rows)
		fail_msg("%s", err);
	memcpy(out, rows, n * sizeof(*out));
	backend_cpu.kv_free(kv);
	backend_cpu.close(d);
	model_close(m);
}

static void test_logits(void **state)
{
	enum { N = 5 * (MK_VOCAB_MIN + (MK_VOCAB_MIN + PEAK - 1) / PEAK) };
	static float want[N], got[N];

	(void)state;
	run_model(whole, want, N);
	for (int i = 0; i < PARTS; i++) {
		memset(got, 0, sizeof(got));
		run_model(part(i), got, N);
		assert_memory_equal(want, got, sizeof(want));
	}
}

static void refused(const char *path, const char *says, const char *also)
{
	struct gguf *g = gguf_open(path, err);

	gguf_close(g);
	if (g || !strstr(err, says) || !strstr(err, also))
		fail_msg("%s: %s instead of '%s' and '%s'", path, g ? "taken" : err, says, also);
}

static void test_missing(void **state)
{
	char other[96];

	(void)state;
	for (int i = 0; i < PARTS; i++) {
		char says[32];

		remove(part(i));
		snprintf(says, sizeof(says), "part %d of 3", i + 1);
		refused(part(i == 1 ? 2 : 1 - i / 2), says, part(i));
		write_all(NULL);
	}
	snprintf(other, sizeof(other), "%s/other.gguf", folder);
	assert_int_equal(rename(part(1), other), 0);
	refused(other, "one of 3 parts", "NAME-00001-of-00003.gguf");
	remove(other);
}

static void test_wrong(void **state)
{
	int64_t n = count_tensors();

	(void)state;
	write_part(1, n / 3, 2 * n / 3, (struct says){ 2, PARTS, n });
	refused(part(0), "part 3 of 3", part(1));
	write_part(1, n / 3, 2 * n / 3, (struct says){ 1, 4, n });
	refused(part(0), "part 2 of 4", part(1));
	write_part(1, n / 3, 2 * n / 3, (struct says){ 7, PARTS, n });
	refused(part(0), "split.no", part(1));
	write_part(1, n / 3, 2 * n / 3 + 1, (struct says){ 1, PARTS, n });
	refused(part(0), "split.tensors.count", "another model");
	write_part(1, n / 3 - 1, 2 * n / 3 - 1, (struct says){ 1, PARTS, n });
	refused(part(0), "two parts", "tensor");
	write_all(NULL);
	assert_int_equal(truncate(part(2), 100), 0);
	refused(part(0), "part 3 of 3", part(2));
	gguf_edit_file(part(2), whole, &(struct edit){ .n = 1 });
	refused(part(0), "part 1 of 1", part(2));
	for (int i = 0; i < 4; i++) {
		static const int64_t counts[] = { -1, 100000, INT64_MAX, INT64_MIN };

		write_part(0, 0, n, (struct says){ 0, counts[i], n });
		refused(part(0), "split.count", part(0));
	}
	write_part(0, 0, n / 3, (struct says){ -1, PARTS, n });
	refused(part(0), "split.no", part(0));
	write_part(0, 0, n / 3, (struct says){ 0, 65535, n });
	refused(part(0), "part 2 of 65535", "m-00002-of-65535.gguf");
}

/* A file that says to be the only one may have any name. */
static void test_only_one(void **state)
{
	int64_t n = count_tensors();

	(void)state;
	for (int64_t count = 0; count < 2; count++) {
		write_part(0, 0, n, (struct says){ 0, count, n });
		struct gguf *g = gguf_open(part(0), err);
		assert_non_null(g);
		assert_int_equal(gguf_n_tensors(g), n);
		gguf_close(g);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_int_equal(gguf_stem("a/b-00001-of-00003.gguf"), 3);
	assert_int_equal(gguf_stem("b-0001-of-00003.gguf"), 0);
	assert_int_equal(gguf_stem("-00001-of-00003.gguf"), 0);
	assert_int_equal(gguf_stem("b-00001-of-0000x.gguf"), 0);
	assert_int_equal(gguf_stem("b.gguf"), 0);
	assert_int_equal(gguf_stem(""), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, write_all)
	const struct CMUnitTest tests[] = {
		TEST(test_tensors), TEST(test_logits), TEST(test_missing), TEST(test_wrong),
		TEST(test_only_one), cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests_name("split models", tests, set_up, tear_down);
}
