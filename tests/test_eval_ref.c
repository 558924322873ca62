/* test_eval_ref.c - recorded logits: divergence by hand-computed values, and malformed files.
 *
 * Expected divergences were worked out on paper from probabilities that are small fractions. */
#include "app/tools/eval.h"
#include "engine/decode/probs.h"

#include <math.h>
#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[] = "/tmp/s3d-ref-XXXXXX";
static char err[ERR_MAX];

struct image {
	unsigned char b[512];
	size_t n;
};

static void put_u32(struct image *m, uint32_t x)
{
	for (int i = 0; i < 4; i++)
		m->b[m->n++] = (unsigned char)(x >> 8 * i);
}

static void put_f32(struct image *m, float x)
{
	uint32_t u;

	memcpy(&u, &x, 4);
	put_u32(m, u);
}

/* One chunk of 4 tokens (so one row, which predicts token 3) over a vocabulary of 4. */
static struct image header(uint32_t top)
{
	static const uint32_t v[] = { 1, 1, 4, 1, 4 }, ids[] = { 3, 1, 0, 2 };
	struct image m = { .n = 8 };

	memcpy(m.b, "S3DKLREF", 8);
	for (int i = 0; i < 5; i++)
		put_u32(&m, v[i]);
	put_u32(&m, top);
	for (int i = 0; i < 4; i++)
		put_u32(&m, ids[i]);
	return m;
}

static void put_full(struct image *m)
{
	/* 1/2 1/4 1/8 1/8, moved by a constant that must not matter */
	put_f32(m, 5 + logf(0.5f));
	put_f32(m, 5 + logf(0.25f));
	put_f32(m, 5 + logf(0.125f));
	put_f32(m, 5 + logf(0.125f));
}

static int open_image(struct eval_ref *r, const struct image *m)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(m->b, 1, m->n, f), m->n);
	assert_int_equal(fclose(f), 0);
	err[0] = '\0';
	return eval_ref_open(r, path, err);
}

/* Our distribution is 1/4 everywhere: KL = 1/2 log 2 + 1/4 log 1 + 2/8 log 1/2 = log(2) / 4. */
static void test_full(void **state)
{
	static const float flat[4] = { 7, 7, 7, 7 };
	struct image m = header(0);
	struct eval_row row;
	struct eval_ref r;

	(void)state;
	put_full(&m);
	assert_int_equal(open_image(&r, &m), 0);
	assert_int_equal(r.ids[3], 2);
	assert_int_equal(eval_ref_compare(&r, flat, 2, &row, err), 0);
	assert_true(fabs(row.kl - log(2) / 4) < 1e-6);
	assert_true(fabs(row.logp_ref - log(0.125)) < 1e-6);
	assert_true(row.same_top);
	assert_int_equal(eval_ref_compare(&r, flat, 2, &row, err), -1);
	assert_non_null(strstr(err, "ends early"));
	eval_ref_close(&r);
}

/* Against itself: 0, whatever constant is added. */
static void test_same(void **state)
{
	float ours[4] = { logf(0.5f) - 3, logf(0.25f) - 3, logf(0.125f) - 3, logf(0.125f) - 3 };
	struct image m = header(0);
	struct eval_row row;
	struct eval_ref r;

	(void)state;
	put_full(&m);
	assert_int_equal(open_image(&r, &m), 0);
	assert_int_equal(eval_ref_compare(&r, ours, 0, &row, err), 0);
	assert_true(fabs(row.kl) < 1e-12);
	assert_true(row.same_top);
	eval_ref_close(&r);
}

/* The likeliest only, against 1/8 1/8 1/4 1/2: 1/2 log 4 + 1/2 log(1/2 / (7/8)). */
static void test_top(void **state)
{
	float ours[4] = { logf(0.125f), logf(0.125f), logf(0.25f), logf(0.5f) };
	struct image m = header(1);
	struct eval_row row;
	struct eval_ref r;

	(void)state;
	put_u32(&m, 0);
	put_f32(&m, logf(0.5f));
	assert_int_equal(open_image(&r, &m), 0);
	assert_int_equal(eval_ref_compare(&r, ours, 2, &row, err), 0);
	assert_true(fabs(row.kl - (0.5 * log(4) + 0.5 * log(4.0 / 7))) < 1e-6);
	assert_true(isnan(row.logp_ref));
	assert_false(row.same_top);
	eval_ref_close(&r);
}

static void assert_refused(const struct image *m, const char *says)
{
	struct eval_ref r;

	if (open_image(&r, m) != -1 || !strstr(err, says))
		fail_msg("should be refused with '%s', got '%s'", says, err);
}

static void test_malformed(void **state)
{
	struct image m = header(0), bad;

	(void)state;
	put_full(&m);
	for (size_t n = 0; n < m.n; n++) {
		bad = m;
		bad.n = n;
		assert_refused(&bad, n < 32 ? "not a reference" : "header asks for");
	}
	bad = m;
	bad.b[8] = 2;
	assert_refused(&bad, "version 2");
	for (int at = 12; at < 32; at += 4) {
		bad = m;
		memset(bad.b + at, 0xff, 4);
		assert_refused(&bad, "impossible header");
	}
	bad = m;
	bad.b[32] = 4;
	assert_refused(&bad, "outside the vocabulary");
	bad = m;
	bad.b[28] = 3;          /* three of the likeliest take 24 bytes, not 16 */
	assert_refused(&bad, "header asks for");
}

static void test_bad_top_id(void **state)
{
	static const float flat[4] = { 0 };
	struct image m = header(1);
	struct eval_row row;
	struct eval_ref r;

	(void)state;
	put_u32(&m, 4);
	put_f32(&m, logf(0.5f));
	assert_int_equal(open_image(&r, &m), 0);
	assert_int_equal(eval_ref_compare(&r, flat, 2, &row, err), -1);
	assert_non_null(strstr(err, "vocabulary has 4"));
	eval_ref_close(&r);
}

static void test_log_sum(void **state)
{
	static const float big[3] = { 1000, 1000, -1000 };

	(void)state;
	assert_true(fabs(eval_log_sum(big, 3) - (1000 + log(2))) < 1e-9);
	assert_int_equal(probs_argmax(big, 3), 0);
}

static int setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full), cmocka_unit_test(test_same),
		cmocka_unit_test(test_top), cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_bad_top_id), cmocka_unit_test(test_log_sum),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
