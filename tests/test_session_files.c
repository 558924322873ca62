/* test_session_files.c - saved chats: every turn is on disk when its end is told, what is resumed is
 * what was said, and nobody's file is lost, with a tiny random model. */
#include "app/args.h"
#include "app/commands.h"
#include "app/text.h"
#include "tests/mk.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char home[] = "/tmp/s3dchat-saved.XXXXXX", model[64], chats[96], err[ERR_MAX];
static char last_error[ERR_MAX], last_note[ERR_MAX];
static struct options opts;
static struct talk t;

static int write_model(void **state)
{
	struct mk_spec spec = MK_TINY;

	(void)state;
	if (!mkdtemp(home))
		return -1;
	snprintf(model, sizeof(model), "%s/model.gguf", home);
	snprintf(chats, sizeof(chats), "%s/s3dchat/chats", home);
	setenv("XDG_DATA_HOME", home, 1);
	setenv("XDG_RUNTIME_DIR", home, 1);
	return mk_write(model, &spec, err);
}

static int remove_all(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", home);
	return system(command);
}

static int set_up(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", chats);
	args_defaults(&opts);
	opts.model = model;
	opts.predict = 6;
	opts.threads = 1;
	opts.seed = 5;
	*last_error = *last_note = '\0';
	return system(command);
}

static void drain(void)
{
	struct msg m;

	for (;;) {
		if (!msgq_get(&t.worker->out, &m)) {
			if (!talk_waits(&t))
				return;
			msgq_wait(&t.worker->out, &m);
		}
		talk_take(&t, &m);
		if (m.kind == MSG_ERROR)
			snprintf(last_error, sizeof(last_error), "%s", m.text);
		if (m.kind == MSG_NOTE)
			snprintf(last_note, sizeof(last_note), "%s", m.text);
		msg_free(&m);
	}
}

static void begin(void)
{
	if (talk_open(&t, &opts, err))
		fail_msg("%s", err);
	drain();
	assert_true(t.ready);
}

static void ask(const char *text)
{
	assert_int_equal(talk_ask(&t, text, strlen(text), err), 0);
	drain();
}

/* What a command printed; NULL when it was refused (err). */
static char *command(const char *line)
{
	struct command c;
	const char *text;
	char *out = NULL;
	size_t n;
	bool leave = false;
	FILE *f;
	int rc;

	if (command_parse(line, &c, &text, err) != 1)
		return NULL;
	f = open_memstream(&out, &n);
	rc = command_run(&t, &c, f, &leave, err);
	fclose(f);
	drain();
	if (!rc)
		return out;
	free(out);
	return NULL;
}

static void run(const char *line)
{
	char *out = command(line);

	if (!out)
		fail_msg("%s: %s", line, err);
	free(out);
}

static void assert_prints(const char *line, const char *says)
{
	char *out = command(line);

	if (!out || !strstr(out, says))
		fail_msg("%s should say '%s', said '%s'", line, says, out ? out : err);
	free(out);
}

static void assert_refused(const char *line, const char *says)
{
	char *out = command(line);

	if (out || !strstr(err, says))
		fail_msg("%s should be refused with '%s', got '%s'", line, says, out ? out : err);
	free(out);
}

static int n_files(void)
{
	DIR *d = opendir(chats);
	int n = 0;

	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

/* The file of the running chat holds what is said here, and nothing else. */
static void assert_saved(void)
{
	char warning[ERR_MAX], *a, *b;
	struct chat *c;

	assert_non_null(t.place);
	c = chat_load(NULL, t.place, warning, err);
	assert_non_null(c);
	assert_int_equal(c->n, t.chat->n);
	for (int i = 0; i < c->n; i++) {
		a = text_utf8(t.chat->turn[i].text, t.chat->turn[i].len, NULL);
		b = c->turn[i].text;
		assert_string_equal(a, b);
		assert_int_equal(c->turn[i].partial, t.chat->turn[i].partial);
		if (i % 2)
			assert_int_equal(c->turn[i].seed, t.chat->turn[i].seed);
		free(a);
	}
	chat_close(c);
}

static void test_every_turn(void **state)
{
	struct stat st;

	(void)state;
	begin();
	assert_int_equal(n_files(), 0);
	assert_int_equal(talk_ask(&t, "first\nline", 10, err), 0);
	assert_int_equal(n_files(), 1);         /* the question, before the answer */
	drain();
	assert_saved();
	ask("second");
	assert_saved();
	assert_int_equal(n_files(), 1);
	assert_int_equal(stat(t.place, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(chats, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	run("/undo");
	assert_saved();
	run("/undo");
	ask("anew");
	assert_saved();
	run("/new");
	ask("another");
	assert_int_equal(n_files(), 2);
	assert_saved();
	talk_close(&t);
	opts.no_save = true;
	begin();
	ask("secret");
	talk_close(&t);
	assert_int_equal(n_files(), 2);
}

static void test_resume(void **state)
{
	char *place, line[32];

	(void)state;
	opts.resume = true;
	assert_int_equal(talk_open(&t, &opts, err), -1);
	assert_non_null(strstr(err, "no saved chat"));
	talk_close(&t);
	opts.resume = false;
	begin();
	assert_refused("/resume", "no saved chat");
	assert_refused("/sessions", "no saved chat");
	run("/set temp 0.5");
	run("/system be brief");
	ask("  the first question\nof two lines");
	ask("more");
	place = strdup(t.place);
	run("/new");
	usleep(20000);          /* times of files are coarse */
	ask("the other");
	talk_close(&t);

	opts.resume = true;
	begin();
	assert_string_equal(t.chat->turn[0].text, "the other");
	assert_prints("/sessions", "the first question\n");
	assert_prints("/sessions", "  2 turns  the other\n");
	assert_refused("/resume 3", "1 to 2");
	assert_refused("/resume nonsense", "no saved chat 'nonsense'");
	assert_refused("/resume ../../etc/passwd", "no saved chat");
	snprintf(line, sizeof(line), "/resume %.8s", strrchr(place, '/') + 1);
	assert_refused(line, "more than one");  /* both were made today */
	run("/resume 2");
	assert_int_equal(t.chat->n, 4);
	assert_string_equal(t.chat->system, "be brief");
	assert_true(t.opt.temp == 0.5f);
	assert_string_equal(t.place, place);
	ask("still there?");
	assert_int_equal(n_files(), 2);
	assert_saved();
	talk_close(&t);
	free(place);
}

static void write_file(const char *name, const char *bytes, size_t n)
{
	char path[192];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", chats, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

/* What does not belong in the folder, or is broken, is listed at most, and never obeyed. */
static void test_hostile_folder(void **state)
{
	static const char cut[] = "{\"s3dchat\":1,\"title\":\"cut\"}\n"
		"{\"role\":\"user\",\"text\":\"q\"}\n"
		"{\"role\":\"assistant\",\"text\":\"a\"}\n{\"role\":\"us";
	static const char odd[] = "{\"s3dchat\":1,\"title\":\"a\\u001b[2J\\nb\\u202e\\u009b\"}\n";
	char path[192], *out, *big = malloc(3 << 20);

	(void)state;
	begin();
	ask("x");
	run("/new");
	write_file("cut.jsonl", cut, sizeof(cut) - 1);
	write_file("odd.jsonl", odd, sizeof(odd) - 1);
	write_file("\033[31m.jsonl", "\xff\xfe\n\n", 4);
	write_file("empty.jsonl", "", 0);
	write_file("other.txt", cut, sizeof(cut) - 1);
	write_file(".jsonl", cut, sizeof(cut) - 1);
	write_file("x.jsonl.AbCdEf", cut, sizeof(cut) - 1);
	memset(big, '[', 3 << 20);
	write_file("big.jsonl", big, 3 << 20);
	free(big);
	snprintf(path, sizeof(path), "%s/fifo.jsonl", chats);
	assert_int_equal(mkfifo(path, 0600), 0);
	snprintf(path, sizeof(path), "%s/folder.jsonl", chats);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/gone.jsonl", chats);
	assert_int_equal(symlink("nowhere", path), 0);
	out = command("/sessions");
	assert_non_null(out);
	assert_non_null(strstr(out, "  2 turns  cut\n"));
	assert_non_null(strstr(out, "  0 turns  a^[[2J\n"));
	assert_non_null(strstr(out, "empty "));
	assert_null(strstr(out, "other"));
	assert_null(strstr(out, "fifo"));
	assert_null(strstr(out, "AbCdEf"));
	assert_null(strstr(out, "folder"));
	free(out);
	assert_prints("/resume cut", "line 4 was cut off");
	assert_int_equal(t.chat->n, 2);
	ask("on");
	assert_saved();
	assert_refused("/resume empty", "not a JSON object");
	assert_refused("/resume big", "not a JSON object");
	assert_refused("/resume \033", "not a JSON object");
	assert_int_equal(t.chat->n, 4);         /* nothing has changed */
	talk_close(&t);
}

/* The command line wins over the file; the cut line of a file that is resumed is told. */
static void test_resume_at_start(void **state)
{
	static const char cut[] = "{\"s3dchat\":1,\"settings\":{\"temp\":\"0.25\",\"top-k\":\"7\"},"
		"\"system\":\"S\"}\n{\"role\":\"user\",\"text\":\"q\"}\n"
		"{\"role\":\"assistant\",\"text\":\"a\",\"seed\":77}\n{\"role\":\"us";
	char *argv[] = { "s3dchat", "--session", "mine", "--temp", "0.5", "-t", "1", "-m", model,
			 NULL };

	(void)state;
	begin();
	ask("x");
	talk_close(&t);
	write_file("mine.jsonl", cut, sizeof(cut) - 1);
	assert_int_equal(args_parse(&opts, 9, argv, err), 0);
	opts.predict = 6;
	begin();
	assert_non_null(strstr(last_note, "line 4 was cut off"));
	assert_true(t.opt.temp == 0.5f && t.opt.top_k == 7);
	assert_string_equal(t.chat->system, "S");
	assert_int_equal(t.seed, 77);
	ask("more");
	assert_saved();
	assert_non_null(strstr(t.place, "mine.jsonl"));
	talk_close(&t);
}

/* Two programs that go on with the same chat: neither writes over the other's turns. */
static void test_two_writers(void **state)
{
	struct talk first;
	char *shared;

	(void)state;
	begin();
	ask("common");
	shared = strdup(t.place);
	first = t;
	opts.resume = true;
	begin();
	assert_string_equal(t.place, shared);
	ask("of the second");
	assert_string_equal(t.place, shared);
	talk_close(&t);
	t = first;
	ask("of the first");
	assert_non_null(strstr(last_note, "another program"));
	assert_string_not_equal(t.place, shared);
	assert_saved();
	run("/resume 2");
	assert_string_equal(t.place, shared);
	assert_string_equal(t.chat->turn[2].text, "of the second");
	talk_close(&t);
	free(shared);
}

/* A disk that is full: the error is told, the older file stays, and the next turn tries again. */
static void test_full_disk(void **state)
{
	struct rlimit old, small;
	char warning[ERR_MAX], long_text[3000];
	struct chat *c;

	(void)state;
	begin();
	ask("kept");
	memset(long_text, 'x', sizeof(long_text));
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small = old;
	small.rlim_cur = 64;
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(talk_ask(&t, long_text, 200, err), 0);
	drain();
	ask("again");
	setrlimit(RLIMIT_FSIZE, &old);
	assert_non_null(strstr(last_error, "not saved"));
	assert_int_equal(n_files(), 1);
	c = chat_load(NULL, t.place, warning, err);
	assert_non_null(c);
	assert_string_equal(warning, "");
	assert_string_equal(c->turn[0].text, "kept");
	assert_true(c->n >= 2);
	chat_close(c);
	ask("once more");
	assert_saved();
	talk_close(&t);
}

static char *editor(void *ctx, const char *text, char why[ERR_MAX])
{
	char *new = NULL;

	if (ctx && asprintf(&new, "%s%s", text, (const char *)ctx) < 0)
		new = NULL;
	if (!new)
		snprintf(why, ERR_MAX, "no editor");
	return new;
}

static void test_edit(void **state)
{
	char *before, warning[ERR_MAX];
	struct chat *c;

	(void)state;
	begin();
	assert_refused("/edit x", "no question yet");
	ask("one");
	ask("two");
	ask("three");
	before = strdup(t.place);
	assert_refused("/edit 4 x", "only 1 to 3");
	assert_refused("/edit 2", "no editor");
	assert_int_equal(t.chat->n, 6);
	run("/edit 2 2 or more");
	assert_int_equal(t.chat->n, 4);
	assert_string_equal(t.chat->turn[0].text, "one");
	assert_string_equal(t.chat->turn[2].text, "2 or more");
	assert_int_equal(t.chat->turn[3].who, CHAT_MODEL);
	assert_string_not_equal(t.place, before);
	assert_saved();
	c = chat_load(NULL, before, warning, err);
	assert_non_null(c);
	assert_int_equal(c->n, 6);
	assert_string_equal(c->turn[4].text, "three");
	chat_close(c);
	run("/edit last");
	assert_string_equal(t.chat->turn[2].text, "last");
	t.edit = editor;
	assert_refused("/edit", "no editor");
	t.edit_ctx = "";
	assert_prints("/edit", "nothing was changed");
	assert_string_equal(t.chat->turn[2].text, "last");
	t.edit_ctx = "!";
	run("/edit 1");
	assert_int_equal(t.chat->n, 2);
	assert_string_equal(t.chat->turn[0].text, "one!");
	talk_close(&t);
	free(before);
}

/* The context loses turns, the file does not. */
static void test_dropped_turns_stay(void **state)
{
	(void)state;
	opts.ctx = 256;
	begin();
	for (int i = 0; i < 10; i++)
		ask("a question of some length, that fills the context bit by bit");
	assert_true(t.chat->first > 0);
	assert_int_equal(t.chat->n, 20);
	assert_saved();
	talk_close(&t);
	opts.resume = true;
	begin();
	assert_int_equal(t.chat->n, 20);
	assert_int_equal(t.chat->first, 0);
	ask("go on");
	assert_true(t.chat->first > 0);
	assert_saved();
	talk_close(&t);
}

/* /regen, /undo, /continue, /edit and questions in any order: turns alternate, the answers are
 * there, and the file follows. */
static void test_any_order(void **state)
{
	static const char *const lines[] = { "/regen", "/undo", "/continue", "/edit 1 x",
					     "/edit y" };
	uint32_t r = 12345;

	(void)state;
	opts.ctx = 256;
	begin();
	for (int i = 0; i < 300; i++) {
		int before = t.chat->n;
		unsigned pick;
		char *out = NULL;

		r = r * 1664525 + 1013904223;
		pick = (r >> 16) % 8;
		if (pick >= 5)
			ask("question");
		else
			out = command(lines[pick]);
		if (pick < 5 && !out) {
			assert_int_equal(before, 0);
			assert_int_equal(t.chat->n, 0);
			continue;
		}
		free(out);
		assert_int_equal(t.chat->n, pick == 1 ? before - 2 : pick == 3 ? 2 :
				 pick >= 5 ? before + 2 : before);
		assert_int_equal(t.chat->n % 2, 0);
		assert_true(t.chat->first <= t.chat->n);
		assert_string_equal(last_error, "");
		if (t.chat->n)
			assert_saved();
	}
	talk_close(&t);
}

static void test_model_and_show(void **state)
{
	char line[96], *answer;

	(void)state;
	begin();
	ask("x");
	answer = strdup(chat_last(t.chat)->text);
	assert_prints("/show memory", "KV cache ");
	assert_prints("/show memory", "whole process ");
	assert_prints("/show", "\nSettings\n");
	assert_prints("/show system", "(the model's own)");
	assert_refused("/show nonsense", "nonsense");
	assert_refused("/model /no/such", "/no/such");
	run("/model /etc/passwd");
	assert_non_null(strstr(last_error, "GGUF"));
	assert_true(t.ready && !t.busy);
	snprintf(line, sizeof(line), "/model %s", model);
	run(line);
	run("/undo");
	ask("x");
	assert_string_equal(chat_last(t.chat)->text, answer);
	talk_close(&t);
	free(answer);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		TEST(test_every_turn), TEST(test_resume), TEST(test_hostile_folder),
		TEST(test_resume_at_start), TEST(test_two_writers), TEST(test_full_disk),
		TEST(test_edit), TEST(test_dropped_turns_stay), TEST(test_any_order),
		TEST(test_model_and_show),
	};

	return cmocka_run_group_tests(tests, write_model, remove_all);
}
