/* test_session_files.c - saved chats: every turn is on disk when its end is told, what is resumed
 * is what was said, and nobody's file is lost. */
#include "tests/talk_kit.h"

#include <fcntl.h>
#include <sys/stat.h>

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

/* A question that was taken back does not come back from the file. */
static void test_undone(void **state)
{
	(void)state;
	begin();
	ask("only one");
	run("/undo");
	assert_int_equal(n_files(), 0);
	assert_refused("/resume", "no saved chat");
	ask("another");
	ask("and one more");
	run("/undo");
	assert_saved();
	talk_close(&t);
	opts.resume = true;
	begin();
	assert_int_equal(t.chat->n, 2);
	assert_string_equal(t.chat->turn[0].text, "another");
	run("/undo");
	assert_int_equal(n_files(), 0);
	talk_close(&t);
	opts.resume = false;
	begin();
	ask("of another program too");
	write_file(strrchr(t.place, '/') + 1, "not ours", 8);
	run("/undo");
	assert_int_equal(n_files(), 1);
	talk_close(&t);
}

/* All that a request can change, as one text. */
static char *all_of_it(void)
{
	char *text, *out = NULL;
	size_t n;
	FILE *f = open_memstream(&out, &n);

	fprintf(f, "first %d, seed %lld, system %s, reads %s, place %s, files %d\n", t.chat->first,
		(long long)t.seed, t.chat->system ? t.chat->system : "-",
		t.attached ? t.attached : "-", t.place ? t.place : "-", n_files());
	for (int i = 0; i < t.chat->n; i++) {
		text = text_utf8(t.chat->turn[i].text, t.chat->turn[i].len, NULL);
		fprintf(f, "%d: %s %d\n", i, text, t.chat->turn[i].partial);
		free(text);
	}
	fclose(f);
	return out;
}

static void assert_given_back(const char *text)
{
	assert_non_null(strstr(last_error, "-c"));
	if (!text)
		assert_null(t.refused);
	else
		assert_string_equal(t.refused, text);
	free(t.refused);
	t.refused = NULL;
	*last_error = '\0';
}

/* A question that does not fit the context even alone changes nothing, and is given back. */
static void test_refused(void **state)
{
	static const char *const reads = "a text that is read";
	char long_text[700], line[800], *before, *after;
	long asked;

	(void)state;
	opts.ctx = 256;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	begin();
	ask(long_text);                 /* nothing was said before */
	assert_given_back(long_text);
	assert_int_equal(t.chat->n, 0);
	assert_int_equal(n_files(), 0);
	assert_true(t.stats.n_tokens < 0);
	for (int i = 0; i < 3; i++)
		ask("a question that takes some of the room there is");
	assert_int_equal(t.chat->first, 0);
	snprintf(line, sizeof(line), "%s/reads", home);
	FILE *f = fopen(line, "w");
	fputs(reads, f);
	fclose(f);
	snprintf(line, sizeof(line), "/read %s/reads", home);
	run(line);
	before = all_of_it();
	asked = t.stats.n_prompt;
	ask(long_text);
	assert_given_back(long_text);
	after = all_of_it();
	assert_string_equal(before, after);
	assert_int_equal(t.stats.n_prompt, asked);
	assert_saved();
	free(after);
	snprintf(line, sizeof(line), "/edit 2 %s", long_text);
	run(line);
	assert_given_back(line);
	after = all_of_it();
	assert_string_equal(before, after);
	assert_saved();
	free(after);
	free(before);
	assert_prints("/drop", "19 bytes");
	assert_refused("/drop", "nothing");
	snprintf(line, sizeof(line), "/system %s", long_text);
	run(line);
	before = all_of_it();
	run("/regen");
	assert_given_back(NULL);
	after = all_of_it();
	assert_string_equal(before, after);
	run("/system none");
	ask("goes on");
	assert_int_equal(t.chat->n, 8);
	assert_string_equal(t.chat->turn[6].text, "goes on");
	assert_saved();
	talk_close(&t);
	free(after);
	free(before);
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

static bool is_there(const char *name)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", chats, name);
	return !access(path, F_OK);
}

/* A save that was killed leaves its temporary file: old ones go at the next start, nothing else. */
static void test_left_behind(void **state)
{
	static const char *const old[] = { "a.jsonl.AbCdE0", "a.jsonl.AbCdE_", "a.jsonl.AbCdE",
		"a.jsonl", "ajsonl.AbCdEf", "notes.txt.AbCdEf" };
	struct timespec then[2] = { { .tv_sec = time(NULL) - 7200 },
				    { .tv_sec = time(NULL) - 7200 } };
	char path[192];

	(void)state;
	begin();
	ask("x");
	talk_close(&t);
	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++) {
		write_file(old[i], "{", 1);
		snprintf(path, sizeof(path), "%s/%s", chats, old[i]);
		assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
	}
	write_file("a.jsonl.Young0", "{", 1);
	opts.no_save = true;
	begin();
	assert_true(is_there(old[0]));          /* who saves nothing touches nothing */
	talk_close(&t);
	opts.no_save = false;
	begin();
	talk_close(&t);
	assert_false(is_there(old[0]));
	for (size_t i = 1; i < sizeof(old) / sizeof(old[0]); i++)
		if (!is_there(old[i]))
			fail_msg("%s is gone", old[i]);
	assert_true(is_there("a.jsonl.Young0"));
}

/* Left in the middle of an answer: it is kept in the chat's own file, /save's stays as it was. */
static void test_left_in_mid_answer(void **state)
{
	char path[128], warning[ERR_MAX];
	struct chat *c;
	struct msg m;

	(void)state;
	opts.predict = 400;
	begin();
	snprintf(path, sizeof(path), "/save %s/copy.jsonl", home);
	assert_int_equal(talk_ask(&t, "one", 3, err), 0);
	while (t.chat->n < 2 || !t.chat->turn[1].len) {
		msgq_wait(&t.worker->out, &m);
		talk_take(&t, &m);
		msg_free(&m);
	}
	run(path);
	assert_true(t.busy || t.chat->n == 2);
	t.busy = true;                          /* however fast the model was */
	assert_int_equal(chat_append(t.chat, " and more", 9), 0);
	assert_int_equal(talk_keep(&t, err), 0);
	c = chat_load(NULL, t.place, warning, err);
	assert_non_null(c);
	assert_int_equal(c->n, 2);
	assert_true(c->turn[1].partial);
	assert_non_null(memmem(c->turn[1].text, c->turn[1].len, " and more", 9));
	chat_close(c);
	c = chat_load(NULL, t.path, warning, err);
	assert_non_null(c);
	assert_null(memmem(c->turn[1].text, c->turn[1].len, " and more", 9));
	chat_close(c);
	talk_close(&t);
}

/* /save into the chat's own file is no other program's doing. */
static void test_save_in_place(void **state)
{
	char *place, line[192];

	(void)state;
	begin();
	ask("one");
	place = strdup(t.place);
	snprintf(line, sizeof(line), "/save %s", place);
	run(line);
	ask("two");
	assert_string_equal(last_note, "");
	assert_string_equal(t.place, place);
	assert_saved();
	talk_close(&t);
	free(place);
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

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, set_up)
	const struct CMUnitTest tests[] = {
		TEST(test_left_behind), TEST(test_save_in_place), TEST(test_left_in_mid_answer),
		TEST(test_every_turn), TEST(test_undone), TEST(test_refused),
		TEST(test_resume), TEST(test_hostile_folder),
		TEST(test_resume_at_start), TEST(test_two_writers), TEST(test_full_disk),
	};

	return cmocka_run_group_tests(tests, write_model, remove_all);
}
