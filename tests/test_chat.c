/* test_chat.c - the conversation, and its files: what is written comes back, what is hostile or
 * cut off does no harm, and a failed save leaves the old file alone. */
#include "app/config/args.h"
#include "app/chat/chat.h"
#include "tests/folder_kit.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/s3dchat-test.XXXXXX", file[64], err[ERR_MAX], warning[ERR_MAX];
static struct options opts;
static struct chat *chat;

static int set_up(void **state)
{
	(void)state;
	memcpy(dir + strlen(dir) - 6, "XXXXXX", 6);
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/chat", dir);
	args_defaults(&opts);
	chat = chat_open();
	return chat ? 0 : -1;
}

static int tear_down(void **state)
{
	(void)state;
	chat_close(chat);
	return folder_remove(dir);
}

static void add(enum chat_who who, const char *text)
{
	assert_int_equal(chat_add(chat, who, text, strlen(text)), 0);
}

static int files_in_dir(void)
{
	DIR *d = opendir(dir);
	int n = 0;

	assert_non_null(d);
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void write_file(const char *bytes, size_t n)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

static char *read_file(size_t *n)
{
	char *buf = malloc(1 << 16);
	FILE *f = fopen(file, "r");

	assert_non_null(f);
	*n = fread(buf, 1, 1 << 16, f);
	fclose(f);
	return buf;
}

static void test_turns(void **state)
{
	struct chat *copy;

	(void)state;
	assert_false(chat_undo(chat));
	assert_null(chat_last(chat));
	assert_int_equal(chat_append(chat, "x", 1), -1);
	assert_int_equal(chat_add(chat, CHAT_MODEL, "x", 1), -1);
	for (int i = 0; i < 10; i++) {
		add(CHAT_USER, "q");
		assert_int_equal(chat_add(chat, CHAT_USER, "x", 1), -1);
		add(CHAT_MODEL, "a");
	}
	assert_int_equal(chat_append(chat, "bc", 2), 0);
	assert_string_equal(chat_last(chat)->text, "abc");
	assert_int_equal(chat_last(chat)->len, 3);
	chat->first = 16;
	copy = chat_copy(chat);
	assert_true(chat_unanswer(chat));
	assert_false(chat_unanswer(chat));
	assert_int_equal(chat->n, 19);
	assert_true(chat_undo(chat));
	assert_int_equal(chat->n, 18);
	assert_int_equal(chat->first, 16);
	assert_true(chat_undo(chat));
	assert_int_equal(chat->n, 16);
	assert_int_equal(chat->first, 0);       /* what is left was out of sight: begin anew */
	assert_int_equal(copy->n, 20);
	assert_int_equal(copy->first, 16);
	assert_string_equal(copy->turn[19].text, "abc");
	chat_close(copy);
}

static void test_file_keeps_everything(void **state)
{
	static const char odd[] = "zero\0byte \x1b[2J \\ \xc3\xa9 \xf0\x9f\x98\x80";
	struct chat *back;
	struct options other;
	struct stat st;

	(void)state;
	assert_int_equal(chat_system(chat, "be \"brief\"\n\x1b", 12), 0);
	assert_int_equal(chat_add(chat, CHAT_USER, odd, sizeof(odd) - 1), 0);
	add(CHAT_MODEL, "bad \xff end");
	chat_last(chat)->seed = 9007199254740993LL;
	chat_last(chat)->partial = true;
	opts.temp = 0.25f;
	opts.top_k = 7;
	opts.seed = 12345678901LL;
	assert_int_equal(chat_save(chat, &opts, "mo\"del\x1b", file, err), 0);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(files_in_dir(), 1);

	args_defaults(&other);
	back = chat_load(&other, file, warning, err);
	assert_non_null(back);
	assert_string_equal(warning, "");
	assert_string_equal(back->system, chat->system);
	assert_int_equal(back->n, 2);
	assert_int_equal(back->turn[0].len, sizeof(odd) - 1);
	assert_memory_equal(back->turn[0].text, odd, sizeof(odd));
	assert_string_equal(back->turn[1].text, "bad \xff end");
	assert_true(back->turn[1].seed == 9007199254740993LL);
	assert_true(back->turn[1].partial && !back->turn[0].partial);
	assert_true(other.temp == 0.25f && other.top_k == 7 && other.seed == 12345678901LL);
	chat_close(back);
}

/* Cut at every byte: the head is needed; of the turns the whole ones come back. */
static void test_cut_off_anywhere(void **state)
{
	size_t n, whole = 0, head;
	char *bytes;

	(void)state;
	for (int i = 0; i < 3; i++) {
		add(CHAT_USER, "question \xe2\x82\xac");
		add(CHAT_MODEL, "answer");
	}
	assert_int_equal(chat_save(chat, &opts, "m", file, err), 0);
	bytes = read_file(&n);
	head = (size_t)((char *)memchr(bytes, '\n', n) - bytes);
	for (size_t cut = 0; cut <= n; cut++) {
		struct chat *back;

		write_file(bytes, cut);
		back = chat_load(NULL, file, warning, err);
		if (cut < head) {
			assert_null(back);
			continue;
		}
		whole += cut > head && bytes[cut - 1] == '}' && bytes[cut] == '\n';
		assert_non_null(back);
		assert_int_equal(back->n, whole);
		assert_int_equal(*warning != 0, cut > head + 1 && bytes[cut - 1] != '\n' &&
				 bytes[cut] != '\n');
		chat_close(back);
	}
	assert_int_equal(whole, 6);
	free(bytes);
}

static void test_hostile_files(void **state)
{
	static const char *const bad[] = {
		"", "\n", "x", "[]", "{}", "{\"s3dchat\":\"1\"}\n", "{\"s3dchat\":2}\n",
		"\xef\xbb\xbf", " \r\n\n", "{\"role\":\"system\",\"text\":\"x\"}\n",
		"{\"role\":\"user\",\"content\":\"x\"}\n",
		"{\"s3dchat\":2}\n{\"role\":\"user\",\"text\":\"x\"}\n",
	};
	static const char odd[] = "{\"s3dchat\":1,\"settings\":{\"temp\":\"hot\","
		"\"model\":\"x\",\"top-k\":5}}";
	char *deep = malloc(200001);
	struct chat *c;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_file(bad[i], strlen(bad[i]));
		if (chat_load(&opts, file, warning, err))
			fail_msg("taken: %s", bad[i]);
	}
	memset(deep, '[', 200000);
	write_file(deep, 200000);
	assert_null(chat_load(&opts, file, warning, err));
	free(deep);
	assert_null(chat_load(&opts, dir, warning, err));
	assert_null(chat_load(&opts, "/dev/zero", warning, err));
	assert_null(chat_load(&opts, "/no/such/file", warning, err));
	write_file(odd, strlen(odd));
	c = chat_load(&opts, file, warning, err);
	assert_non_null(c);
	assert_string_not_equal(warning, "");
	assert_true(opts.temp == 0.8f && opts.top_k == 40 && !*opts.model);
	chat_close(c);
}

/* Of a file that is not whole all that can be read is, and the lines that cannot are named. */
static void test_damaged_files(void **state)
{
#define HEAD "{\"s3dchat\":1,\"settings\":{\"top-k\":\"7\"}}\n"
#define USER(s) "{\"role\":\"user\",\"text\":\"" s "\"}\n"
#define MODEL(s) "{\"role\":\"assistant\",\"text\":\"" s "\",\"seed\":9}\n"
	static const struct {
		const char *bytes, *turns, *says;       /* turns: as user|model|... */
		bool damaged;
	} row[] = {
		{ HEAD USER("a") MODEL("b"), "a|b", "", false },
		{ "\xef\xbb\xbf" HEAD USER("a") MODEL("b"), "a|b", "", false },
		{ "\n" HEAD "\r\n" USER("a") "  \n" MODEL("b") "\n\n", "a|b", "", false },
		{ HEAD USER("a") "broken\n" MODEL("b"), "a|b", "line 3 left out: line 3 is not",
			true },
		{ HEAD "[]\n" USER("a") "{}\n{}\n{}\n{\"role\":3}\n" MODEL("b"), "a|b",
			"lines 2, 4, 5, 6 and 1 more left out", true },
		{ HEAD USER("a") "{\"role\":\"tool\",\"text\":\"x\"}\n" MODEL("b"), "a|b",
			"line 3: \"role\"", true },
		{ HEAD USER("a") "{\"role\":\"assistant\"}\n" USER("c"), "a||c",
			"missing before line 4", true },
		{ HEAD USER("\xff") MODEL("b"), "|b", "line 2 left out", true },
		{ HEAD USER("a") USER("b") MODEL("c"), "a||b|c", "missing before line 3", false },
		{ HEAD MODEL("b") MODEL("c"), "|b||c", "missing before lines 2, 3", false },
		{ HEAD USER("a") MODEL("b") "{\"role\":\"us", "a|b", "line 4 was cut off", true },
		{ "{\"s3d" "\n" USER("a") MODEL("b"), "a|b", "the settings are those of now",
			true },
		{ "{\"s3dchat\":1,\"system\":3}\n" USER("a"), "a", "line 1: \"system\"", true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		char turns[64] = "";
		struct chat *c;

		args_defaults(&opts);
		write_file(row[i].bytes, strlen(row[i].bytes));
		c = chat_load(&opts, file, warning, err);
		if (!c)
			fail_msg("%s: %s", row[i].bytes, err);
		for (int k = 0; k < c->n; k++) {
			assert_int_equal(c->turn[k].who, k % 2 ? CHAT_MODEL : CHAT_USER);
			if (k % 2 && !c->turn[k].len)
				assert_true(c->turn[k].partial);
			strcat(strcat(turns, k ? "|" : ""), c->turn[k].text);
		}
		assert_string_equal(turns, row[i].turns);
		if (*row[i].says ? !strstr(warning, row[i].says) : *warning)
			fail_msg("%s: said '%s'", row[i].bytes, warning);
		assert_int_equal(c->damaged, row[i].damaged);
		if (strstr(row[i].bytes, "top-k"))
			assert_int_equal(opts.top_k, 7);
		chat_close(c);
	}
}

static void test_failed_save(void **state)
{
	struct rlimit old, small = { .rlim_cur = 64 };
	char link[80], *bytes;
	struct stat st;
	size_t n;

	(void)state;
	add(CHAT_USER, "a text that is longer than the file may become .......................");
	write_file("old", 3);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	setrlimit(RLIMIT_FSIZE, &small);
	assert_int_equal(chat_save(chat, &opts, "m", file, err), -1);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_non_null(strstr(err, "too large"));
	assert_int_equal(files_in_dir(), 1);
	bytes = read_file(&n);
	assert_int_equal(n, 3);
	assert_memory_equal(bytes, "old", 3);
	free(bytes);
	snprintf(link, sizeof(link), "%s/fifo", dir);
	assert_int_equal(mkfifo(link, 0600), 0);
	assert_int_equal(chat_save(chat, &opts, "m", link, err), -1);
	assert_int_equal(stat(link, &st), 0);
	assert_true(S_ISFIFO(st.st_mode));
	assert_null(chat_load(&opts, link, warning, err));
	assert_int_equal(chat_save(chat, &opts, "m", dir, err), -1);
	assert_int_equal(chat_save(chat, &opts, "m", "/no/such/folder/x", err), -1);
	snprintf(link, sizeof(link), "%s/link", dir);
	assert_int_equal(symlink("chat", link), 0);
	assert_int_equal(chat_save(chat, &opts, "m", link, err), 0);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(file, &st), 0);
	assert_true(st.st_size > 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_turns, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_keeps_everything, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cut_off_anywhere, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hostile_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged_files, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failed_save, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
