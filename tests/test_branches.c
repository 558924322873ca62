/* test_branches.c - a chat that does not just go on: changed questions, commands in any order, a
 * full context, another model; the saved file follows or stays, as it should. */
#include "tests/talk_kit.h"

struct edition {
	const char *more;
	size_t n;
};

static char *editor(void *ctx, const char *text, size_t *n, char why[ERR_MAX])
{
	const struct edition *e = ctx;
	char *new = e ? malloc(*n + e->n + 1) : NULL;

	if (!new) {
		snprintf(why, ERR_MAX, "no editor");
		return NULL;
	}
	memcpy(new, text, *n);
	memcpy(new + *n, e->more, e->n + 1);
	*n += e->n;
	return new;
}

static void test_edit(void **state)
{
	struct edition none = { "", 0 }, one = { "!", 1 }, zero = { "\0?", 2 };
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
	t.edit_ctx = &none;
	assert_prints("/edit", "nothing was changed");
	assert_string_equal(t.chat->turn[2].text, "last");
	t.edit_ctx = &one;
	run("/edit 1");
	assert_int_equal(t.chat->n, 2);
	assert_string_equal(t.chat->turn[0].text, "one!");
	t.edit_ctx = &zero;
	for (int i = 0; i < 2; i++)     /* of a text with a zero byte the second time */
		run("/edit 1");
	assert_int_equal(t.chat->turn[0].len, 8);
	assert_memory_equal(t.chat->turn[0].text, "one!\0?\0?", 9);
	assert_saved();
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
		bool over = before && !chat_last(t.chat)->partial;
		unsigned pick;
		char *out = NULL;

		r = r * 1664525 + 1013904223;
		pick = (r >> 16) % 8;
		if (pick >= 5)
			ask("question");
		else
			out = command(lines[pick]);
		if (pick < 5 && !out) {
			assert_true(!before || (pick == 2 && over));
			assert_int_equal(t.chat->n, before);
			continue;
		}
		assert_false(pick == 2 && over);
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
		TEST(test_edit), TEST(test_dropped_turns_stay), TEST(test_any_order),
		TEST(test_model_and_show),
	};

	return cmocka_run_group_tests(tests, write_model, remove_all);
}
