/* test_halt.c - a prompt that is being read stops soon when that is asked for, leaves nothing
 * behind, and goes on to the same bits.
 *
 * How soon is measured in processor time of a thread, between two questions whether to stop. */
#include "engine/decode/session.h"
#include "tests/forward_kit.h"
#include <stdatomic.h>
#include <time.h>

static const struct mk_spec specs[] = {
	{ .n_layers = 4, .n_embd = 512, .n_heads = 8, .n_kv_heads = 4, .n_ff = 1536,
	  .n_vocab = MK_VOCAB_MIN, .n_ctx = 1024, .type = "Q4_0", .tied = true, .seed = 21,
	  .head_dim = 64 },
	MK_SMALL(.n_layers = 7, .n_embd = 64, .n_heads = 4, .n_kv_heads = 1, .n_ff = 96,
		 .type = "Q8_0", .tied = true, .seed = 10, .arch = "gemma3", .head_dim = 32,
		 .window = 24),
};
enum { N_SPECS = sizeof(specs) / sizeof(specs[0]), PROMPT = 600, PIECE = 256 };

/* One of the questions is the first to be answered with yes. */
static atomic_long asked, yes_at;
static _Thread_local double last;
static _Atomic double longest;

static double thread_time(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static bool ask(void *ctx)
{
	double now = thread_time(), gap = last > 0 ? now - last : 0, most = atomic_load(&longest);

	(void)ctx;
	last = now;
	while (gap > most && !atomic_compare_exchange_weak(&longest, &most, gap))
		;
	return atomic_fetch_add(&asked, 1) >= atomic_load(&yes_at);
}

static struct session open_session(struct rig *r, const struct mk_spec *spec, int threads)
{
	struct backend_opt o = rig_opt(F16, "auto", threads);
	struct session s;
	char err[ERR_MAX] = "";

	o.n_batch = PIECE;
	*r = open_rig_on(&backend_cpu, spec, &o);
	if (session_open(&s, r->be, r->d, r->m, CTX, PIECE, err) != 0 ||
	    session_set(&s, tokens, PROMPT, err) != 0)
		fail_msg("%s", err);
	return s;
}

static void close_session(struct session *s, struct rig *r)
{
	session_close(s);
	close_rig(r);
}

/* The logits behind the prompt, of which the session reads the rest. */
static float *finish(struct session *s)
{
	size_t size = (size_t)s->n_out * sizeof(float);
	float *copy = malloc(size);
	char err[ERR_MAX] = "";
	const float *row;

	s->halt = NULL;
	row = session_extend(s, NULL, 0, err);
	if (!row)
		fail_msg("%s", err);
	return memcpy(copy, row, size);
}

/* Stopped at many places of the first and the second piece, over and over, then read to the end. */
static void check_bits(const struct mk_spec *spec, int threads)
{
	struct rig a, b;
	struct session s = open_session(&a, spec, threads), t = open_session(&b, spec, threads);
	float *want = finish(&s), *got;
	struct halt h = { .asked = ask };
	char err[ERR_MAX] = "";
	long n;

	t.halt = &h;
	for (int piece = 0; piece < 2; piece++) {
		int left = t.n - 1 - t.n_kv;

		for (long at = 0, step = 1; ; at += step, step += at / 4) {
			atomic_store(&asked, 0);
			atomic_store(&yes_at, at);
			n = session_prefill(&t, err);
			if (!h.seen)
				break;
			assert_int_equal(n, left);
			assert_int_equal(t.n - 1 - t.n_kv, left);
		}
		assert_int_equal(n, left - PIECE);
	}
	got = finish(&t);
	assert_memory_equal(want, got, (size_t)s.n_out * sizeof(float));
	free(want);
	free(got);
	close_session(&s, &a);
	close_session(&t, &b);
}

static void test_bits(void **state)
{
	(void)state;
	for (int i = 0; i < N_SPECS; i++)
		for (int threads = 1; threads <= 3; threads += 2)
			check_bits(&specs[i], threads);
}

/* A thread asks at least forty times as often as a piece has to be read; and what was asked for
 * ends all of it. */
static void test_soon(void **state)
{
	struct rig r;
	struct session s = open_session(&r, &specs[0], 1);
	struct halt h = { .asked = ask };
	double start = thread_time(), whole, rest;
	char err[ERR_MAX] = "";

	(void)state;
	s.halt = &h;
	last = 0;
	atomic_store(&longest, 0);
	atomic_store(&asked, 0);
	atomic_store(&yes_at, 1L << 40);
	assert_int_equal(session_prefill(&s, err), PROMPT - 1 - PIECE);
	whole = thread_time() - start;
	print_message("# a piece: %.0f ms, asked %ld times, %.1f ms apart at most\n", whole * 1e3,
		      atomic_load(&asked), atomic_load(&longest) * 1e3);
	assert_true(atomic_load(&longest) < whole / 40);
	atomic_store(&yes_at, 0);
	start = thread_time();
	assert_int_equal(session_prefill(&s, err), PROMPT - 1 - PIECE);
	rest = thread_time() - start;
	assert_true(h.seen);
	assert_true(rest < whole / 40);
	close_session(&s, &r);
}

/* A pass that makes logits is run to its end. */
static void test_not_decoding(void **state)
{
	struct rig r;
	struct session s = open_session(&r, &specs[1], 2);
	struct halt h = { .asked = ask };
	float *want = finish(&s);
	char err[ERR_MAX] = "";
	const float *got;

	(void)state;
	atomic_store(&yes_at, 0);
	session_truncate(&s, PROMPT - 1);
	s.tok[PROMPT - 1] = tokens[PROMPT - 1];
	s.n = PROMPT;
	s.halt = &h;
	got = session_extend(&s, NULL, 0, err);
	assert_non_null(got);
	assert_false(h.seen);
	assert_memory_equal(want, got, (size_t)s.n_out * sizeof(float));
	free(want);
	close_session(&s, &r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_soon),
		cmocka_unit_test(test_not_decoding),
	};

	make_tokens();
	return cmocka_run_group_tests_name("halt", tests, NULL, NULL);
}
