/* test_record.c - how an answer was written belongs to the answer: what helped, whether all of that
 * was exact, numbers; in memory, on the screen, in --json and in the saved chat. */
#include "tests/talk_kit.h"
#include "app/run/run_json.h"
#include "app/talk/commands.h"
#include "ui/term/headless.h"
#include "ui/pane/pane_stats.h"

#include <jansson.h>

/* A chat in which the model is its own little one. */
static void begin_pair(void)
{
	opts.model_draft = model;
	opts.strategy = "bild";
	opts.predict = 4;
	begin();
}

/* An answer that is not over yet. */
static void ask_long(void)
{
	for (int seed = 1; seed < 100; seed++) {
		char line[32];

		run("/new");
		snprintf(line, sizeof(line), "/set seed %d", seed);
		run(line);
		ask("x");
		if (chat_last(t.chat)->partial)
			return;
	}
	fail_msg("no answer is long enough");
}

/* What is said of the last answer, everywhere. */
static void assert_record(const char *strategy, bool exact)
{
	char line[96], *out = NULL, why[ERR_MAX];
	const struct stats *s = &chat_last(t.chat)->stats;
	size_t n;
	FILE *f;
	json_t *j;

	assert_string_equal(s->strategy, strategy);
	assert_int_equal(s->exact, exact);
	snprintf(line, sizeof(line), "strategy           %s (%s)\n", strategy,
		 exact ? "exact" : "approximate");
	assert_prints("/stats", line);
	f = open_memstream(&out, &n);
	assert_int_equal(run_json(f, &t, DONE_LIMIT, NULL, why), 0);
	fclose(f);
	j = json_loads(out, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(j, "strategy")), strategy);
	assert_int_equal(json_is_true(json_object_get(j, "exact")), exact);
	json_decref(j);
	free(out);
}

static void test_all_that_helped(void **state)
{
	(void)state;
	begin_pair();
	assert_prints("/stats", "strategy           -\n");
	ask_long();
	assert_record("bild", false);
	run("/strategy plain");         /* after the end */
	assert_record("bild", false);
	run("/continue");
	assert_record("bild, plain", false);
	run("/strategy bild");
	run("/set rollback exact");     /* a setting does not change what was */
	assert_record("bild, plain", false);
	ask_long();
	assert_record("bild", true);
	run("/set rollback 3");
	assert_record("bild", true);
	run("/strategy ngram");
	run("/continue");
	assert_record("bild, ngram", true);
	talk_close(&t);
}

/* An answer of the model itself is there. */
static void begin_exact(void)
{
	opts.strategy = "ngram";
	opts.predict = 4;
	begin();
	ask_long();
	assert_record("ngram", true);
}

/* With layers in groups an answer is not the model's own; what was written before stays what it was
 * called, and so does what comes after. */
static void test_groups(void **state)
{
	(void)state;
	begin_exact();
	assert_prints("/set cqil 0:2:2", "cqil is now 0:2:2\n");
	assert_record("ngram", true);
	run("/continue");
	assert_record("ngram", false);
	assert_prints("/show model", "cqil               0:2:2\n");
	assert_prints("/strategy", "approximate");
	assert_refused("/set cqil 0:9:2", "no layers 0 to 8");
	assert_refused("/set cqil 0:2", "--cqil");
	assert_prints("/show model", "cqil               0:2:2\n");
	run("/set cqil auto");          /* nothing was calibrated */
	run("/continue");
	assert_record("ngram", false);
	assert_prints("/set cqil", "0:2:2");
	assert_prints("/show model", "cqil               0:2:2\n");
	assert_refused("/set cqil auto:7", "--cqil auto:7");
	run("/set cqil off");
	assert_record("ngram", false);
	ask_long();
	assert_record("ngram", true);
	assert_prints("/show model", "cqil               off\n");
	talk_close(&t);
}

/* Likewise MLPs that read a part of their columns. */
static void test_pruning(void **state)
{
	(void)state;
	begin_exact();
	assert_prints("/set dip .5", "dip is now .5\n");
	assert_prints("/set dip-score weighted", "dip-score is now weighted\n");
	assert_prints("/set dip-prompt on", "dip-prompt is now on\n");
	run("/continue");
	assert_record("ngram", false);
	assert_prints("/show model", "dip                .5 weighted with prompts\n");
	assert_prints("/strategy", "approximate");
	assert_refused("/set dip 2", "--dip");
	assert_prints("/show model", "dip                .5 weighted with prompts\n");
	assert_prints("/set dip-ca .2", "dip-ca is now .2\n");
	assert_prints("/set dip-policy lru", "dip-policy is now lru\n");
	assert_prints("/set dip-cache 0.1", "dip-cache is now 0.1\n");
	ask_long();
	assert_record("ngram", false);
	assert_prints("/show model", "dip                .5 weighted with prompts ca .2\n");
	assert_prints("/stats", "cache hit rate");
	assert_refused("/set dip-ca 3", "--dip-ca");
	run("/set dip off");
	ask_long();
	assert_record("ngram", true);
	assert_prints("/show model", "dip                off\n");
	talk_close(&t);
}

/* The key comes while the answer is being written, if this thread is awake in time: on a busy
 * machine that takes tries. */
static void test_in_mid_answer(void **state)
{
	struct msg m;
	int n;

	(void)state;
	begin_pair();
	run("/set predict 300");
	for (int tries = 0; tries < 2000; tries++) {
		run("/new");
		run("/strategy bild");
		assert_int_equal(talk_ask(&t, "x", 1, err), 0);
		for (n = 0; talk_waits(&t); msg_free(&m)) {
			msgq_wait(&t.worker->out, &m);
			talk_take(&t, &m);
			if (m.kind == MSG_TEXT && ++n == 2)
				assert_int_equal(talk_strategy(&t, "plain", err), 0);
			if (m.kind == MSG_TEXT)         /* should this be the last that comes */
				assert_int_equal(strncmp(chat_last(t.chat)->stats.strategy, "bild",
							 4), 0);
		}
		assert_string_equal(t.strategy, n < 2 ? "bild" : "plain");
		assert_false(chat_last(t.chat)->stats.exact);
		if (!strcmp(chat_last(t.chat)->stats.strategy, "bild, plain"))
			break;
	}
	assert_record("bild, plain", false);
	talk_close(&t);
}

static void test_saved(void **state)
{
	struct stats before;

	(void)state;
	begin_pair();
	ask_long();
	run("/strategy plain");
	run("/continue");
	before = t.stats;
	assert_true(before.n_tokens > 0 && before.rate > 0);
	talk_close(&t);
	opts.resume = true;
	opts.strategy = "ngram";
	begin();
	assert_record("bild, plain", false);
	assert_int_equal(t.stats.n_tokens, before.n_tokens);
	assert_int_equal(t.stats.rounds, before.rounds);
	assert_true(t.stats.rate > before.rate * 0.999 && t.stats.rate < before.rate * 1.001);
	ask("y");
	assert_record("ngram", true);
	run("/undo");
	assert_record("bild, plain", false);
	assert_saved();
	talk_close(&t);
}

/* Of an answer without a record, and of one in a file that lies. */
static void test_files(void **state)
{
	static const struct {
		const char *record, *strategy;
	} files[] = {
		{ "", "-, plain" },
		{ ",\"strategy\":\"\\u001b[2J\",\"exact\":true", "-, plain" },
		{ ",\"strategy\":7,\"exact\":\"x\",\"stats\":{\"tokens\":-1e99}", "-, plain" },
		{ ",\"strategy\":\"plain\",\"stats\":{\"tokens\":\"x\"}", "plain" },
	};
	char path[96], line[128];

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		FILE *f;

		opts.strategy = "plain";
		begin();
		snprintf(path, sizeof(path), "%s/file", home);
		f = fopen(path, "w");
		assert_non_null(f);
		fprintf(f, "{\"s3dchat\":1}\n{\"role\":\"user\",\"text\":\"q\"}\n{\"role\":"
			"\"assistant\",\"partial\":true,\"text\":\"a\"%s}\n", files[i].record);
		fclose(f);
		snprintf(line, sizeof(line), "/load %s", path);
		run(line);
		assert_prints("/stats", "tokens             -\n");
		run("/continue");
		assert_record(files[i].strategy, false);
		talk_close(&t);
	}
}

static bool shows(struct stats_view *v, enum stats_form form, const char *text)
{
	struct grid g = { 0 };
	char *out = NULL;
	size_t n;
	FILE *f = open_memstream(&out, &n);
	bool found;

	assert_int_equal(grid_resize(&g, form == STATS_LINE ? 1 : 24, 100), 0);
	pane_stats_draw(&g, (struct rect){ 0, 0, g.rows, g.cols }, v, form);
	headless_print(f, &g, false);
	fclose(f);
	found = strstr(out, text) != NULL;
	free(out);
	grid_free(&g);
	return found;
}

/* What is in force shows until an answer has its own. */
static void test_pane(void **state)
{
	static const enum stats_form forms[] = { STATS_SIDE, STATS_LINE };
	struct stats_view v = { .s = STATS_NONE_YET, .strategy = "plain", .exact = true };

	(void)state;
	for (int i = 0; i < 2; i++) {
		v.s = STATS_NONE_YET;
		assert_true(shows(&v, forms[i], "exact"));
		assert_false(shows(&v, forms[i], "approximate"));
		v.s = (struct stats){ .n_tokens = 3, .strategy = "bild, plain" };
		assert_true(shows(&v, forms[i], "bild, plain"));
		assert_true(shows(&v, forms[i], "approximate"));
	}
}

/* Whether /stats has a text. */
static bool stats_say(const struct stats *s, const char *text)
{
	struct talk said_by = { .stats = *s };
	char *said;
	size_t n;
	FILE *out = open_memstream(&said, &n);
	bool found;

	command_stats(&said_by, out);
	fclose(out);
	found = strstr(said, text) != NULL;
	free(said);
	return found;
}

/* A part of the MLPs, and what a token then needs of the weights. */
static void test_pruned(void **state)
{
	struct stats_view v = { .s = STATS_NONE_YET, .token_weights = 52.3e6 };

	(void)state;
	assert_false(shows(&v, STATS_SIDE, "dip"));
	assert_false(shows(&v, STATS_SIDE, "52.3 MB"));
	strcpy(v.dip, ".5 weighted");
	assert_true(shows(&v, STATS_SIDE, ".5 weighted"));
	assert_true(shows(&v, STATS_SIDE, "52.3 MB"));
}

/* That the strategy is slower shows while it is so, also where there is no room for all rows. */
static void test_slower(void **state)
{
	static const enum stats_form forms[] = { STATS_SIDE, STATS_LINE };
	struct stats_view v = { .s = { .n_tokens = 90, .rate = 9, .strategy = "draft" },
				.plain_rate = 10 };

	(void)state;
	for (int i = 0; i < 4; i++) {
		v.s.slower = i & 1;
		assert_true(shows(&v, forms[i / 2], "0.90x"));
		assert_int_equal(shows(&v, forms[i / 2], "slower than plain here"), i & 1);
		assert_int_equal(stats_say(&v.s, "draft (approximate), slower than plain here\n"),
				 i & 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_all_that_helped, set_up),
		cmocka_unit_test_setup(test_groups, set_up),
		cmocka_unit_test_setup(test_pruning, set_up),
		cmocka_unit_test_setup(test_in_mid_answer, set_up),
		cmocka_unit_test_setup(test_saved, set_up),
		cmocka_unit_test_setup(test_files, set_up),
		cmocka_unit_test(test_pane), cmocka_unit_test(test_pruned),
		cmocka_unit_test(test_slower),
	};

	return cmocka_run_group_tests(tests, write_model, remove_all);
}
