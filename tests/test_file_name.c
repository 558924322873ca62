/* test_file_name.c - names of files as people write them: quotes, backslashes, ~, blanks behind.
 *
 * What a shell makes of the same characters is asked of a shell. */
#include "app/config/args.h"
#include "app/talk/commands.h"
#include "app/config/file_name.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/s3dchat-names.XXXXXX";

/* Words without blanks in the open, which a shell would cut: it must read the same name. */
static void test_like_a_shell(void **state)
{
	static const char *const words[] = {
		"plain", "a\\ b", "\"a b\"", "'a b'", "a\\\\b", "'it'\\''s'", "\"say \\\"x\\\"\"",
		"\"a\\b\"", "'a\\b'", "a'b c'd\"e f\"", "~/x", "~", "~/a\\ b", "'~/x'", "\\~", "a~",
		"tail\\ ", "\"tail \"", "\\'", "\\\"", "''a", "~root/x",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		char command[128], want[128] = "", typed[128], *got;
		FILE *f;

		snprintf(command, sizeof(command), "printf %%s %s", words[i]);
		f = popen(command, "r");
		assert_non_null(f);
		want[fread(want, 1, sizeof(want) - 1, f)] = '\0';
		assert_int_equal(pclose(f), 0);
		snprintf(typed, sizeof(typed), "%s  \t", words[i]);
		got = file_name_typed(typed);
		assert_string_equal(got, want);
		free(got);
	}
}

static void expect(const char *typed, const char *want)
{
	char *got = file_name_typed(typed);

	assert_string_equal(got, want);
	free(got);
}

static void test_more_than_a_shell(void **state)
{
	(void)state;
	expect("two words ", "two words");
	expect("it's", "it's");                 /* a quote that is not closed is none */
	expect("", "");
	expect("  ", "");
	close(open("\"as it stands\"", O_CREAT | O_WRONLY, 0600));
	expect("\"as it stands\" ", "\"as it stands\"");
	unlink("\"as it stands\"");
	expect("\"as it stands\" ", "as it stands");
}

static void test_quote_and_back(void **state)
{
	static const char letters[] = "a \"'\\~\t";

	(void)state;
	for (int i = 0; i < 7 * 7 * 7 * 7; i++) {
		char name[8];

		for (int k = 0, x = i; k < 4; k++, x /= 7)
			name[k] = letters[x % 7];
		name[4] = '\0';
		for (const char *q = "\"'"; q - "\"'" < 3; q++) {
			char *quoted = file_name_quote(name, *q);
			char *back = file_name_unquote(quoted + (*q != '\0'), *q);

			assert_string_equal(back, name);
			/* No blank of it ends a word. */
			for (size_t at = 0; quoted[at]; at++)
				if (strchr(" \t", quoted[at]))
					assert_true(file_name_is_quoted(quoted, at));
			free(quoted);
			free(back);
			if (!*q)
				break;
		}
	}
}

static void argument(const char *line, const char *want)
{
	char err[ERR_MAX], *got;
	struct command c;
	const char *text;
	size_t n;

	assert_int_equal(command_parse(line, strlen(line), &c, &text, err), 1);
	got = command_argument(&c, &n);
	assert_int_equal(n, strlen(want));
	assert_string_equal(got, want);
	free(got);
}

static void test_arguments(void **state)
{
	char home[128];

	(void)state;
	snprintf(home, sizeof(home), "%s/x y", getenv("HOME"));
	argument("/read ~/x\\ y ", home);
	argument("/load \"~x y\" ", "~x y");
	argument("/save a\\ b ", "a b");
	argument("/model 'a b'", "a b");
	argument("/strategy plain ", "plain");
	argument("/theme dusk \t", "dusk");
	argument("/show model ", "model");
	argument("/system say \"x\" ", "say \"x\" ");
	argument("/edit 1 'x' ", "1 'x' ");
	assert_true(command_takes_file("/read"));
	assert_true(command_takes_file("/save x"));
	assert_false(command_takes_file("/system x"));
	assert_false(command_takes_file("read x"));
}

static void test_options(void **state)
{
	static char *argv[] = { "s3dchat", "--model=~/m.gguf", "-md", "none", "--sidecar=~/s",
		"-f", "~/q", "-p", "~/no file", NULL };
	struct file_names names = { .n = 0 };
	char err[ERR_MAX], want[128];
	struct options o;

	(void)state;
	assert_int_equal(args_parse(&o, 9, argv, err), 0);
	assert_int_equal(file_names_open(&names, &o, err), 0);
	snprintf(want, sizeof(want), "%s/m.gguf", getenv("HOME"));
	assert_string_equal(o.model, want);
	snprintf(want, sizeof(want), "%s/s", getenv("HOME"));
	assert_string_equal(o.sidecar, want);
	snprintf(want, sizeof(want), "%s/q", getenv("HOME"));
	assert_string_equal(o.file, want);
	assert_string_equal(o.model_draft, "none");
	assert_string_equal(o.prompt, "~/no file");
	file_names_free(&names);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(dir) || chdir(dir))
		return -1;
	return setenv("HOME", dir, 1);
}

static int tear_down(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_like_a_shell), cmocka_unit_test(test_more_than_a_shell),
		cmocka_unit_test(test_quote_and_back), cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
