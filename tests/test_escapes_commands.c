/* test_escapes_commands.c - hostile bytes in a vocabulary, in names of models and prompts and in
 * options, through tokenize, bench, eval and calibrate, onto a pty: nothing that a terminal obeys
 * comes out, and a file gets what it is, byte for byte. */
#include "app/config/args.h"
#include "app/bench/bench.h"
#include "app/tools/calibrate.h"
#include "app/tools/eval.h"
#include "base/text.h"
#include "app/tools/tokenize.h"
#include "engine/text/tokenizer.h"
#include "tests/escape_kit.h"
#include "tests/home_kit.h"
#include "tests/mk.h"

#include <sys/stat.h>

static char hostile[UNSAFE_TEXT];       /* the whole list in one text */
static char model_file[512], folder[128];

/* The most of the list that a file name may hold. */
static void hostile_name(char *out, size_t cap)
{
	static const uint32_t some[] = { 0x1B, 0x07, '\n', 0x7F, 0x9B, 0x61C, 0x200B, 0x200E,
		0x200F, 0x2028, 0x202E, 0x2060, 0x2066, 0x206F, 0xFEFF, 0xFFF9, 0xFFFB, 0xE0041,
		0xE007F };
	size_t n = 0;

	for (size_t i = 0; i < sizeof(some) / sizeof(some[0]) && n + 6 < cap; i++) {
		out[n++] = 'a';
		n += unsafe_utf8(some[i], out + n);
	}
	out[n] = '\0';
}

static int make_hostile_files(void)
{
	static const struct mk_spec tiny = MK_TINY;
	char err[ERR_MAX], name[128], path[512];
	FILE *f;

	unsafe_text(hostile, true);
	hostile_name(name, sizeof(name));
	snprintf(model_file, sizeof(model_file), "%s/%s.gguf", home, name);
	snprintf(folder, sizeof(folder), "%s/prompts", home);
	snprintf(path, sizeof(path), "%s/%s.txt", folder, name);
	if (mk_write(model_file, &tiny, err) || mkdir(folder, 0700) || !(f = fopen(path, "w")))
		return -1;
	fputs("hello", f);
	return fclose(f);
}

static void read_options(struct options *o)
{
	args_defaults(o);
	o->model = model_file;
	o->model_draft = o->sidecar = "none";
	o->backend = "cpu";
	o->threads = 1;
	o->reps = 1;
}

static int told(int rc, const char *err)
{
	if (rc < 0)
		text_tell("s3dchat", err);      /* as main does */
	return rc;
}

static int decode(void)
{
	char err[ERR_MAX] = "";

	return told(tokenize_main(model_file, true, false, err), err);
}

/* The ids of the hostile text, one for each of its bytes. */
static void write_ids(const char *path)
{
	static int ids[UNSAFE_TEXT];
	char err[ERR_MAX];
	struct gguf *g = gguf_open(model_file, err);
	struct tokenizer *t = tokenizer_open(g, err);
	int n = tokenizer_encode(t, hostile, strlen(hostile), false, ids, UNSAFE_TEXT, err);
	FILE *f = fopen(path, "w");

	assert_true(n > 0 && f);
	for (int i = 0; i < n; i++)
		fprintf(f, "%d ", ids[i]);
	fclose(f);
	tokenizer_close(t);
	gguf_close(g);
}

static void test_tokenize_decode(void **state)
{
	char path[64];
	size_t bytes;
	int master;
	pid_t pid;

	(void)state;
	snprintf(path, sizeof(path), "%s/ids", home);
	write_ids(path);
	pid = start(decode, path, &master);
	bytes = check_all(master);
	assert_int_equal(end(pid, master), 0);
	assert_true(bytes > strlen(hostile));
}

static int to_file(void)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/decoded", home);
	return freopen(path, "w", stdout) ? decode() : 1;
}

/* A pipe or a file gets the very bytes. */
static void test_tokenize_decode_to_a_file(void **state)
{
	char path[64], got[UNSAFE_TEXT];
	int master;
	size_t n;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/ids", home);
	write_ids(path);
	pid_t pid = start(to_file, path, &master);
	assert_int_equal(check_all(master), 0);
	assert_int_equal(end(pid, master), 0);
	snprintf(path, sizeof(path), "%s/decoded", home);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(got, 1, sizeof(got), f);
	fclose(f);
	assert_int_equal(n, strlen(hostile));
	assert_memory_equal(got, hostile, n);
}

static int bench_both(void)
{
	struct options o;
	char err[ERR_MAX] = "";
	int rc = 0;

	read_options(&o);
	o.quick = o.strategies = true;
	o.prompts = folder;
	for (int i = 0; i < 2; i++) {
		o.csv = i;
		rc |= told(bench_run(&o, stdout, err), err);
	}
	o.prompts = model_file;         /* refused, with its name */
	told(bench_run(&o, stdout, err), err);
	return rc;
}

static int eval_both(void)
{
	struct options o;
	char err[ERR_MAX] = "";

	read_options(&o);
	o.arg[0] = "/no/such\033[2J\u200Efile";
	told(eval_run(&o, stdout, err), err);
	o.arg[0] = model_file;
	o.chunks = 1;
	return told(eval_run(&o, stdout, err), err);
}

static int calibrate_refused(void)
{
	struct options o;
	char err[ERR_MAX] = "";

	read_options(&o);
	o.output = "/no/such\033[2J\u200Efolder/x";
	return told(calibrate_main(&o, stdout, err), err) < 0 ? 0 : 1;
}

static void check_command(int (*what)(void), size_t least)
{
	int master;
	pid_t pid = start(what, "/dev/null", &master);
	size_t bytes = 0;
	struct checker k = { 0 };
	char all[1 << 16];
	ssize_t n;

	while ((n = read(master, all + bytes, sizeof(all) - 1 - bytes)) > 0)
		bytes += (size_t)n;
	assert_int_equal(end(pid, master), 0);
	assert_null(memchr(all, 0, bytes));
	all[bytes] = '\0';
	strip_own(all);
	check(&k, all, strlen(all));
	assert_true(bytes > least);
}

static void test_bench(void **state)
{
	(void)state;
	check_command(bench_both, 500);
}

static void test_eval_and_calibrate(void **state)
{
	(void)state;
	check_command(eval_both, 50);
	check_command(calibrate_refused, 20);
}

static int set_up(void **state)
{
	(void)state;
	return home_open() ? -1 : make_hostile_files();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tokenize_decode),
		cmocka_unit_test(test_tokenize_decode_to_a_file), cmocka_unit_test(test_bench),
		cmocka_unit_test(test_eval_and_calibrate),
	};

	return cmocka_run_group_tests(tests, set_up, home_close);
}
