/* test_gguf.c - good GGUF files: every value type, look-ups, tensors, mapping.
 *
 * tests/vectors/quant_python_gguf.bin was written by the gguf package for Python
 * (tests/tools/make_gguf_vector.py); the rest is built in memory.  Bad files: test_gguf_bad.c. */
#include "engine/gguf/gguf.h"
#include "tests/gguf_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

static void assert_str(struct gguf_str s, const char *want)
{
	assert_int_equal(s.n, strlen(want));
	assert_memory_equal(s.s, want, s.n);
}

static struct gguf *parse(const struct buf *b)
{
	char err[ERR_MAX] = "";
	struct gguf *g = gguf_parse(b->p, b->n, "memory", err);

	if (!g)
		fail_msg("%s", err);
	return g;
}

static void python_scalars(struct gguf *g)
{
	static const struct {
		const char *key;
		int64_t v;
	} want[] = {
		{ "t.u8", 250 }, { "t.i8", -100 }, { "t.u16", 65000 }, { "t.i16", -32000 },
		{ "t.u32", 4000000000 }, { "t.i32", -2000000000 },
		{ "t.u64", 9000000000000000000 }, { "t.i64", -9000000000000000000 },
		{ "general.alignment", 64 },
	};
	int64_t v;
	double d;
	bool yes;
	struct gguf_str s;

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		assert_true(gguf_int(g, want[i].key, &v));
		assert_true(v == want[i].v);
	}
	assert_true(gguf_float(g, "t.f32", &d) && d == (double)0.1f);
	assert_true(gguf_float(g, "t.f64", &d) && d == 0.1);
	assert_true(gguf_bool(g, "t.yes", &yes) && yes);
	assert_true(gguf_bool(g, "t.no", &yes) && !yes);
	assert_true(gguf_string(g, "t.str", &s));
	assert_str(s, "na\xc3\xafve \xe6\xbc\xa2");
	assert_true(gguf_string(g, "general.architecture", &s));
	assert_str(s, "llama");
}

static void python_arrays(struct gguf *g)
{
	enum gguf_type type;
	int64_t n;

	assert_true(gguf_array(g, "t.ints", &type, &n));
	assert_int_equal(type, GGUF_I32);
	assert_int_equal(n, 3);
	assert_true(gguf_array_int(g, "t.ints", 0) == 3 && gguf_array_int(g, "t.ints", 1) == -4 &&
		    gguf_array_int(g, "t.ints", 2) == 5);
	assert_true(gguf_array(g, "t.floats", &type, &n));
	assert_int_equal(type, GGUF_F32);
	assert_true(n == 2 && gguf_array_float(g, "t.floats", 1) == -0.25);
	assert_true(gguf_array(g, "t.strs", &type, &n));
	assert_int_equal(type, GGUF_STRING);
	assert_int_equal(n, 3);
	assert_str(gguf_array_string(g, "t.strs", 0), "");
	assert_str(gguf_array_string(g, "t.strs", 1), "one");
	assert_str(gguf_array_string(g, "t.strs", 2), "\xe2\x82\xac");
}

static void python_tensors(struct gguf *g)
{
	const struct gguf_tensor *a = gguf_tensor_find(g, "a.weight"),
				 *b = gguf_tensor_find(g, "b.weight"),
				 *c = gguf_tensor_find(g, "c.weight");
	float y[192];

	assert_true(a && b && c);
	assert_int_equal(gguf_n_tensors(g), 3);
	assert_ptr_equal(gguf_tensor_at(g, 2), c);
	assert_str(c->name, "c.weight");
	assert_true(a->type == QUANT_F32 && b->type == QUANT_F16 && c->type == QUANT_Q8_0);
	assert_true(a->n_dims == 2 && a->dim[0] == 32 && a->dim[1] == 6 && a->dim[2] == 1);
	assert_int_equal(a->bytes, 768);
	assert_int_equal(b->bytes, 192);
	assert_int_equal(c->bytes, 204);
	for (int i = 0; i < 192; i++)
		assert_true(((const float *)a->data)[i] == (float)i / 4);
	quant_row(b->type, b->data, y, 96);
	assert_true(y[0] == 0 && y[95] == 23.75f);
	quant_row(c->type, c->data, y, 192);
	assert_true(y[191] == 47.7490234375f && y[190] == 47.373046875f);
}

static void from_python(void **state)
{
	char err[ERR_MAX] = "";
	struct gguf *g = gguf_open("tests/vectors/quant_python_gguf.bin", err);

	(void)state;
	if (!g)
		fail_msg("%s", err);
	assert_string_equal(gguf_path(g), "tests/vectors/quant_python_gguf.bin");
	assert_int_equal(gguf_size(g), 1920);
	assert_int_equal(gguf_n_keys(g), 18);
	assert_str(gguf_key_at(g, 0), "general.architecture");
	assert_str(gguf_key_at(g, 17), "general.alignment");
	python_scalars(g);
	python_arrays(g);
	python_tensors(g);
	gguf_close(g);
	gguf_close(NULL);
}

/* Keys whose values are wrong for the question, or not there. */
static void wrong_questions(void **state)
{
	struct buf b = { 0 };
	int64_t v = 77, n = 78;
	double d = 79;
	bool yes = true;
	struct gguf_str s = { "as", 2 };
	enum gguf_type type = GGUF_F64;

	(void)state;
	put_head(&b, 3, 0, 6);
	put_key(&b, "u64", GGUF_U64);
	put_u64(&b, (uint64_t)1 << 63);
	put_key(&b, "f32", GGUF_F32);
	put_f32(&b, 1.5f);
	put_key(&b, "bool", GGUF_BOOL);
	put_u8(&b, 0);
	put_key_str(&b, "str", "text");
	put_key_u32(&b, "u32", 5);
	put_key(&b, "ints", GGUF_ARRAY);
	put_array(&b, GGUF_U8, 2);
	put_u16(&b, 0x0201);
	struct gguf *g = parse(&b);
	static const char *const not_int[] = { "u64", "f32", "bool", "str", "ints", "none", "" };
	for (size_t i = 0; i < sizeof(not_int) / sizeof(not_int[0]); i++)
		assert_false(gguf_int(g, not_int[i], &v));
	assert_false(gguf_float(g, "u32", &d) || gguf_float(g, "none", &d));
	assert_false(gguf_bool(g, "u32", &yes) || gguf_bool(g, "none", &yes));
	assert_false(gguf_string(g, "u32", &s) || gguf_string(g, "ints", &s));
	assert_false(gguf_array(g, "u32", &type, &n) || gguf_array(g, "st", &type, &n));
	assert_true(v == 77 && n == 78 && d == 79 && yes && type == GGUF_F64);
	assert_str(s, "as");
	assert_true(gguf_has(g, "u64") && gguf_has(g, "str") && !gguf_has(g, "st") &&
		    !gguf_has(g, "strx"));
	assert_int_equal(gguf_array_int(g, "ints", 1), 2);
	assert_int_equal(gguf_array_int(g, "ints", 2), 0);
	assert_int_equal(gguf_array_int(g, "ints", -1), 0);
	assert_int_equal(gguf_array_int(g, "u32", 0), 0);
	assert_true(gguf_array_float(g, "ints", 0) == 0);
	assert_str(gguf_array_string(g, "ints", 0), "");
	assert_null(gguf_tensor_find(g, "u32"));
	gguf_close(g);
	buf_free(&b);
}

/* An array of every fixed-size type, an empty one, strings with zero bytes, arrays in arrays. */
static void arrays(void **state)
{
	static const int width[GGUF_TYPE_N] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
	struct buf b = { 0 };
	enum gguf_type type;
	int64_t n;

	(void)state;
	put_head(&b, 2, 0, 14);
	for (int t = 0; t < GGUF_TYPE_N; t++) {
		char key[3] = { 'k', (char)('a' + t), 0 };

		if (!width[t])
			continue;
		put_key(&b, key, GGUF_ARRAY);
		put_array(&b, (enum gguf_type)t, 3);
		for (int i = 0; i < 3 * width[t]; i++)
			put_u8(&b, t == GGUF_BOOL ? i != 1 : (uint8_t)(128 + i));
	}
	put_key(&b, "empty", GGUF_ARRAY);
	put_array(&b, GGUF_STRING, 0);
	put_key(&b, "nested", GGUF_ARRAY);
	put_array(&b, GGUF_ARRAY, 2);
	put_array(&b, GGUF_STRING, 2);
	put_str(&b, "in");
	put_str(&b, "side");
	put_array(&b, GGUF_ARRAY, 1);
	put_array(&b, GGUF_I16, 1);
	put_u16(&b, 9);
	put_key(&b, "last", GGUF_STRING);
	put_u64(&b, 3);
	put(&b, "a\0b", 3);
	struct gguf *g = parse(&b);
	assert_int_equal(gguf_array_int(g, "ka", 2), 130);              /* u8 */
	assert_int_equal(gguf_array_int(g, "kb", 2), -126);             /* i8 */
	assert_int_equal(gguf_array_int(g, "kc", 1), 0x8382);           /* u16 */
	assert_int_equal(gguf_array_int(g, "kd", 1), 0x8382 - 0x10000);
	assert_true(gguf_array_int(g, "ke", 1) == 0x87868584);          /* u32 */
	assert_true(gguf_array_int(g, "kf", 1) == (int64_t)0x87868584 - 0x100000000);
	assert_true(gguf_array_int(g, "kh", 0) == 1 && gguf_array_int(g, "kh", 1) == 0);
	assert_int_equal(gguf_array_int(g, "kk", 0), 0);        /* u64 beyond int64 */
	assert_true(gguf_array_int(g, "kl", 0) == (int64_t)0x8786858483828180);
	assert_true(gguf_array_float(g, "km", 0) < 0);
	assert_true(gguf_array(g, "empty", &type, &n) && type == GGUF_STRING && n == 0);
	assert_str(gguf_array_string(g, "empty", 0), "");
	assert_true(gguf_has(g, "nested"));
	assert_false(gguf_array(g, "nested", &type, &n));
	assert_int_equal(gguf_array_int(g, "nested", 0), 0);
	struct gguf_str s;
	assert_true(gguf_string(g, "last", &s));
	assert_int_equal(s.n, 3);
	assert_memory_equal(s.s, "a\0b", 3);
	gguf_close(g);
	buf_free(&b);
}

/* Many names, so that sorting and finding are more than luck; file order is kept. */
static void many_names(void **state)
{
	enum { N = 3000 };
	struct buf b = { 0 };
	char name[32];
	int64_t v;

	(void)state;
	put_head(&b, 3, N, N);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "key.%d", i * 7919 % N);
		put_key_u32(&b, name, (uint32_t)i);
	}
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "blk.%d.w", i * 7919 % N);
		put_tensor(&b, name, 1, 8, 1, QUANT_F32, (uint64_t)(N - 1 - i) * 32);
	}
	put_pad(&b, 32);
	size_t data = b.n;
	put_zeros(&b, N * 32);
	struct gguf *g = parse(&b);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "key.%d", i * 7919 % N);
		assert_true(gguf_int(g, name, &v) && v == i);
		snprintf(name, sizeof(name), "blk.%d.w", i * 7919 % N);
		const struct gguf_tensor *t = gguf_tensor_find(g, name);
		assert_ptr_equal(t, gguf_tensor_at(g, i));
		assert_ptr_equal(t->data, b.p + data + (size_t)(N - 1 - i) * 32);
	}
	gguf_close(g);
	buf_free(&b);
}

/* Alignment of its own, four dimensions, a gap between tensors, bytes after the last. */
static void alignment(void **state)
{
	static const uint32_t aligns[] = { 8, 64, 65536 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct buf b = { 0 };
		size_t align = aligns[i];

		put_head(&b, 3, 2, 1);
		put_key_u32(&b, "general.alignment", aligns[i]);
		put_str(&b, "four");
		put_u32(&b, 4);
		for (uint64_t d = 2; d < 6; d++)
			put_u64(&b, d);
		put_u32(&b, QUANT_F16);
		put_u64(&b, 0);
		put_tensor(&b, "far", 1, 3, 1, QUANT_BF16, 240 / align * align + align);
		put_pad(&b, align);
		size_t data = b.n;
		put_zeros(&b, 240 / align * align + align + 6 + 5);
		struct gguf *g = parse(&b);
		const struct gguf_tensor *t = gguf_tensor_find(g, "four");
		assert_true(t->n_dims == 4 && t->dim[0] == 2 && t->dim[3] == 5 && t->bytes == 240);
		assert_ptr_equal(t->data, b.p + data);
		t = gguf_tensor_find(g, "far");
		assert_ptr_equal(t->data, b.p + data + 240 / align * align + align);
		gguf_close(g);
		buf_free(&b);
	}
}

static size_t resident(void)
{
	size_t total = 0, held = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu %zu", &total, &held), 2);
	fclose(f);
	return held * (size_t)sysconf(_SC_PAGESIZE);
}

/* One tensor of n floats counting up, in an anonymous mapping (whose pages a wrong drop zeroes). */
static uint8_t *big_file(size_t n, size_t *size)
{
	struct buf b = { 0 };

	put_head(&b, 3, 1, 0);
	put_tensor(&b, "w", 1, n, 1, QUANT_F32, 0);
	put_pad(&b, 32);
	*size = b.n + n * sizeof(float);
	uint8_t *p = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(p != MAP_FAILED);
	memcpy(p, b.p, b.n);
	for (size_t i = 0; i < n; i++)
		((float *)(p + b.n))[i] = (float)i;
	buf_free(&b);
	return p;
}

static double sum(const struct gguf_tensor *t)
{
	double s = 0;

	for (int64_t i = 0; i < t->dim[0]; i++)
		s += (double)((const float *)t->data)[i];
	return s;
}

/* Dropping gives a mapped file's pages back, loses nothing, and leaves other memory alone. */
static void drop(void **state)
{
	enum { N = 4 << 20 };
	char path[] = "/tmp/test_gguf_XXXXXX", err[ERR_MAX] = "";
	const double want = (double)N * (N - 1) / 2;
	size_t size;
	uint8_t *p = big_file(N, &size);
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (size_t at = 0; at < size;) {
		ssize_t put_n = write(fd, p + at, size - at);

		assert_true(put_n > 0);
		at += (size_t)put_n;
	}
	close(fd);
	struct gguf *mem = gguf_parse(p, size, "memory", err), *map = gguf_open(path, err);
	unlink(path);
	assert_true(mem && map);
	gguf_drop(mem, gguf_tensor_at(mem, 0)->data, gguf_tensor_at(mem, 0)->bytes);
	assert_true(sum(gguf_tensor_at(mem, 0)) == want);
	assert_true(sum(gguf_tensor_at(map, 0)) == want);
	size_t before = resident();
	gguf_drop(map, gguf_tensor_at(map, 0)->data, gguf_tensor_at(map, 0)->bytes);
	assert_true(resident() + (12 << 20) < before);
	assert_true(sum(gguf_tensor_at(map, 0)) == want);
	gguf_close(mem);
	gguf_close(map);
	munmap(p, size);
}

/* Somebody writes to the file while it is in use: lengths are those that were checked. */
static void written_to(void **state)
{
	struct buf b = { 0 };
	char err[ERR_MAX];
	struct gguf_str s = { "", 0 };
	struct gguf *g;
	const uint64_t huge = (uint64_t)1 << 40;
	size_t n = 0;

	(void)state;
	put_head(&b, 3, 0, 2);
	put_key_str(&b, "a", "first");
	put_key(&b, "b", GGUF_ARRAY);
	put_array(&b, GGUF_STRING, 2);
	put_str(&b, "second");
	put_str(&b, "third");
	put_pad(&b, 32);
	g = gguf_parse(b.p, b.n, "test", err);
	assert_non_null(g);
	/* Every length that can be told by its text. */
	for (size_t i = 0; i + 8 <= b.n; i++) {
		static const char *const texts[] = { "first", "second", "third" };

		for (int k = 0; k < 3; k++)
			if (i + 8 + strlen(texts[k]) <= b.n &&
			    !memcmp(b.p + i + 8, texts[k], strlen(texts[k]))) {
				memcpy(b.p + i, &huge, sizeof(huge));
				n++;
			}
	}
	assert_int_equal(n, 3);
	assert_true(gguf_string(g, "a", &s));
	assert_str(s, "first");
	assert_str(gguf_array_string(g, "b", 0), "second");
	assert_str(gguf_array_string(g, "b", 1), "third");
	gguf_close(g);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(from_python), cmocka_unit_test(wrong_questions),
		cmocka_unit_test(arrays),      cmocka_unit_test(many_names),
		cmocka_unit_test(alignment),   cmocka_unit_test(drop),
		cmocka_unit_test(written_to),
	};

	return cmocka_run_group_tests_name("gguf", tests, NULL, NULL);
}
