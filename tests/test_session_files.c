/* test_session_files.c - saved chats: every turn is on disk when its end is told, what is resumed
 * is what was said, and nobody's file is lost. */
#include "tests/gguf_edit.h"
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
	line[12] = '\0';        /* the year, which is no number of the list */
	assert_refused(line, "more than one");
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
	assert_refused("/resume empty", "it is empty");
	assert_refused("/resume big", "not a JSON object");
	assert_refused("/resume \033", "not a JSON object");
	assert_int_equal(t.chat->n, 4);         /* nothing has changed */
	talk_close(&t);
}

/* A file with a line that nobody can read is gone on with; as it was it stays beside. */
static void test_damaged(void **state)
{
	static const char bytes[] = "{\"s3dchat\":1}\n\n{\"role\":\"user\",\"text\":\"q\"}\n"
		"precious\n{\"role\":\"assistant\",\"text\":\"a\"}\n"
		"{\"role\":\"user\",\"text\":\"open\"}\n";
	char path[192], got[sizeof(bytes)] = "", line[220];
	FILE *f;

	(void)state;
	begin();
	ask("x");
	run("/new");
	write_file("mine.jsonl", bytes, sizeof(bytes) - 1);
	assert_prints("/resume mine", "line 4");
	assert_int_equal(t.chat->n, 3);
	assert_false(is_there("mine.jsonl.damaged"));   /* nothing has been written yet */
	/* Its last question is kept and can be answered; another does not take its place. */
	assert_prints("/resume mine", "/regen");
	run("/regen");
	assert_int_equal(t.chat->n, 4);
	assert_string_equal(t.chat->turn[2].text, "open");
	assert_saved();
	assert_non_null(strstr(t.place, "/mine.jsonl"));
	assert_non_null(strstr(last_note, "mine.jsonl.damaged"));
	snprintf(path, sizeof(path), "%s/mine.jsonl.damaged", chats);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fread(got, 1, sizeof(got), f), sizeof(bytes) - 1);
	fclose(f);
	assert_string_equal(got, bytes);
	snprintf(line, sizeof(line), "/load %s", path);
	assert_prints(line, "/regen");
	ask("second");
	assert_non_null(strstr(last_note, "without an answer"));
	assert_int_equal(t.chat->n, 6);
	assert_string_equal(t.chat->turn[2].text, "open");
	assert_string_equal(t.chat->turn[3].text, "");
	assert_true(t.chat->turn[3].partial);
	assert_string_equal(t.chat->turn[4].text, "second");
	run("/save");
	assert_true(is_there("mine.jsonl.damaged.damaged"));
	talk_close(&t);
}

/* Taken back is what could be read; of the rest the file stays, under its other name. */
static void test_damaged_taken_back(void **state)
{
	static const char bytes[] = "{\"s3dchat\":1}\nprecious\n"
		"{\"role\":\"user\",\"text\":\"q\"}\n";

	(void)state;
	begin();
	ask("x");
	write_file("sole.jsonl", bytes, sizeof(bytes) - 1);
	assert_prints("/resume sole", "line 2");
	run("/undo");
	assert_int_equal(t.chat->n, 0);
	assert_false(is_there("sole.jsonl"));
	assert_true(is_there("sole.jsonl.damaged"));
	talk_close(&t);
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

/* /save replaces a saved chat, and nothing else unless it is told to. */
static void test_save_over(void **state)
{
	static const char *const others[] = { "", "my notes\n", "[]\n", "\n\n",
		"{\"role\":\"user\",\"text\":\"x\"}\n", "{\"s3dchat\":\"no\"}\n" };
	char path[160], line[200], got[64] = "";
	FILE *f;

	(void)state;
	begin();
	ask("x");
	snprintf(path, sizeof(path), "%s/notes", home);
	snprintf(line, sizeof(line), "/save %s", path);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		size_t n = strlen(others[i]);

		f = fopen(path, "w");
		fputs(others[i], f);
		fclose(f);
		assert_refused(line, "/save!");
		f = fopen(path, "r");
		assert_int_equal(fread(got, 1, sizeof(got), f), n);
		fclose(f);
		assert_memory_equal(got, others[i], n);
		assert_null(t.path);
	}
	snprintf(line, sizeof(line), "/save! %s", path);
	run(line);
	run("/save");
	ask("more");
	snprintf(line, sizeof(line), "/save %s", path);
	run(line);
	f = fopen(path, "w");
	fputs("now another's", f);
	fclose(f);
	assert_refused("/save", "/save!");
	run("/save!");
	run("/new");
	ask("another chat");
	snprintf(line, sizeof(line), "/load %s", path);
	run(line);
	assert_int_equal(t.chat->n, 4);
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
/* Opens a chat, asks one question and returns how many tokens the model got to read. */
static int prompt_of(const char *system)
{
	int n;

	opts.system = system;
	opts.given[args_find("system-prompt") - option_rows] = true;
	begin();
	ask("hi");
	n = (int)t.stats.n_prompt;
	talk_close(&t);
	opts.given[args_find("system-prompt") - option_rows] = false;
	opts.system = "default";
	return n;
}

/* A model whose template has a system prompt of its own: it is switched off by nothing and by none,
 * on the command line, in a saved chat and in a command. */
static void test_no_system_prompt(void **state)
{
	static const char frame[] =
		"{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
		"{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}"
		"{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + "
		"'\n'}}{% endfor %}";
	static const char *const none[] = { "", "none", "''" };
	char kind[96];
	struct buf more = { 0 };
	int own, without;

	(void)state;
	put_key_str(&more, "tokenizer.chat_template", frame);
	snprintf(kind, sizeof(kind), "%s.kind", model);
	gguf_edit_file(kind, model, &(struct edit){ .drop = "tokenizer.chat_template",
						    .more = &more, .n_more = 1 });
	buf_free(&more);
	opts.model = kind;
	own = prompt_of("default");
	without = prompt_of("");
	/* <|im_start|>, six bytes and a break, as many of the prompt, <|im_end|> and a break */
	assert_in_range(own - without, 8, 18);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		char *out;

		assert_int_equal(prompt_of(none[i]), without);
		opts.resume = true;
		begin();
		assert_string_equal(t.chat->system, "");
		out = command("/show system");
		assert_non_null(strstr(out, "(none)"));
		free(out);
		talk_close(&t);
		opts.resume = false;
	}
	assert_int_equal(prompt_of("default"), own);
	remove(kind);
}

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
		TEST(test_every_turn), TEST(test_damaged), TEST(test_damaged_taken_back),
		TEST(test_save_over), TEST(test_resume), TEST(test_hostile_folder),
		TEST(test_no_system_prompt), TEST(test_resume_at_start),
		TEST(test_two_writers), TEST(test_full_disk),
	};

	return cmocka_run_group_tests(tests, write_model, remove_all);
}
