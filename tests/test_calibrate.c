/* test_calibrate.c - whole calibrations of tiny models: of every architecture, interrupted, out of
 * disk and of memory. */
#include "engine/calibrate_parts.h"
#include "engine/probs.h"
#include "tests/mk.h"
#include <fcntl.h>
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

static char folder[] = "build/test-calibrate-XXXXXX";
static char model[64], out[64], part[80], notes[4096];

static void on_note(void *ctx, const char *text)
{
	(void)ctx;
	strncat(notes, text, sizeof(notes) - strlen(notes) - 2);
	strcat(notes, "\n");
}

static long asked, stop_at, told;
static double begin_s;
static size_t begin_bytes;
static bool stop(void *ctx)
{
	(void)ctx;
	return stop_at && ++asked > stop_at;
}

static void on_progress(void *ctx, double done, double left, const char *what)
{
	(void)ctx, (void)what;
	assert_true(done >= 0 && done < 1 && left > 0);
	told++;
}

static void on_begin(void *ctx, double seconds, size_t bytes)
{
	(void)ctx;
	begin_s = seconds;
	begin_bytes = bytes;
}

static int calibrate(struct calibrate_opt o, struct calibrate_result *r, char err[ERR_MAX])
{
	o.engine = (struct engine_opt){ .model = model, .backend = "cpu",
					.chat_template = o.engine.chat_template,
					.be = { .n_threads = 2, .kernels = "auto" } };
	o.out = o.out ? o.out : out;
	o.minutes = o.minutes > 0 ? o.minutes : 0.02;
	o.lanes = 8;
	o.begin = on_begin;
	o.progress = on_progress;
	o.note = on_note;
	o.stop = stop;
	asked = told = *notes = 0;
	return calibrate_run(&o, r, err);
}

static void must(struct calibrate_opt o, struct calibrate_result *r)
{
	char err[ERR_MAX] = "";

	assert_string_equal(calibrate(o, r, err) ? err : "", "");
}

static void make(const struct mk_spec *spec)
{
	char err[ERR_MAX];

	assert_int_equal(mk_write(model, spec, err), 0);
}

static const struct mk_spec tiny = MK_TINY;

static void check_sidecar(const struct calibrate_result *r)
{
	char err[ERR_MAX];
	struct model *m = model_open(model, NULL, err);
	struct sidecar *s = sidecar_open(out, m, err);
	const struct calibrate_row *row = &r->row[r->chosen];

	if (!s)
		fail_msg("%s", err);
	assert_int_equal(s->bridge.a, row->a);
	assert_int_equal(s->bridge.s, row->s);
	assert_int_equal(s->bridge.k, row->best);
	for (int o = 0; o < row->best; o++) {
		assert_true(fabs(s->expected[o] - row->run[o]) < 1e-6);
		assert_true(row->run[o] <= row->hit[o] && (!o || row->run[o] <= row->run[o - 1]));
	}
	for (int i = 0; i < r->n; i++)  /* of those that were tried as often */
		assert_true(r->row[i].gain[r->row[i].best - 1] <= row->gain[row->best - 1] ||
			    r->row[i].positions < row->positions);
	assert_true(row->positions >= 32 && r->rows >= 512 && told > 0);
	assert_int_equal(access(part, F_OK), -1);
	sidecar_close(s);
	model_close(m);
}

static void test_models(void **state)
{
	static const struct mk_spec specs[] = {
		{ 2, 64, 4, 2, 96, MK_VOCAB_MIN, 512, "F32", NULL, false, false, 1, NULL, 0, 0 },
		{ 6, 64, 4, 2, 96, 6000, 512, "Q4_1", "Q8_0", true, true, 2, NULL, 0, 0 },
		{ 5, 96, 6, 2, 160, MK_VOCAB_MIN + 5, 256, "Q4_0", NULL, true, false, 3, NULL, 0,
		  0 },
		{ 4, 64, 4, 4, 96, MK_VOCAB_MIN, 512, "F16", NULL, true, false, 4, "qwen2", 0, 0 },
		MK_OTHERS
	};
	struct calibrate_result r;

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		make(&specs[i]);
		must((struct calibrate_opt){ .sums_most = 0 }, &r);
		print_message("# %s %d layers: %d bridges, best %d to %d, %.2f drafts, %.1f s of "
			      "%.1f, %zu MiB\n", specs[i].arch ? specs[i].arch : "llama",
			      specs[i].n_layers, r.n, r.row[r.chosen].a, r.row[r.chosen].s,
			      r.row[r.chosen].run[0], r.seconds, begin_s, begin_bytes >> 20);
		check_sidecar(&r);
		assert_true(i != 1 || (r.n == 4 || r.n == 2));
		assert_true((i == 1) == (r.vocab > 0));
		assert_int_equal(*notes, 0);
		assert_true(r.seconds < 5 * begin_s + 30);      /* others may be at work */
	}
}

/* The key of the chat template gets another name. */
static void hide_template(void)
{
	static const char key[] = "tokenizer.chat_template";
	FILE *f = fopen(model, "r+b");
	static char all[1 << 20];
	char *at = memmem(all, fread(all, 1, sizeof(all), f), key, sizeof(key) - 1);

	assert_non_null(at);
	fseek(f, at - all, SEEK_SET);
	fputs("tokenizer.chat_x", f);
	fclose(f);
}

static void test_no_template(void **state)
{
	struct calibrate_result r;

	(void)state;
	make(&tiny);
	hide_template();
	must((struct calibrate_opt){ .sums_most = 0 }, &r);
	must((struct calibrate_opt){ .engine.chat_template = "llama2" }, &r); /* no end */
	check_sidecar(&r);
}

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
	struct said t;
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
	state_write(s, &(struct said){ 1, 1, 3, (int[]){ 1, 5000, 2 } }, err);
	state_close(s, false);
	assert_int_equal(count_said(MK_VOCAB_MIN, CONTEXT, &last), 0);
	unlink(part);
}

static void refused(struct calibrate_opt o, const char *says)
{
	char err[ERR_MAX] = "";
	struct calibrate_result r;

	unlink(out);
	assert_int_equal(calibrate(o, &r, err), -1);
	assert_non_null(strstr(err, says));
	assert_int_equal(access(out, F_OK), -1);
}

static void test_memory(void **state)
{
	struct mk_spec wide = { 12, 256, 4, 2, 96, MK_VOCAB_MIN, 512, "Q8_0", NULL, true, false, 1,
				NULL, 0, 0 };
	struct calibrate_result r;
	size_t all;

	(void)state;
	make(&wide);
	must((struct calibrate_opt){ .sums_most = 0 }, &r);
	assert_int_equal(r.n, 8);
	all = begin_bytes;
	must((struct calibrate_opt){ .sums_most = 12 << 20 }, &r);
	assert_int_equal(r.n, 1);
	assert_true(begin_bytes < all);
	begin_s = 0;
	refused((struct calibrate_opt){ .free = 5 << 20 }, "MiB even for one bridge");
	assert_true(begin_s == 0);      /* before it began */
	must((struct calibrate_opt){ .free = 70 << 20 }, &r);
	assert_true(begin_bytes <= (size_t)70 << 20 || r.n < 8);
}

static void test_text(void **state)
{
	struct calibrate_result r;
	char path[96];
	FILE *f;

	(void)state;
	make(&tiny);
	must((struct calibrate_opt){ .text = "LICENSE" }, &r);
	check_sidecar(&r);
	refused((struct calibrate_opt){ .text = "build/no-such-text" }, "No such file");
	refused((struct calibrate_opt){ .text = "build" }, "directory");
	refused((struct calibrate_opt){ .text = "/dev/null" }, "too few");
	snprintf(path, sizeof(path), "%s/short", folder);
	f = fopen(path, "w");
	fputs("Not much.\n", f);
	fclose(f);
	refused((struct calibrate_opt){ .text = path }, "too few");
	assert_int_equal(access(part, F_OK), -1);
}

/* How often the first draft holds on a text, found forwards: a draft, then the token itself. */
static double first_draft(const int *ids, int from, int to)
{
	char err[ERR_MAX];
	struct model *m = model_open(model, NULL, err);
	struct sidecar *s = sidecar_open(out, m, err);
	struct backend_opt o = { .n_threads = 1 };
	struct dev *d = backend_cpu.open(m, &o, err);
	struct kv *kv = backend_cpu.kv_new(d, CONTEXT, err);
	struct plan plan = { .bridge = &s->bridge };
	int held = 0;

	assert_int_equal(backend_cpu.kv_keep(kv, (int[]){ s->bridge.s, m->cfg.n_layers - 1 }, 2,
					     err), 0);
	assert_int_equal(backend_cpu.bridge(d, &s->bridge, err), 0);
	for (int n = 0; n < to; n++) {
		struct batch b = { .tok = ids + n, .n = 1, .pos = n, .n_out = 1, .plan = &plan };
		int draft = probs_first(backend_cpu.forward(d, kv, &b), m->cfg.n_out);

		b.plan = NULL;
		held += n >= from && draft == probs_first(backend_cpu.forward(d, kv, &b),
							  m->cfg.n_out);
	}
	backend_cpu.kv_free(kv);
	backend_cpu.close(d);
	sidecar_close(s);
	model_close(m);
	return (double)held / (to - from);
}

/* What is expected of drafts is what they do, on the text's first window, which was not used. */
static void test_expected(void **state)
{
	static const struct mk_spec spec = { 4, 64, 4, 4, 96, MK_VOCAB_MIN, 512, "F16", NULL, true,
					     false, 4, "qwen2", 0, 0 };
	struct calibrate_result r;
	char err[ERR_MAX], text[4096];
	int ids[4096], n;
	FILE *f = fopen("LICENSE", "r");
	struct tokenizer *tok;
	struct model *m;
	double hit;

	(void)state;
	make(&spec);
	must((struct calibrate_opt){ .text = "LICENSE", .minutes = 0.1 }, &r);
	m = model_open(model, NULL, err);
	tok = tokenizer_open(m->file, err);
	n = (int)fread(text, 1, sizeof(text), f);
	assert_true(tokenizer_encode(tok, text, (size_t)n, false, ids, 4096, err) > CONTEXT);
	hit = first_draft(ids, 16, CONTEXT - 4);
	print_message("# first draft: %.3f expected, %.3f found\n", r.row[r.chosen].hit[0], hit);
	assert_true(fabs(hit - r.row[r.chosen].hit[0]) < 0.12);
	tokenizer_close(tok);
	model_close(m);
	fclose(f);
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
	char err[ERR_MAX] = "", tmp[96], text[16] = "";
	FILE *f;

	(void)state;
	make(&tiny);
	f = fopen(out, "w");
	fputs("the old one", f);
	fclose(f);
	signal(SIGXFSZ, SIG_IGN);
	limit_files(1500);
	assert_int_equal(calibrate((struct calibrate_opt){ .minutes = 0.1 }, &r, err), -1);
	limit_files(RLIM_INFINITY);
	signal(SIGXFSZ, SIG_DFL);
	assert_non_null(strstr(err, "cannot write"));
	assert_non_null(strstr(notes, "can not be interrupted from here on"));
	assert_null(strstr(strchr(notes, '\n') + 1, "interrupted"));    /* once */
	snprintf(tmp, sizeof(tmp), "%s.tmp", out);
	assert_int_equal(access(tmp, F_OK), -1);
	f = fopen(out, "r");
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "the old one");
	assert_true(size_of(part) >= 80 && size_of(part) <= 1500);
	must((struct calibrate_opt){ .sums_most = 0 }, &r);
	check_sidecar(&r);
}

static void test_refused(void **state)
{
	struct mk_spec one = MK_TINY, little = MK_TINY;

	(void)state;
	make(&tiny);
	begin_s = 0;
	refused((struct calibrate_opt){ .out = "build/no-such-folder/x" }, "cannot write");
	assert_true(begin_s == 0);
	one.n_layers = 1;
	make(&one);
	refused((struct calibrate_opt){ .sums_most = 0 }, "one layer");
	little.n_ctx = 64;
	make(&little);
	refused((struct calibrate_opt){ .sums_most = 0 }, "too short");
}

static int begin(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(model, sizeof(model), "%s/m.gguf", folder);
	snprintf(out, sizeof(out), "%s/m.s3d.gguf", folder);
	snprintf(part, sizeof(part), "%s.part", out);
	return 0;
}

static int end(void **state)
{
	char path[96];

	(void)state;
	snprintf(path, sizeof(path), "rm -r %s", folder);
	return system(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_no_template),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_locked),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_expected),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("calibrate", tests, begin, end);
}
