/* test_settings.c - /set, strategies that cannot be had, and what commands say when they went well,
 * in a chat with a tiny random model. */
#include "engine/strategy/strategies.h"
#include "tests/talk_kit.h"

static void assert_says(const char *line, const char *want)
{
	char *out = command(line);

	assert_string_equal(out, want);
	free(out);
}

/* Every setting that is on or off takes these two words and no other, and /set says what it is
 * now, as it does of every other. */
static void test_set(void **state)
{
	static const char *const bad[] = { "maybe", "true", "yes", "1", "ON", "of", "on off" };
	char line[96], want[96];
	int flags = 0;

	(void)state;
	begin();
	for (size_t i = 0; i < option_rows_n; i++) {
		const struct option_row *r = &option_rows[i];
		const bool *now = (const void *)((const char *)&t.opt + r->offset);

		if (r->kind != OPT_BOOL || !(r->where & LIVE))
			continue;
		for (int on = 1; on >= 0; on--) {
			snprintf(line, sizeof(line), "/set %s %s", r->name, on ? "on" : "off");
			snprintf(want, sizeof(want), "%s is now %s\n", r->name, on ? "on" : "off");
			assert_says(line, want);
			assert_int_equal(*now, on);
		}
		for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
			snprintf(line, sizeof(line), "/set %s %s", r->name, bad[k]);
			assert_refused(line, "is not on or off");
			assert_false(*now);
		}
		flags++;
	}
	assert_true(flags > 0);
	assert_says("/set temp 0.5", "temp is now 0.5\n");
	assert_says("/set temperature=0", "temp is now 0\n");
	assert_says("/set rollback exact", "rollback is now exact\n");
	assert_says("/set seed 7", "seed is now 7\n");
	assert_refused("/set top-k 1.5", "whole number");
	assert_refused("/set draft-min 17", "from 0 to 16");
	assert_says("/set draft-max 4", "draft-max is now 4\n");
	assert_refused("/set draft-min 5", "more than --draft-max 4");
	assert_int_equal(t.opt.draft_min, 0);
	talk_close(&t);
}

/* What cannot be set in a chat says when or how it can. */
static void test_set_at_the_start(void **state)
{
	static const struct { const char *line, *says; } cases[] = {
		{ "/set ctx-size 100", "only be set at the start: s3dchat --ctx-size N" },
		{ "/set threads 2", "--threads N" }, { "/set backend cpu", "--backend" },
		{ "/set line on", "--line" }, { "/set no-save on", "at the start" },
		{ "/set verbose on", "at the start" }, { "/set bild paper", "at the start" },
		{ "/set model x.gguf", "/model FILE" }, { "/set strategy plain", "/strategy NAME" },
		{ "/set strategy", "/strategy NAME" }, { "/set theme dusk", "/theme NAME" },
		{ "/set system-prompt hi", "/system TEXT" }, { "/set resume on", "/resume" },
		{ "/set csv on", "no setting 'csv'" }, { "/set nonsense 1", "no setting" },
	};
	char *out;

	(void)state;
	begin();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_refused(cases[i].line, cases[i].says);
	out = command("/set ctx-size");
	assert_non_null(strstr(out, "ctx-size             0 "));
	free(out);
	talk_close(&t);
}

/* What it takes to pass over strategies: which of them this model, alone, does not have. */
static void test_lacking(void **state)
{
	static const char lacking[] = "draft bild s3d";

	(void)state;
	begin();
	for (int i = 0; strategies[i]; i++) {
		bool lacks = strstr(lacking, strategies[i]->name) != NULL;

		assert_int_equal(t.info.lacking >> i & 1, lacks);
	}
	talk_close(&t);
}

/* /undo counts what is left in questions, not in turns of both sides. */
static void test_undo_counts_questions(void **state)
{
	(void)state;
	begin();
	for (int i = 0; i < 3; i++)
		ask("question");
	assert_says("/undo", "took back the last question; 2 questions are left\n");
	assert_says("/undo", "took back the last question; 1 question is left\n");
	assert_says("/undo", "took back the last question; 0 questions are left\n");
	assert_refused("/undo", "nothing to take back");
	talk_close(&t);
}

/* The sidecar's share stands right under the two that it is a part of. */
static void test_memory_rows(void **state)
{
	char *out;

	(void)state;
	begin();
	out = command("/show memory");
	assert_true(strstr(out, "little model") < strstr(out, "\nweights "));
	assert_true(strstr(out, "\nweights ") < strstr(out, "\nKV cache "));
	char *kv = strstr(out, "\nKV cache ");
	assert_int_equal(strncmp(strchr(kv + 1, '\n'), "\n  sidecar, of both ", 20), 0);
	free(out);
	talk_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_set, set_up),
		cmocka_unit_test_setup(test_set_at_the_start, set_up),
		cmocka_unit_test_setup(test_lacking, set_up),
		cmocka_unit_test_setup(test_undo_counts_questions, set_up),
		cmocka_unit_test_setup(test_memory_rows, set_up),
	};

	return cmocka_run_group_tests(tests, write_model, remove_all);
}
