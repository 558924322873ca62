/* test_draft_compat.c - which little models may draft: what the big one's conversations have must
 * mean the same to both, and what nobody uses does not count. */
#include "engine/draft_compat.h"
#include "tests/mk.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "build/test-draft-compat-XXXXXX", big[64], little[64], err[ERR_MAX];

/* n bytes of the little model's file, `behind` bytes behind the first key. */
static void patch(const char *key, size_t behind, const void *bytes, size_t n)
{
	static char all[1 << 20];
	FILE *f = fopen(little, "r+b");
	char *at = memmem(all, fread(all, 1, sizeof(all), f), key, strlen(key));

	assert_non_null(at);
	fseek(f, at - all + (long)behind, SEEK_SET);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

static void put_id(const char *key, uint32_t id)
{
	patch(key, strlen(key) + 4, &id, sizeof(id));
}

static int check(bool framed)
{
	struct model *a = model_open(big, NULL, err), *b = model_open(little, NULL, err);
	struct tokenizer *tok = tokenizer_open(a->file, err);
	const struct template *frame = framed ? template_guess(a->file, tok, err) : NULL;
	int rc;

	assert_true(b && tok && !frame == !framed);
	*err = '\0';
	rc = draft_compat(a, tok, frame, b, err);
	tokenizer_close(tok);
	model_close(a);
	model_close(b);
	return rc;
}

/* ChatML in a vocabulary that does not ask for BOS: no conversation has one. */
static void test_unused(void **state)
{
	const struct mk_spec spec = MK_TINY;

	(void)state;
	assert_int_equal(mk_write(big, &spec, err), 0);
	assert_int_equal(mk_write(little, &spec, err), 0);
	put_id("tokenizer.ggml.bos_token_id", 0);
	put_id("tokenizer.ggml.eos_token_id", 0);
	assert_string_equal(check(true) ? err : "", "");
	assert_string_equal(check(false) ? err : "", "");
}

/* The marks of the frame are among the first ids, which are not compared for their own sake. */
static void test_marks(void **state)
{
	const struct mk_spec spec = MK_TINY;

	(void)state;
	assert_int_equal(mk_write(big, &spec, err), 0);
	assert_int_equal(mk_write(little, &spec, err), 0);
	patch("<|endoftext|>", 2, "END", 3);
	assert_string_equal(check(true) ? err : "", "");
	patch("<|im_start|>", 5, "START", 5);
	assert_int_equal(check(true), -1);
	assert_non_null(strstr(err, "<|im_start|>"));
	assert_non_null(strstr(err, "<|im_START|>"));
	assert_string_equal(check(false) ? err : "", "");
}

/* A SentencePiece vocabulary has BOS before every prompt. */
static void test_used(void **state)
{
	const struct mk_spec spec = MK_TINY;

	(void)state;
	assert_int_equal(mk_write_spm(big, &spec, err), 0);
	assert_int_equal(mk_write_spm(little, &spec, err), 0);
	put_id("tokenizer.ggml.bos_token_id", 0);
	assert_string_equal(check(false) ? err : "", "");
	patch("<|im_start|>", 5, "START", 5);
	assert_int_equal(check(false), -1);
	assert_non_null(strstr(err, "token 1 is"));
}

static int begin(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(big, sizeof(big), "%s/big.gguf", folder);
	snprintf(little, sizeof(little), "%s/little.gguf", folder);
	return 0;
}

static int end(void **state)
{
	(void)state;
	unlink(big);
	unlink(little);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unused),
		cmocka_unit_test(test_marks),
		cmocka_unit_test(test_used),
	};

	return cmocka_run_group_tests_name("pair", tests, begin, end);
}
