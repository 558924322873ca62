/* test_taken_back.c - what was taken back, by the user or because it does not fit the context, is
 * as if it had not been: in the conversation, in its file, in what waits for the next question. */
#include "tests/talk_kit.h"

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
	run("/set seed 9223372036854775807");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_undone, set_up),
		cmocka_unit_test_setup(test_refused, set_up),
	};

	return cmocka_run_group_tests_name("taken_back", tests, write_model, remove_all);
}
