/* test_calibrate_files.c - what a calibration reads and writes: interrupted, hostile, out of disk,
 * and another one at the same place. */
#include "tests/calibrate_kit.h"

static long size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

static void interrupt(long at)
{
	struct calibrate_result r;
	char err[ERR_MAX];

	unlink(out);
	stop_at = at;
	assert_int_equal(calibrate((struct calibrate_opt){ .minutes = 10 }, &r, err), 1);
	assert_true(r.kept == !strstr(notes, "left alone"));
	stop_at = 0;
	assert_int_equal(access(out, F_OK), -1);
}

static void test_interrupted(void **state)
{
	struct calibrate_result r;
	long first, second;

	(void)state;
	make(&tiny);
	unlink(out);
	interrupt(700);
	first = size_of(part);
	assert_true(first > 1000);
	interrupt(700);                 /* what was read counts as well */
	second = size_of(part);
	assert_true(second > first);
	assert_int_equal(truncate(part, second - 5), 0);
	must((struct calibrate_opt){ .sums_most = 0 }, &r);
	check_sidecar(&r);
	assert_int_equal(*notes, 0);
}

/* Numbers of the conversations that a state file has. */
static int count_said(int n_vocab, int most, int *last)
{
	char err[ERR_MAX], note[ERR_MAX], base[65];
	struct model *m = model_open(model, NULL, err);
	struct state *s;
	struct sample t;
	int n = 0;

	sidecar_base(m, base);
	model_close(m);
	s = state_open(part, base, n_vocab, most, note, err);
	if (!s)
		return -1;
	for (*last = -1; state_read(s, &t); n++) {
		assert_true(t.n <= most && t.n_prompt < t.n);
		*last = t.number;
	}
	state_close(s, false);
	return n;
}

static void patch(long at, const void *bytes, size_t n)
{
	int fd = open(part, O_WRONLY);

	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

/* A state file as somebody else might leave it. */
static void test_hostile(void **state)
{
	enum { HEAD = 80, MOST = CONTEXT };
	static const uint32_t wrong[] = { 0xffffffff, 0, 5000 };
	struct calibrate_result r;
	int n, last, again;
	char text[16] = "";
	FILE *f;

	(void)state;
	make(&tiny);
	for (int i = 0; i < 9; i++) {   /* number, n_prompt, n and ids of the first record */
		interrupt(500);
		n = count_said(MK_VOCAB_MIN, MOST, &last);
		assert_true(n > 5);
		patch(HEAD + (i < 3 ? 4 * i : i < 6 ? 12 : 16 + 4 * i), &wrong[i % 3], 4);
		assert_int_equal(count_said(MK_VOCAB_MIN, MOST, &again), 0);
		assert_int_equal(size_of(part), HEAD);
		unlink(part);
	}
	interrupt(500);
	patch(20, "?", 1);              /* another model's */
	must((struct calibrate_opt){ .sums_most = 0 }, &r);
	assert_non_null(strstr(notes, "another model and is begun anew"));
	f = fopen(part, "w");
	fputs("my own notes", f);
	fclose(f);
	interrupt(500);
	assert_non_null(strstr(notes, "left alone"));
	must((struct calibrate_opt){ .sums_most = 0 }, &r);
	assert_non_null(strstr(notes, "left alone"));
	f = fopen(part, "r");
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "my own notes");
	unlink(part);
	assert_int_equal(mkdir(part, 0755), 0);
	must((struct calibrate_opt){ .sums_most = 0 }, &r);
	assert_true(strstr(notes, "can not be interrupted") && rmdir(part) == 0);
}

static void test_locked(void **state)
{
	char err[ERR_MAX] = "", note[ERR_MAX], base[65];
	struct calibrate_result r;
	struct model *m;
	struct state *s;
	int last;

	(void)state;
	make(&tiny);
	m = model_open(model, NULL, err);
	sidecar_base(m, base);
	model_close(m);
	s = state_open(part, base, MK_VOCAB_MIN, CONTEXT, note, err);
	assert_non_null(s);
	assert_int_equal(calibrate((struct calibrate_opt){ .sums_most = 0 }, &r, err), -1);
	assert_non_null(strstr(err, "another calibration"));
	/* whole, and with the right check sum, but no tokens of this model */
	state_write(s, &(struct sample){ 1, 1, 3, (int[]){ 1, 5000, 2 } }, err);
	state_close(s, false);
	assert_int_equal(count_said(MK_VOCAB_MIN, CONTEXT, &last), 0);
	unlink(part);
}

static void put_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_true(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void has_text(const char *path, const char *text)
{
	char got[64] = "";
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	if (!fgets(got, sizeof(got), f))
		*got = '\0';
	fclose(f);
	assert_string_equal(got, text);
}

/* Links where names can be foreseen, to files of somebody who does not know of it. */
static void test_links(void **state)
{
	struct calibrate_result r;
	char victim[96], empty[96], tmp[96];

	(void)state;
	make(&tiny);
	snprintf(victim, sizeof(victim), "%s/victim", folder);
	snprintf(empty, sizeof(empty), "%s/empty", folder);
	snprintf(tmp, sizeof(tmp), "%s.tmp", out);
	put_text(victim, "dear to me");
	put_text(empty, "");
	unlink(out);
	assert_true(!symlink("victim", tmp) && !symlink("victim", out) && !symlink("empty", part));
	must((struct calibrate_opt){ .sums_most = 0 }, &r);
	assert_non_null(strstr(notes, "a link, which is left alone"));
	has_text(victim, "dear to me");
	has_text(empty, "");
	assert_int_equal(unlink(tmp), 0);
	assert_int_equal(unlink(part), 0);
	check_sidecar(&r);
	unlink(out);
}

/* A pipe, a device: what is no file does not become one. */
static void test_no_file(void **state)
{
	char pipe[96];
	struct stat st;

	(void)state;
	make(&tiny);
	snprintf(pipe, sizeof(pipe), "%s/pipe", folder);
	assert_int_equal(mkfifo(pipe, 0600), 0);
	refused((struct calibrate_opt){ .out = pipe }, "not an ordinary file");
	assert_true(!lstat(pipe, &st) && S_ISFIFO(st.st_mode));
}

static const char *second_says;

/* Another one for the same sidecar, when the first has begun. */
static void second(void *ctx, double seconds, size_t bytes)
{
	struct calibrate_result r;
	char err[ERR_MAX] = "";
	struct calibrate_opt o = *(const struct calibrate_opt *)ctx;

	o.begin = NULL;
	o.minutes = 0.02;
	assert_int_equal(calibrate_run(&o, &r, err), -1);
	assert_non_null(strstr(err, "another calibration is at work"));
	second_says = "refused";
	on_begin(NULL, seconds, bytes);
}

static void test_at_once(void **state)
{
	struct calibrate_opt o = { .engine = { .model = model, .backend = "cpu",
					       .be = { .n_threads = 1 } },
				   .out = out, .minutes = 0.02, .lanes = 8, .begin = second };
	struct calibrate_result r;
	char err[ERR_MAX] = "";

	(void)state;
	make(&tiny);
	for (int i = 0; i < 2; i++) {
		second_says = "";
		told = 1;
		o.text = i ? "LICENSE" : NULL;
		o.ctx = &o;
		assert_string_equal(calibrate_run(&o, &r, err) ? err : "", "");
		assert_string_equal(second_says, "refused");
		check_sidecar(&r);
	}
}

/* What an earlier one has kept is not lost to one that reads a text. */
static void test_text_keeps(void **state)
{
	struct calibrate_result r;
	long kept;

	(void)state;
	make(&tiny);
	interrupt(700);
	kept = size_of(part);
	must((struct calibrate_opt){ .text = "LICENSE" }, &r);
	assert_int_equal(size_of(part), kept);
	unlink(part);
}

static void limit_files(rlim_t most)
{
	struct rlimit l;

	getrlimit(RLIMIT_FSIZE, &l);
	l.rlim_cur = most;
	setrlimit(RLIMIT_FSIZE, &l);
}

/* The disk is full soon, and has no room for the sidecar; an old one stays. */
static void test_full(void **state)
{
	struct calibrate_result r;
	char err[ERR_MAX] = "";

	(void)state;
	make(&tiny);
	put_text(out, "the old one");
	signal(SIGXFSZ, SIG_IGN);
	limit_files(200);
	assert_int_equal(calibrate((struct calibrate_opt){ .minutes = 0.1 }, &r, err), -1);
	limit_files(RLIM_INFINITY);
	signal(SIGXFSZ, SIG_DFL);
	assert_non_null(strstr(err, "cannot write"));
	assert_non_null(strstr(notes, "can not be interrupted from here on"));
	assert_null(strstr(strchr(notes, '\n') + 1, "interrupted"));    /* once */
	has_text(out, "the old one");
	assert_true(size_of(part) >= 80 && size_of(part) <= 200);
	must((struct calibrate_opt){ .sums_most = 0 }, &r);
	check_sidecar(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_no_file),
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_text_keeps),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests_name("calibrate_files", tests, begin, end);
}
