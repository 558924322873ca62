/* test_gpu_fails.c - a device that fails in the middle of it: what was written stays and is saved,
 * the chat goes on with the cpu, one answer and the other commands end with an error.
 *
 * Invariant of all tests: what was opened on the device has been closed at the end. */
#include "app/bench/bench.h"
#include "app/tools/eval.h"
#include "app/run/run.h"
#include "tests/fake_gpu.h"
#include "tests/talk_kit.h"

#include <fcntl.h>
#include <sys/wait.h>

static char little[80], text_file[80];

static int write_models(void **state)
{
	struct mk_spec spec = MK_TINY;
	FILE *f;

	spec.n_layers = 1;
	spec.seed = 2;
	if (write_model(state))
		return -1;
	snprintf(little, sizeof(little), "%s/little.gguf", home);
	snprintf(text_file, sizeof(text_file), "%s/text.txt", home);
	f = fopen(text_file, "w");
	for (int i = 0; f && i < 300; i++)
		fprintf(f, "line %d of it\n", i);
	return !f || fclose(f) || mk_write(little, &spec, err);
}

static int on_device(void **state)
{
	fake = (struct fake_gpu){ .there = true, .free = (size_t)1 << 30, .layer = 1 << 20,
				  .fixed = 1 << 20, .used = 7 << 20 };
	if (set_up(state))
		return -1;
	opts.model_draft = little;
	opts.predict = 12;
	opts.temp = 0;
	return 0;
}

static int closed(void **state)
{
	(void)state;
	return fake.devs || fake.kvs;
}

/* Until the engine that takes the device's place is there. */
static void until_ready(void)
{
	struct msg m = { .kind = MSG_PLAN };

	while (t.info.gpu) {
		msgq_wait(&t.worker->out, &m);
		talk_take(&t, &m);
		n_strategies += m.kind == MSG_STRATEGY;
		if (m.kind == MSG_ERROR && m.error == ERROR_GONE)
			fail_msg("%s", m.text);
		msg_free(&m);
	}
}

static void end(void)
{
	talk_close(&t);
	assert_int_equal(fake.devs + fake.kvs, 0);
}

static void assert_error(const char *says)
{
	if (!strstr(last_error, says))
		fail_msg("the error should say '%s', says '%s'", says, last_error);
}

static void test_on_the_device(void **state)
{
	(void)state;
	begin();
	assert_true(t.info.gpu && fake.devs == 2 && fake.kvs == 2);
	ask("hello");
	assert_true(fake.passes > 2);
	assert_prints("/show model", "cuda: a fake");
	assert_prints("/show memory", "taken                   7.0 MiB");
	assert_prints("/show memory", "may be taken          960.0 MiB");
	assert_prints("/show memory", "0.0 MiB in every pass: 0 of 3 layers");
	fake.used = 0;
	talk_close(&t);
	opts.gpu_layers = 1;
	begin();
	ask("hello");
	assert_prints("/show memory", "taken              -");
	assert_prints("/show memory", "2.0 MiB in every pass: 2 of 3 layers");
	end();
}

/* What came is kept, saved, told, and can be gone on with. */
static void test_in_an_answer(void **state)
{
	char *part;

	(void)state;
	begin();
	run("/strategy plain");
	n_strategies = 0;
	fake.fail_forward = 7;         /* the prompt, five tokens, and then */
	ask("hello");
	assert_error("cuda: fake: the device is lost");
	assert_error("going on with --backend cpu");
	assert_error("/continue");
	assert_int_equal(t.chat->n, 2);
	assert_true(chat_last(t.chat)->partial && chat_last(t.chat)->len > 0);
	assert_int_equal(t.stats.n_tokens, 5);
	assert_saved();
	part = strdup(chat_last(t.chat)->text);
	until_ready();
	assert_int_equal(fake.devs + fake.kvs, 0);
	assert_int_equal(n_strategies, 0);      /* it has that of the one before */
	assert_false(t.failed || t.busy);
	*last_error = '\0';
	run("/continue");
	assert_string_equal(last_error, "");
	assert_int_equal(strncmp(chat_last(t.chat)->text, part, strlen(part)), 0);
	assert_true(chat_last(t.chat)->len > strlen(part));
	assert_int_equal(t.chat->n, 2);
	assert_prints("/show model", "cpu: ");
	assert_prints("/show memory", "whole process");
	assert_string_equal(t.strategy, "plain");
	assert_saved();
	free(part);
	end();
}

/* Nothing came: the cpu answers instead. */
static void test_in_the_prompt(void **state)
{
	(void)state;
	begin();
	ask("hello");
	fake.fail_forward = 1;
	ask("and then?");
	assert_error("device is lost");
	assert_error("going on with --backend cpu");
	assert_int_equal(t.chat->n, 4);
	assert_true(t.ready && !t.info.gpu);
	assert_true(chat_last(t.chat)->len > 0);
	assert_saved();
	end();
}

/* Wherever it fails, in the big model or the little one, the next question has its answer, though
 * it is asked before the other engine is there. */
static void test_any_pass(void **state)
{
	static const char *const strategies_[] = { "plain", "ngram", "draft", "bild", "auto" };

	(void)state;
	for (int i = 0; i < 5; i++)
		for (int n = 1; n < 10; n += 1 + i % 2) {
			opts.strategy = strategies_[i];
			fake.lost = false;
			fake.fail_forward = 0;
			begin();
			fake.fail_forward = n;
			*last_error = '\0';
			ask("one one one one one");
			assert_error("device is lost");
			*last_error = '\0';
			ask("two");
			assert_string_equal(last_error, "");
			assert_string_equal(t.strategy, strategies_[i]);
			assert_int_equal(chat_last(t.chat)->who, CHAT_MODEL);
			assert_true(t.stats.n_tokens > 0 && !t.info.gpu);
			assert_int_equal(t.chat->n % 2, 0);
			assert_saved();
			run("/new");
			end();
		}
}

/* Settings, strategies and other models that are asked for meanwhile. */
static void test_meanwhile(void **state)
{
	char line[96];

	(void)state;
	begin();
	fake.fail_forward = 4;
	ask("hello");
	assert_int_equal(talk_set(&t, "temp", "0.5", err), 0);
	run("/strategy ngram");
	assert_string_equal(t.strategy, "ngram");
	snprintf(line, sizeof(line), "/model %s", little);
	run(line);
	assert_true(t.ready && !t.busy);
	assert_int_equal(t.info.gpu, false);
	run("/set temp 0");             /* all options go over with this: the cpu stays */
	snprintf(line, sizeof(line), "/model %s", model);
	run(line);
	ask("hello");
	assert_false(t.info.gpu);
	assert_int_equal(fake.devs, 0);
	end();
}

static void test_model_right_after(void **state)
{
	char line[96];

	(void)state;
	begin();
	fake.fail_forward = 4;
	ask("hello");
	snprintf(line, sizeof(line), "/model %s", little);
	assert_int_equal(talk_model(&t, little, err), 0);
	assert_true(t.busy && !t.ready);
	drain();
	assert_true(t.ready && !t.busy && !t.info.gpu);
	ask("hello");
	end();
}

/* A device that opens nothing any more: another model, then the one before, on the cpu. */
static void test_dead_when_opened(void **state)
{
	char line[96];

	(void)state;
	opts.backend = "cuda";
	begin();
	fake.fail_open = 1;
	fake.fail_kv = 1;               /* the second attempt gets farther */
	snprintf(line, sizeof(line), "/model %s", little);
	run(line);
	assert_error("no device memory to open");
	assert_error("--backend cpu");
	assert_true(t.ready && !t.failed && !t.info.gpu);
	ask("hello");
	assert_true(chat_last(t.chat)->len > 0);
	end();
}

static void test_refused_at_start(void **state)
{
	(void)state;
	opts.backend = "cuda";
	fake.there = false;
	assert_int_equal(talk_open(&t, &opts, err), 0);
	drain();
	assert_true(t.failed);
	assert_error("fake: no device");
	assert_error("--backend cpu");
	talk_close(&t);
	opts.backend = "auto";
	begin();
	assert_prints("/show model", "cuda               - (fake: no device)");
	assert_string_equal(last_note, "");
	end();
	fake.there = true;
	fake.fail_kv = 1;
	begin();
	assert_non_null(strstr(last_note, "going on with the cpu"));
	end();
}

/* What run_once does in a process of its own: its status, standard output and error text. */
static int run_apart(char *out, char *said, size_t cap)
{
	char path[2][96];
	int status;
	pid_t pid;

	for (int i = 0; i < 2; i++)
		snprintf(path[i], sizeof(path[i]), "%s/out%d", home, i);
	pid = fork();
	if (!pid) {
		int rc;

		for (int i = 0; i < 2; i++)
			if (dup2(open(path[i], O_CREAT | O_TRUNC | O_WRONLY, 0600), i + 1) < 0)
				_exit(99);
		rc = run_once(&opts, err);
		fprintf(stderr, "%s\n", err);
		_exit(fake.devs || fake.kvs ? 98 : rc < 0 ? 1 : rc);
	}
	waitpid(pid, &status, 0);
	for (int i = 0; i < 2; i++) {
		FILE *f = fopen(path[i], "r");
		size_t n = f ? fread(i ? said : out, 1, cap - 1, f) : 0;

		(i ? said : out)[n] = '\0';
		if (f)
			fclose(f);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_one_answer(void **state)
{
	static char whole[4096], part[4096], said[4096];

	(void)state;
	opts.prompt = "hello";
	opts.strategy = "plain";
	opts.backend = "cpu";
	assert_int_equal(run_apart(whole, said, sizeof(whole)), 0);
	opts.backend = "auto";
	fake.fail_forward = 7;         /* the prompt, five tokens, and then */
	assert_int_equal(run_apart(part, said, sizeof(part)), 1);
	assert_true(strlen(part) > 1 && strlen(part) < strlen(whole));
	assert_int_equal(strncmp(part, whole, strlen(part) - 1), 0);
	assert_non_null(strstr(said, "device is lost; --backend cpu works without it"));
	opts.json = true;
	assert_int_equal(run_apart(part, said, sizeof(part)), 1);
	assert_non_null(strstr(part, "\"error\":\"cuda: fake: the device is lost"));
	assert_non_null(strstr(part, "\"ended_by\":\"error\""));
	assert_non_null(strstr(part, "\"tokens\":5"));
	fake.there = false;
	opts.backend = "cuda";
	assert_int_equal(run_apart(part, said, sizeof(part)), 1);
	assert_non_null(strstr(said, "--backend cpu"));
}

static void test_other_commands(void **state)
{
	FILE *nowhere = fopen("/dev/null", "w");

	(void)state;
	opts.mode = MODE_EVAL;
	opts.arg[0] = text_file;
	opts.ctx = 64;
	for (int n = 1; n < 4; n++) {
		fake.lost = false;
		fake.fail_forward = n;
		assert_int_equal(eval_run(&opts, nowhere, err), -1);
		assert_non_null(strstr(err, "device is lost"));
		assert_int_equal(fake.devs + fake.kvs, 0);
	}
	opts.mode = MODE_BENCH;
	opts.strategies = true;
	opts.ctx = 512;
	opts.reps = 1;
	opts.prompts = text_file;
	fake.lost = false;
	fake.fail_forward = 5;
	assert_int_equal(bench_run(&opts, nowhere, err), -1);
	assert_int_equal(fake.devs + fake.kvs, 0);
	fclose(nowhere);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, on_device, closed)
		TEST(test_one_answer), TEST(test_on_the_device), TEST(test_in_an_answer),
		TEST(test_in_the_prompt), TEST(test_any_pass), TEST(test_meanwhile),
		TEST(test_model_right_after), TEST(test_dead_when_opened),
		TEST(test_refused_at_start), TEST(test_other_commands),
#undef TEST
	};

	return cmocka_run_group_tests_name("gpu_fails", tests, write_models, remove_all);
}
