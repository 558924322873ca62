/* test_talk.c - a chat with a tiny random model: answers, seeds, stopping, full context, commands.
 *
 * The model's text is noise, so what is compared is one run with another, never with a constant. */
#include "app/config/args.h"
#include "app/talk/commands.h"
#include "engine/engine.h"
#include "tests/mk.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char model[] = "/tmp/s3dchat-talk.XXXXXX", err[ERR_MAX], last_error[ERR_MAX];
static struct options opts;
static struct talk t;
static enum msg_reason reason;
static int n_dropped, dropped_at, n_texts;      /* dropped_at: after so many tokens */

static int write_model(void **state)
{
	struct mk_spec spec = MK_TINY;
	int fd = mkstemp(model);

	(void)state;
	if (fd < 0 || close(fd))
		return -1;
	return mk_write(model, &spec, err);
}

static int remove_model(void **state)
{
	(void)state;
	return unlink(model);
}

/* Until the model owes nothing; stop_after: as if Ctrl+C was pressed after so many tokens. */
static void drain(int stop_after)
{
	struct msg m;

	n_dropped = dropped_at = n_texts = 0;
	*last_error = '\0';
	while (talk_waits(&t)) {
		msgq_wait(&t.worker->out, &m);
		talk_take(&t, &m);
		n_texts += m.kind == MSG_TEXT;
		if (m.kind == MSG_TEXT && n_texts == stop_after)
			talk_stop(&t);
		if (m.kind == MSG_DROPPED) {
			n_dropped = m.count;
			dropped_at = n_texts;
		}
		if (m.kind == MSG_DONE)
			reason = m.reason;
		if (m.kind == MSG_ERROR)
			snprintf(last_error, sizeof(last_error), "%s", m.text);
		msg_free(&m);
	}
}

static void begin_with(char *path, int ctx, int predict)
{
	args_defaults(&opts);
	opts.model = path;
	opts.ctx = ctx;
	opts.predict = predict;
	opts.threads = 1;
	opts.seed = 5;
	opts.no_save = true;
	assert_int_equal(talk_open(&t, &opts, err), 0);
	drain(0);
	assert_true(t.ready && !t.failed);
	assert_int_equal(t.info.ctx_size, ctx);
}

static void begin(int ctx, int predict)
{
	begin_with(model, ctx, predict);
}

static void ask(const char *text)
{
	assert_int_equal(talk_ask(&t, text, strlen(text), err), 0);
	drain(0);
}

static char *answer_now(void)
{
	struct chat_turn *last = chat_last(t.chat);

	assert_non_null(last);
	assert_int_equal(last->who, CHAT_MODEL);
	return last->text;
}

/* Runs a line as a command; what it printed is returned, NULL when it was refused (err). */
static char *command(const char *line)
{
	struct command c;
	const char *text;
	char *out = NULL;
	size_t n;
	bool leave = false;
	FILE *f;

	if (command_parse(line, strlen(line), &c, &text, err) != 1)
		return NULL;
	f = open_memstream(&out, &n);
	if (command_run(&t, &c, f, &leave, err)) {
		fclose(f);
		free(out);
		return NULL;
	}
	fclose(f);
	drain(0);
	return out;
}

static void run(const char *line)
{
	char *out = command(line);

	if (!out)
		fail_msg("%s: %s", line, err);
	free(out);
}

static void assert_refused(const char *line, const char *says)
{
	if (command(line) || !strstr(err, says))
		fail_msg("%s should be refused with '%s', got '%s'", line, says, err);
}

static void test_seeds_and_strategies(void **state)
{
	char *first, *second;

	(void)state;
	begin(512, 40);
	ask("hello");
	assert_int_equal(reason, DONE_LIMIT);
	assert_int_equal(t.stats.n_tokens, 40);
	assert_true(t.stats.rate > 0 && t.stats.first_s > 0 && t.stats.prompt_rate > 0);
	assert_int_equal(chat_last(t.chat)->seed, 5);
	assert_true(chat_last(t.chat)->partial);
	first = strdup(answer_now());
	run("/regen");
	assert_int_equal(t.seed, 6);
	assert_int_equal(t.chat->n, 2);
	assert_string_not_equal(answer_now(), first);
	second = strdup(answer_now());

	run("/new");
	assert_int_equal(t.seed, 5);
	run("/strategy ngram");
	assert_string_equal(t.strategy, "ngram");
	ask("hello");
	assert_string_equal(answer_now(), first);
	run("/set seed 6");
	run("/regen");
	assert_int_equal(t.seed, 7);
	run("/set seed 9223372036854775807");
	run("/regen");
	assert_int_equal(t.seed, 0);
	run("/undo");
	run("/set seed 6");
	ask("hello");
	assert_string_equal(answer_now(), second);
	free(first);
	free(second);
	talk_close(&t);
}

/* While nothing is asked self looks for what it might leave out, does not let a question wait for
 * long, and the answers are plain's. */
static void test_idle(void **state)
{
	char *plain[2];

	(void)state;
	for (int with = 0; with < 2; with++) {
		begin(512, 40);
		run(with ? "/strategy self" : "/strategy plain");
		for (int i = 0; i < 2; i++) {
			ask(i ? "and then" : "hello");
			if (with)
				assert_string_equal(answer_now(), plain[i]);
			else
				plain[i] = strdup(answer_now());
			usleep(100000);
		}
		run("/strategy plain");         /* from here on the other thread only waits */
		assert_true(with == (t.worker->engine->skip.n > 0));
		talk_close(&t);
	}
	free(plain[0]);
	free(plain[1]);
}

/* Switching the strategy in mid-answer leaves the text alone. */
static void test_switch_while_answering(void **state)
{
	char *plain;

	(void)state;
	begin(512, 200);
	ask("switch");
	plain = strdup(answer_now());
	run("/undo");
	assert_int_equal(talk_ask(&t, "switch", 6, err), 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(talk_strategy(&t, i % 2 ? "plain" : "ngram", err), 0);
		usleep(1000);
	}
	drain(0);
	assert_string_equal(answer_now(), plain);
	free(plain);
	talk_close(&t);
}

static void test_stop_and_continue(void **state)
{
	size_t n = 0;

	(void)state;
	begin(512, 300);
	for (int tries = 0; tries < 100; tries++) {     /* it may be done, or about to, */
		run("/set predict 300");                /* before we look */
		chat_undo(t.chat);
		assert_int_equal(talk_ask(&t, "x", 1, err), 0);
		assert_int_equal(talk_ask(&t, "y", 1, err), -1);        /* busy */
		drain(3);
		if (reason != DONE_STOPPED)
			continue;
		assert_true(t.stats.n_tokens >= 3 && t.stats.n_tokens < 300);
		n = chat_last(t.chat)->len;
		run("/set predict 4");
		run("/continue");
		if (reason == DONE_LIMIT)
			break;
	}
	assert_int_equal(reason, DONE_LIMIT);
	assert_int_equal(t.chat->n, 2);
	assert_int_equal(t.stats.n_tokens, 4);
	assert_true(chat_last(t.chat)->len > n);
	chat_last(t.chat)->partial = false;
	assert_refused("/continue", "the answer is finished");
	assert_false(t.busy);
	run("/set predict 0");
	ask("nothing");
	assert_int_equal(reason, DONE_LIMIT);
	assert_string_equal(answer_now(), "");
	assert_int_equal(t.chat->n, 4);
	talk_close(&t);
}

static void test_full_context(void **state)
{
	char text[600];

	(void)state;
	begin(256, 30);
	ask("one");
	assert_int_equal(n_dropped, 0);
	for (int i = 0; i < 24; i++) {
		ask("and another question of some length, to fill it" + i);
		assert_int_equal(t.chat->first % 2, 0);
	}
	assert_int_equal(t.chat->n, 50);
	assert_true(t.chat->first > 30 && t.chat->first < 49);
	assert_true(t.stats.ctx_used <= 256);
	/* In mid-answer the oldest leave too, and the answer goes on to its limit. */
	run("/set predict 150");
	for (int tries = 0; tries < 20 && !(dropped_at && reason == DONE_LIMIT); tries++)
		ask("long");
	assert_true(dropped_at > 0);
	assert_int_equal(reason, DONE_LIMIT);
	assert_int_equal(t.stats.n_tokens, 150);
	/* The last question never leaves: alone it fills the context. */
	run("/new");
	run("/set predict -1");
	run("/set temp 5");
	do
		ask("endless");
	while (reason == DONE_END);
	assert_int_equal(reason, DONE_CONTEXT);
	memset(text, 'a', sizeof(text));
	assert_int_equal(talk_ask(&t, text, sizeof(text), err), 0);
	drain(0);
	assert_int_equal(reason, DONE_REFUSED);
	assert_non_null(strstr(last_error, "-c"));
	talk_close(&t);
}

static void test_commands(void **state)
{
	struct command c;
	const char *text;
	char *out;

	(void)state;
	assert_int_equal(command_parse("plain text", 10, &c, &text, err), 0);
	assert_string_equal(text, "plain text");
	assert_int_equal(command_parse("//etc/passwd", 12, &c, &text, err), 0);
	assert_string_equal(text, "/etc/passwd");
	assert_int_equal(command_parse("/etc/fstab explain", 18, &c, &text, err), 0);
	assert_string_equal(text, "/etc/fstab explain");
	assert_int_equal(command_parse("/save /etc/fstab", 16, &c, &text, err), 1);
	assert_int_equal(command_parse("/usr: x", 7, &c, &text, err), -1);
	assert_true(command_hides("/quit") && command_hides("//x") && command_hides("/no /x"));
	assert_false(command_hides("/a/b c") || command_hides("x") || command_hides(""));
	assert_int_equal(command_parse("/quit", 5, &c, &text, err), 1);
	assert_int_equal(c.id, COMMAND_EXIT);
	assert_int_equal(command_parse("/system  be brief ", 18, &c, &text, err), 1);
	assert_string_equal(c.arg, "be brief ");
	begin(512, 4);
	assert_refused("/", "no command");
	assert_refused("/nonsense x", "/nonsense");
	assert_refused("/regen 5", "nothing behind it");
	assert_refused("/load", "needs a FILE");
	assert_refused("/regen", "no answer yet");
	assert_refused("/continue", "no answer yet");
	assert_refused("/undo", "nothing to take back");
	assert_refused("/set temp -1", "--temp");
	assert_refused("/strategy magic", "magic");
	assert_refused("/read /dev/zero", "not an ordinary file");
	out = command("/stats");
	assert_non_null(strstr(out, "tokens/s           -\n"));
	assert_null(strstr(out, "nan"));
	free(out);
	out = command("/system be brief");
	assert_string_equal(out, "the system prompt is now: be brief\n");
	free(out);
	assert_string_equal(t.chat->system, "be brief");
	run("/system none");
	assert_string_equal(t.chat->system, "");
	run("/system default");
	assert_null(t.chat->system);
	run("/system ''");
	assert_string_equal(t.chat->system, "");
	run("/system default");
	run("/system \"\"");
	assert_string_equal(t.chat->system, "");
	out = command("/set top_k 9");
	assert_int_equal(t.opt.top_k, 9);
	free(out);
	talk_close(&t);
}

static void test_save_load_read(void **state)
{
	char name[] = "/tmp/s3dchat-file.XXXXXX", line[64];
	int fd = mkstemp(name);

	(void)state;
	assert_int_equal(write(fd, "attached", 8), 8);
	close(fd);
	begin(512, 10);
	snprintf(line, sizeof(line), "/read %s", name);
	run(line);
	ask("question");
	assert_string_equal(t.chat->turn[0].text, "attached\n\nquestion");
	ask("again");
	assert_string_equal(t.chat->turn[2].text, "again");
	run("/regen");
	snprintf(line, sizeof(line), "/save! %s", name);        /* of what was read */
	run(line);
	run("/new");
	run("/set temp 3");
	memcpy(line, "/load ", 6);
	run(line);
	assert_int_equal(t.chat->n, 4);
	assert_int_equal(t.seed, 6);
	assert_true(t.opt.temp == 0.8f);
	chat_unanswer(t.chat);
	assert_int_equal(talk_continue(&t, err), 0);
	drain(0);
	assert_int_equal(chat_last(t.chat)->seed, 6);
	talk_close(&t);
	unlink(name);
}

/* Words of a SentencePiece vocabulary begin with a space.  That of an answer's first word is what
 * the tokenizer puts there; those of the others are the text's, also when the answer goes on. */
static void test_first_space(void **state)
{
	struct mk_spec spec = MK_TINY;
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s.spm", model);
	spec.n_vocab = 4000;            /* few of them bytes */
	assert_int_equal(mk_write_spm(path, &spec, err), 0);
	begin_with(path, 512, 1);
	ask("hello");
	assert_int_equal(strncmp(answer_now(), "word", 4), 0);
	assert_null(strchr(answer_now(), ' '));
	run("/continue");
	assert_non_null(strstr(answer_now(), " word"));
	talk_close(&t);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seeds_and_strategies),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_switch_while_answering),
		cmocka_unit_test(test_stop_and_continue), cmocka_unit_test(test_full_context),
		cmocka_unit_test(test_commands), cmocka_unit_test(test_save_load_read),
		cmocka_unit_test(test_first_space),
	};

	return cmocka_run_group_tests(tests, write_model, remove_model);
}
