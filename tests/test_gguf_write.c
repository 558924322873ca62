/* test_gguf_write.c - files by gguf_write: byte for byte as the specification of GGUF has them, as
 * other software writes them, and what is refused. */
#include "engine/gguf/gguf_write.h"
#include "tests/gguf_build.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

struct made {
	char *p;
	size_t n;
	char err[ERR_MAX];
	int rc;
};

/* Ends the writer; free(made.p). */
static struct made finish(struct gguf_writer *w, gguf_make_fn *make, void *user)
{
	struct made m = { NULL, 0, "", 0 };
	FILE *f = open_memstream(&m.p, &m.n);

	assert_non_null(f);
	m.rc = gguf_write(w, f, make, user, m.err);
	fclose(f);
	gguf_writer_free(w);
	return m;
}

static struct gguf_writer *begin(void)
{
	char err[ERR_MAX];
	struct gguf_writer *w = gguf_writer_new(err);

	assert_non_null(w);
	return w;
}

static struct gguf_tensor tensor(const char *name, enum quant_type type, int64_t cols, int64_t rows,
				 const void *data)
{
	return (struct gguf_tensor){ .name = { name, strlen(name) }, .type = type,
				     .n_dims = rows ? 2 : 1, .dim = { cols, rows }, .data = data };
}

static void put_one(struct gguf_writer *w, const char *name, enum quant_type type, int64_t cols,
		    int64_t rows, const void *data)
{
	struct gguf_tensor t = tensor(name, type, cols, rows, data);

	gguf_put_tensor(w, &t);
}

/* 68 bytes, 1, 2, 3, ..., in pieces of 5. */
static int count(void *user, const struct gguf_tensor *t, struct gguf_writer *w, char err[ERR_MAX])
{
	uint8_t v = 0;

	(void)user;
	assert_int_equal(t->bytes, 68);
	for (int at = 0; at < 68;) {
		uint8_t piece[5];
		int n = 68 - at < 5 ? 68 - at : 5;

		for (int i = 0; i < n; i++)
			piece[i] = ++v;
		if (gguf_data(w, piece, (size_t)n, err) != 0)
			return -1;
		at += n;
	}
	return 0;
}

/* By hand from the specification (ggml's docs/gguf.md): all little-endian; a string is its length,
 * u64, and its bytes; types of values: 4 uint32, 8 string, 9 array, 6 float32; of tensors: 0 F32,
 * 8 Q8_0. */
static const char header[] =
	"GGUF" "\3\0\0\0" "\2\0\0\0\0\0\0\0" "\4\0\0\0\0\0\0\0"
	"\x11\0\0\0\0\0\0\0" "general.alignment" "\4\0\0\0" "\x40\0\0\0"
	"\1\0\0\0\0\0\0\0" "s" "\x08\0\0\0" "\3\0\0\0\0\0\0\0" "a\0b"
	"\1\0\0\0\0\0\0\0" "f" "\x09\0\0\0" "\6\0\0\0" "\2\0\0\0\0\0\0\0"
	"\0\0\x80\x3f" "\0\0\0\xc0"
	"\1\0\0\0\0\0\0\0" "t" "\x09\0\0\0" "\x08\0\0\0" "\2\0\0\0\0\0\0\0"
	"\2\0\0\0\0\0\0\0" "hi" "\0\0\0\0\0\0\0\0"
	"\4\0\0\0\0\0\0\0" "bias" "\1\0\0\0" "\3\0\0\0\0\0\0\0" "\0\0\0\0" "\0\0\0\0\0\0\0\0"
	"\6\0\0\0\0\0\0\0" "weight" "\2\0\0\0" "\x20\0\0\0\0\0\0\0" "\2\0\0\0\0\0\0\0" "\x08\0\0\0"
	"\x40\0\0\0\0\0\0\0";

static void test_bytes(void **state)
{
	static const float floats[] = { 1, -2 }, bias[] = { 1, 2, 3 };
	static const struct gguf_str texts[] = { { "hi", 2 }, { "", 0 } };
	static const uint8_t bias_bytes[] = { 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40, 0, 0, 0x40, 0x40 };
	size_t head = sizeof(header) - 1, data = (head + 63) / 64 * 64;
	struct gguf_writer *w = begin();
	struct made m;

	(void)state;
	gguf_put_u32(w, "general.alignment", 64);
	gguf_put_string(w, "s", (struct gguf_str){ "a\0b", 3 });
	gguf_put_array(w, "f", GGUF_F32, floats, 2);
	gguf_put_strings(w, "t", texts, 2);
	put_one(w, "bias", QUANT_F32, 3, 0, bias);
	put_one(w, "weight", QUANT_Q8_0, 32, 2, NULL);
	m = finish(w, count, NULL);
	if (m.rc != 0)
		fail_msg("%s", m.err);
	assert_int_equal(m.n, data + 64 + 128);
	assert_memory_equal(m.p, header, head);
	for (size_t i = head; i < m.n; i++) {
		size_t at = i - data;
		int want = i < data ? 0 : at < sizeof(bias_bytes) ? bias_bytes[at] :
			   at >= 64 && at < 64 + 68 ? (int)(at - 63) : 0;

		assert_int_equal((uint8_t)m.p[i], want);
	}
	free(m.p);
}

/* Every type of value, and an array of arrays, which only a copy has. */
static struct buf all_values(void)
{
	static const uint8_t value[8] = { 1, 0, 0, 0, 0, 0, 0, 0 };
	static const int sizes[GGUF_TYPE_N] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
	struct buf b = { 0 };
	char name[24];

	put_head(&b, 3, 1, 13);
	for (int i = 0; i < GGUF_TYPE_N; i++)
		if (sizes[i]) {
			snprintf(name, sizeof(name), "type.%d", i);
			put_key(&b, name, (enum gguf_type)i);
			put(&b, value, (size_t)sizes[i]);
		}
	put_key_str(&b, "string", "text");
	put_key(&b, "nested", GGUF_ARRAY);
	put_array(&b, GGUF_ARRAY, 2);
	put_array(&b, GGUF_STRING, 2);
	put_str(&b, "a");
	put_str(&b, "");
	put_array(&b, GGUF_U16, 1);
	put_u16(&b, 7);
	put_tensor(&b, "w", 1, 8, 1, QUANT_F32, 0);
	put_pad(&b, 32);
	put_zeros(&b, 32);
	return b;
}

/* All keys and tensors of a file, put again. */
static struct made copy_of(const struct gguf *g)
{
	struct gguf_writer *w = begin();

	for (int64_t i = 0; i < gguf_n_keys(g); i++)
		gguf_put_copy(w, g, i);
	for (int64_t i = 0; i < gguf_n_tensors(g); i++)
		gguf_put_tensor(w, gguf_tensor_at(g, i));
	return finish(w, NULL, NULL);
}

static void same(const char *what, const void *bytes, size_t n)
{
	char err[ERR_MAX];
	struct gguf *g = gguf_parse(bytes, n, what, err);
	struct made m;

	if (!g)
		fail_msg("%s", err);
	m = copy_of(g);
	if (m.rc != 0)
		fail_msg("%s: %s", what, m.err);
	assert_int_equal(m.n, n);
	assert_memory_equal(m.p, bytes, n);
	free(m.p);
	gguf_close(g);
}

/* Files by the gguf package for Python come out as they went in; so do values of all types. */
static void test_copies(void **state)
{
	static const char *const by_python[] = {
		"tests/vectors/quant_python_gguf.bin", "models/SmolLM2-135M-Instruct.little.gguf",
	};
	struct buf b = all_values();

	(void)state;
	same("values", b.p, b.n);
	buf_free(&b);
	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(by_python[i], "rb");
		uint8_t piece[4096];
		size_t n;

		assert_non_null(f);
		while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
			put(&b, piece, n);
		fclose(f);
		same(by_python[i], b.p, b.n);
		buf_free(&b);
	}
}

static void refused(struct gguf_writer *w, gguf_make_fn *make, void *user, const char *says)
{
	struct made m = finish(w, make, user);

	assert_int_equal(m.rc, -1);
	if (!strstr(m.err, says))
		fail_msg("'%s' and not '%s'", m.err, says);
	free(m.p);
}

/* What is wrong with what was put is told before a byte is written. */
static void test_refused(void **state)
{
	static const struct {
		const char *name;
		enum quant_type type;
		int64_t cols, rows;
		const char *says;
	} bad[] = {
		{ "", QUANT_F32, 8, 1, "1 to 64" }, { "w", QUANT_Q4_0, 33, 1, "block of Q4_0" },
		{ "w", QUANT_Q4_K, 32, 1, "multiple of 256" },
		{ "w", QUANT_F32, -1, 1, "dimension 0" },
		{ "w", QUANT_F32, (int64_t)1 << 40, (int64_t)1 << 40, "dimension 1" },
		{ "w", QUANT_F32, (int64_t)1 << 31, (int64_t)1 << 31, "64 bits" },
		{ "w", (enum quant_type)4, 32, 1, "type 4" }, { "there", QUANT_F32, 8, 1, "twice" },
	};
	static const uint32_t aligns[] = { 0, 4, 48, 1 << 17 };
	static const float data[8];
	struct gguf_writer *w;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct made m;

		w = begin();
		put_one(w, "there", QUANT_F32, 8, 0, data);
		put_one(w, bad[i].name, bad[i].type, bad[i].cols, bad[i].rows, data);
		m = finish(w, NULL, NULL);
		assert_int_equal(m.rc, -1);
		assert_int_equal(m.n, 0);
		if (!strstr(m.err, bad[i].says))
			fail_msg("'%s' and not '%s'", m.err, bad[i].says);
		free(m.p);
	}
	for (int i = 0; i < 4; i++) {
		w = begin();
		gguf_put_u32(w, "general.alignment", aligns[i]);
		refused(w, NULL, NULL, "power of two");
	}
	w = begin();
	gguf_put_u32(w, "key", 1);
	gguf_put_text(w, "key", "again");
	refused(w, NULL, NULL, "'key' cannot be written: it was put twice");
	w = begin();
	gguf_put_array(w, "key", GGUF_STRING, NULL, 0);
	refused(w, NULL, NULL, "no fixed size");
}

/* Gives n bytes; -1: fails by itself. */
static int give(void *user, const struct gguf_tensor *t, struct gguf_writer *w, char err[ERR_MAX])
{
	static const char bytes[64];
	const int *n = user;

	(void)t;
	if (*n >= 0)
		return gguf_data(w, bytes, (size_t)*n, err);
	snprintf(err, ERR_MAX, "the source is gone");
	return -1;
}

static void test_data(void **state)
{
	static const struct {
		int n;
		const char *says;
	} bad[] = {
		{ -1, "the source is gone" }, { 31, "1 of its 32 bytes" }, { 33, "room for 32" },
	};
	int n = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct gguf_writer *w = begin();

		n = bad[i].n;
		put_one(w, "w", QUANT_F32, 8, 0, NULL);
		refused(w, give, &n, bad[i].says);
	}
	struct gguf_writer *none = begin();

	put_one(none, "w", QUANT_F32, 8, 0, NULL);
	refused(none, NULL, NULL, "32 of its 32 bytes");
}

/* A full disk is told, and data that is still to be made is not asked for for ever. */
static void test_full(void **state)
{
	struct gguf_writer *w = begin();
	FILE *f = fopen("/dev/full", "wb");
	char err[ERR_MAX] = "";
	int n = 32;

	(void)state;
	assert_non_null(f);
	setvbuf(f, NULL, _IONBF, 0);
	put_one(w, "w", QUANT_F32, 8, 0, NULL);
	assert_int_equal(gguf_write(w, f, give, &n, err), -1);
	assert_non_null(strstr(err, "No space left"));
	fclose(f);
	gguf_writer_free(w);
}

/* A name may hold any byte, as it may in a file that is copied. */
static void test_zero_in_name(void **state)
{
	static const char name[] = "a\0b and so on, so that what is not copied is missed";
	static const float data[8] = { 1 };
	struct gguf_writer *w = begin();
	struct gguf_tensor t = tensor("", QUANT_F32, 8, 0, data);
	struct made m;
	struct gguf *g;
	char err[ERR_MAX];

	(void)state;
	t.name = (struct gguf_str){ name, sizeof(name) - 1 };
	gguf_put_tensor(w, &t);
	m = finish(w, NULL, NULL);
	assert_int_equal(m.rc, 0);
	g = gguf_parse(m.p, m.n, "made", err);
	assert_non_null(g);
	assert_int_equal(gguf_tensor_at(g, 0)->name.n, sizeof(name) - 1);
	assert_memory_equal(gguf_tensor_at(g, 0)->name.s, name, sizeof(name) - 1);
	gguf_close(g);
	free(m.p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes), cmocka_unit_test(test_copies),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_data),
		cmocka_unit_test(test_full), cmocka_unit_test(test_zero_in_name),
	};

	return cmocka_run_group_tests_name("gguf_write", tests, NULL, NULL);
}
