/* test_gguf_bad.c - malformed files: each is refused with a text that names what is wrong.
 *
 * Every case is parsed with an unmapped page right behind its last byte, so that reading too far
 * crashes in any build. */
#include "engine/gguf/gguf.h"
#include "tests/gguf_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Parses a copy of n bytes that ends where the readable memory ends; true if it was accepted. */
static bool accepted(const void *bytes, size_t n, char err[ERR_MAX])
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), room = (n + page - 1) / page * page;
	uint8_t *p = mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	assert_true(p != MAP_FAILED);
	assert_int_equal(mprotect(p + room, page, PROT_NONE), 0);
	if (n)
		memcpy(p + room - n, bytes, n);
	err[0] = 0;
	struct gguf *g = gguf_parse(p + room - n, n, "bad.gguf", err);
	bool yes = g != NULL;
	gguf_close(g);
	munmap(p, room + page);
	return yes;
}

/* Text files and other formats. */
static void not_gguf(void **state)
{
	static const struct {
		const char *bytes, *want;
	} cases[] = {
		{ "", "empty" },
		{ "GG", "not GGUF" },
		{ "Hello", "not GGUF" },
		{ "PK\x03\x04....", "zip" },
		{ "\x80\x02}q", "pickle" },
		{ "xxxxxxxx{\"__metadata__\"", "safetensors" },
		{ "lmgg....", "GGML" },
		{ "tjgg....", "GGJT" },
		{ "FUGG....", "big-endian" },
		{ "\x1f\x8b\x08", "gzip" },
		{ "version https://git-lfs.github.com/spec/v1", "git lfs pull" },
		{ "<!DOCTYPE html>", "web page" },
		{ "{\"architectures\"", "JSON" },
	};
	char err[ERR_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_false(accepted(cases[i].bytes, strlen(cases[i].bytes), err));
		if (!strstr(err, cases[i].want) || !strstr(err, "bad.gguf: byte 0"))
			fail_msg("case %zu: %s", i, err);
	}
}

/* The good file that the cases below vary: keys, one Q8_0 tensor of 2 x 32. */
struct shape {
	uint32_t version;
	uint64_t n_tensors, n_keys;
	uint64_t key_len;               /* of the second key, whose bytes are "key" */
	uint32_t type;                  /* of its value, eight bytes of zero */
	uint32_t align_type;
	uint64_t align;
	uint64_t name_len;              /* of the tensor, whose name is "weight" */
	uint32_t n_dims;
	uint64_t dim[5];
	uint32_t tensor_type;
	uint64_t offset;
	size_t data;                    /* bytes after the padding */
};

static const struct shape good = {
	.version = 3, .n_tensors = 1, .n_keys = 2, .key_len = 3, .type = GGUF_U64,
	.align_type = GGUF_U64, .align = 64, .name_len = 6, .n_dims = 2,
	.dim = { 32, 2, 1, 1, 1 }, .tensor_type = QUANT_Q8_0, .data = 68,
};

static void build(struct buf *b, const struct shape *s)
{
	put_head(b, s->version, s->n_tensors, s->n_keys);
	put_key(b, "general.alignment", (enum gguf_type)s->align_type);
	put_u64(b, s->align);
	put_u64(b, s->key_len);
	put(b, "key", 3);
	put_u32(b, s->type);
	put_u64(b, 0);
	put_u64(b, s->name_len);
	put(b, "weight", 6);
	put_u32(b, s->n_dims);
	for (uint32_t i = 0; i < s->n_dims && i < 5; i++)
		put_u64(b, s->dim[i]);
	put_u32(b, s->tensor_type);
	put_u64(b, s->offset);
	put_pad(b, 64);
	put_zeros(b, s->data);
}

#define HUGE UINT64_MAX

static struct bad {
	const char *what, *want, *also;         /* what the text must hold */
	struct shape s;
} bads[64];
static int n_bads;

/* A copy of the good shape to be spoilt. */
static struct shape *bad(const char *what, const char *want, const char *also)
{
	struct bad *b = &bads[n_bads++];

	*b = (struct bad){ what, want, also, good };
	return &b->s;
}

static void bad_headers(void)
{
	bad("old", "version 1 ", "byte 4")->version = 1;
	bad("no version", "version 0 ", "byte 4")->version = 0;
	bad("new", "version 4 ", "2 and 3")->version = 4;
	bad("swapped", "big-endian", "byte 4")->version = 0x03000000;
	bad("tensors", "18446744073709551615 tensors", "byte 8")->n_tensors = HUGE;
	bad("tensors", "20 tensors announced", "byte 8")->n_tensors = 20;
	bad("keys", "metadata keys announced", "byte 16")->n_keys = (uint64_t)1 << 63;
	bad("keys", "40 metadata keys announced", "byte 16")->n_keys = 40;
	bad("one key more", "tensor name needs", NULL)->n_keys = 3;
	bad("one tensor more", "tensor table", NULL)->n_tensors = 2;
}

static void bad_keys(void)
{
	bad("key beyond", "metadata", "key needs 18446744073709551615 bytes")->key_len = HUGE;
	bad("no key", "metadata", "a name of 0 bytes")->key_len = 0;
	bad("value type", "'key'", "value type 13 ")->type = 13;
	bad("value type", "'key'", "value type 4294967295 ")->type = UINT32_MAX;
	bad("align 0", "'general.alignment'", "power of two")->align = 0;
	bad("align 4", "'general.alignment'", "power of two")->align = 4;
	bad("align 48", "'general.alignment'", "power of two")->align = 48;
	bad("align 2^17", "'general.alignment'", "65536")->align = 131072;
	bad("align negative", "'general.alignment'", "integer")->align = HUGE;
	bad("align float", "'general.alignment'", "not an integer")->align_type = GGUF_F64;
}

static void bad_tensors(void)
{
	struct shape *s;

	bad("no name", "tensor table", "a name of 0 bytes")->name_len = 0;
	bad("name beyond", "tensor name needs", "download")->name_len = 1 << 20;
	bad("0 dims", "'weight'", "0 dimensions")->n_dims = 0;
	bad("5 dims", "'weight'", "5 dimensions")->n_dims = 5;
	bad("2^32 dims", "'weight'", "4294967295 dimensions")->n_dims = UINT32_MAX;
	bad("zero", "'weight'", "dimension 1 is 0")->dim[1] = 0;
	bad("2^63", "'weight'", "dimension 0 is 9223372036854775808")->dim[0] = (uint64_t)1 << 63;
	s = bad("product", "'weight'", "2^63 elements");
	s->dim[0] = s->dim[1] = (uint64_t)1 << 32;
	s = bad("bytes", "'weight'", "64 bits");
	s->dim[0] = (uint64_t)1 << 62;
	s->dim[1] = 1;
	s->tensor_type = QUANT_F32;
	bad("IQ3_S", "type 21 (IQ3_S)", "F32 F16 BF16 Q4_0")->tensor_type = 21;
	bad("Q4_2", "type 4 (Q4_2)", "'weight'")->tensor_type = 4;
	bad("MXFP4", "type 39 (MXFP4)", "'weight'")->tensor_type = 39;
	bad("type", "type 4294967295 (unknown)", "Q6_K")->tensor_type = UINT32_MAX;
	bad("block", "'weight'", "33 is no multiple of 32, the block of Q8_0")->dim[0] = 33;
	s = bad("block", "'weight'", "128 is no multiple of 256, the block of Q4_K");
	s->dim[0] = 128;
	s->tensor_type = QUANT_Q4_K;
	bad("offset", "'weight'", "no multiple of the alignment 64")->offset = 32;
	bad("beyond", "'weight'", "cut short")->offset = 128;
	bad("wraps", "'weight'", "cut short")->offset = HUGE - 63;
	bad("cut", "'weight'", "has 67")->data = 67;
	bad("no data", "'weight'", "has 0")->data = 0;
}

static void malformed(void **state)
{
	char err[ERR_MAX];
	struct buf b = { 0 };

	(void)state;
	build(&b, &good);
	if (!accepted(b.p, b.n, err))
		fail_msg("good: %s", err);
	bad_headers();
	bad_keys();
	bad_tensors();
	assert_int_equal(n_bads, 40);
	for (int i = 0; i < n_bads; i++) {
		b.n = 0;
		build(&b, &bads[i].s);
		if (accepted(b.p, b.n, err))
			fail_msg("%s: accepted", bads[i].what);
		if (strncmp(err, "bad.gguf: byte ", 15) || !strstr(err, bads[i].want) ||
		    (bads[i].also && !strstr(err, bads[i].also)))
			fail_msg("%s: %s", bads[i].what, err);
	}
	buf_free(&b);
}

/* Files of one key whose value is in body. */
static void refuse_value(enum gguf_type type, const struct buf *body, const char *want)
{
	struct buf b = { 0 };
	char err[ERR_MAX];

	put_head(&b, 3, 0, 1);
	put_key(&b, "k", type);
	put(&b, body->p, body->n);
	if (accepted(b.p, b.n, err))
		fail_msg("accepted; wanted: %s", want);
	if (!strstr(err, "key 'k'") || !strstr(err, want))
		fail_msg("%s; wanted: %s", err, want);
	buf_free(&b);
}

static void bad_values(void **state)
{
	static const struct {
		uint32_t elem;
		uint64_t n;
		const char *want;
	} lies[] = {
		{ GGUF_U8, 65, "65 array elements announced" },
		{ GGUF_U64, 9, "hold at most 8" },
		{ GGUF_U64, (uint64_t)1 << 61, "array elements announced" },    /* * 8 wraps */
		{ GGUF_U16, (uint64_t)1 << 63, "array elements announced" },
		{ GGUF_STRING, 9, "hold at most 8" },
		{ GGUF_STRING, HUGE, "array elements announced" },
		{ GGUF_ARRAY, 6, "hold at most 5" },
		{ GGUF_TYPE_N, 1, "array element type 13" },
		{ 0x80000000, 1, "array element type 2147483648" },
	};
	struct buf b = { 0 };

	(void)state;
	put_u32(&b, 1);
	refuse_value(GGUF_F64, &b, "value needs 8 bytes");
	b.n = 0;
	put_u64(&b, 5);
	put(&b, "four", 4);
	refuse_value(GGUF_STRING, &b, "string needs 5 bytes but the file ends after 4");
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		b.n = 0;
		put_array(&b, (enum gguf_type)lies[i].elem, lies[i].n);
		put_zeros(&b, 64);
		refuse_value(GGUF_ARRAY, &b, lies[i].want);
	}
	b.n = 0;
	put_array(&b, GGUF_STRING, 2);
	put_str(&b, "fits");
	put_u64(&b, HUGE);
	refuse_value(GGUF_ARRAY, &b, "array string needs 18446744073709551615");
	b.n = 0;
	for (int i = 0; i < 100; i++)
		put_array(&b, GGUF_ARRAY, 1);
	refuse_value(GGUF_ARRAY, &b, "nested");
	buf_free(&b);
}

static void long_names(void **state)
{
	static char name[65537];
	struct buf b = { 0 };
	char err[ERR_MAX];

	(void)state;
	memset(name, 'n', 65536);
	put_head(&b, 3, 0, 1);
	put_key_u32(&b, name, 1);
	assert_false(accepted(b.p, b.n, err));
	assert_non_null(strstr(err, "a name of 65536 bytes"));
	name[257] = 0;
	for (int len = 257; len >= 256; len--) {
		name[len] = 0;
		b.n = 0;
		put_head(&b, 3, 1, 0);
		put_tensor(&b, name, 1, 32, 1, QUANT_F32, 0);
		put_pad(&b, 32);
		put_zeros(&b, 128);
		assert_int_equal(accepted(b.p, b.n, err), len == 256);
	}
	assert_string_equal(err, "");
	buf_free(&b);
}

/* Hostile names do not reach the terminal as they are. */
static void names_are_made_visible(void **state)
{
	struct buf b = { 0 };
	char err[ERR_MAX];

	(void)state;
	put_head(&b, 3, 1, 0);
	put_tensor(&b, "\x1b]0;owned\x07\xc2\x9b" "2J", 1, 1, 1, 77, 0);
	assert_false(accepted(b.p, b.n, err));
	assert_non_null(strstr(err, "tensor '\\x1b]0;owned\\x07\\xc2\\x9b2J'"));
	buf_free(&b);
}

static void twice(void **state)
{
	struct buf b = { 0 };
	char err[ERR_MAX];

	(void)state;
	put_head(&b, 3, 0, 3);
	put_key_u32(&b, "same", 1);
	put_key_u32(&b, "other", 1);
	put_key_str(&b, "same", "x");
	assert_false(accepted(b.p, b.n, err));
	assert_non_null(strstr(err, "key 'same': appears twice"));
	for (int kind = 0; kind < 3; kind++) {  /* the same name; overlapping bytes; neither */
		b.n = 0;
		put_head(&b, 3, 3, 0);
		put_tensor(&b, "t", 1, 9, 1, QUANT_F32, 64);
		put_tensor(&b, "u", 1, 8, 1, QUANT_F32, kind == 1 ? 96 : 0);
		put_tensor(&b, kind == 0 ? "t" : "v", 1, 8, 1, QUANT_F32, 128);
		put_pad(&b, 32);
		put_zeros(&b, 160);
		assert_int_equal(accepted(b.p, b.n, err), kind == 2);
		static const char *const want[] = { "tensor 't': appears twice",
						    "tensor 'u': its bytes overlap", "" };
		if (!strstr(err, want[kind]))
			fail_msg("%s", err);
	}
	buf_free(&b);
}

/* Every beginning of a good file is refused, and says something. */
static void cut_anywhere(void **state)
{
	struct buf b = { 0 };
	char err[ERR_MAX];

	(void)state;
	put_head(&b, 3, 1, 4);
	put_key_str(&b, "s", "text");
	put_key(&b, "a", GGUF_ARRAY);
	put_array(&b, GGUF_STRING, 2);
	put_str(&b, "one");
	put_str(&b, "two");
	put_key(&b, "n", GGUF_ARRAY);
	put_array(&b, GGUF_ARRAY, 1);
	put_array(&b, GGUF_F32, 2);
	put_u64(&b, 0);
	put_key(&b, "b", GGUF_BOOL);
	put_u8(&b, 1);
	put_tensor(&b, "w", 2, 256, 2, QUANT_Q6_K, 0);
	put_pad(&b, 32);
	put_zeros(&b, 420);
	for (size_t n = 0; n < b.n; n++) {
		if (accepted(b.p, n, err))
			fail_msg("the first %zu of %zu bytes were accepted", n, b.n);
		assert_true(err[0] != 0);
	}
	assert_true(accepted(b.p, b.n, err));
	buf_free(&b);
}

static void refuse_path(const char *path, const char *want)
{
	char err[ERR_MAX] = "";
	struct gguf *g = gguf_open(path, err);

	assert_null(g);
	if (!strstr(err, want))
		fail_msg("%s: %s; wanted: %s", path, err, want);
}

static void bad_paths(void **state)
{
	char dir[] = "/tmp/test_gguf_XXXXXX", path[64], deep[900] = "";

	(void)state;
	assert_non_null(mkdtemp(dir));
	refuse_path(dir, "directory");
	refuse_path("/dev/null", "not a regular file");
	refuse_path("", "cannot open");
	snprintf(path, sizeof(path), "%s/x", dir);
	refuse_path(path, "No such file");
	refuse_path(path, path);
	assert_int_equal(mkfifo(path, 0600), 0);
	refuse_path(path, "not a regular file");        /* and does not wait for a writer */
	unlink(path);
	FILE *f = fopen(path, "wb");
	assert_non_null(f);
	fclose(f);
	refuse_path(path, "empty");
	unlink(path);
	rmdir(dir);
	for (int i = 0; i < 290; i++)
		memcpy(deep + 3 * i, "d/\xff", 3);
	refuse_path(deep, "No such file");      /* a long name does not crowd out the reason */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_gguf),     cmocka_unit_test(malformed),
		cmocka_unit_test(bad_values),   cmocka_unit_test(long_names),
		cmocka_unit_test(names_are_made_visible), cmocka_unit_test(twice),
		cmocka_unit_test(cut_anywhere), cmocka_unit_test(bad_paths),
	};

	return cmocka_run_group_tests_name("gguf_bad", tests, NULL, NULL);
}
