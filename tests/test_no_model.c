/* test_no_model.c - without a model, or with one that has no usable chat frame, a chat goes on: it
 * says so, and what gives one works. */
#include "tests/talk_kit.h"

static bool was_refused(void)
{
	bool refused = t.refused != NULL;

	free(t.refused);
	t.refused = NULL;
	return refused;
}

static void test_no_model(void **state)
{
	(void)state;
	opts.model = "/no/such/file.gguf";
	assert_int_equal(talk_open(&t, &opts, err), 0);
	drain();
	assert_true(t.failed && !t.ready);
	assert_non_null(strstr(last_error, "/no/such/file.gguf"));
	assert_int_equal(talk_ask(&t, "x", 1, err), -1);
	assert_non_null(strstr(err, "/model"));
	assert_refused("/strategy plain", "no model");
	run("/set temp 0.5");
	run("/show");
	/* /model is the way out, also behind one more that fails. */
	assert_int_equal(talk_model(&t, "Makefile", err), 0);
	drain();
	assert_true(t.failed && !t.ready && !t.busy);
	assert_non_null(strstr(last_error, "Makefile"));
	assert_int_equal(talk_model(&t, model, err), 0);
	drain();
	assert_true(t.ready && !t.failed);
	run("/set predict 3");
	ask("x");
	assert_int_equal(t.chat->n, 2);
	assert_true(t.worker->opt.temp == 0.5f);
	talk_close(&t);
}

/* When the model before has gone from the disk too there is none, until /model names one. */
static void test_model_gone(void **state)
{
	struct mk_spec spec = MK_TINY;
	char path[80];

	(void)state;
	snprintf(path, sizeof(path), "%s.gone", model);
	assert_int_equal(mk_write(path, &spec, err), 0);
	opts.model = path;
	begin();
	ask("x");
	unlink(path);
	assert_int_equal(talk_model(&t, "Makefile", err), 0);
	drain();
	assert_true(t.failed && !t.ready);
	assert_non_null(strstr(last_error, ".gone"));
	assert_int_equal(talk_model(&t, model, err), 0);
	drain();
	assert_true(t.ready && !t.failed);
	ask("y");
	assert_int_equal(t.chat->n, 4);
	talk_close(&t);
}

/* A model whose frame is not known says so when it is loaded, and takes one in the chat. */
static void test_no_frame(void **state)
{
	static const char key[] = "tokenizer.chat_template";
	struct mk_spec spec = MK_TINY;
	char path[80], *buf = malloc(1 << 20), *at;
	size_t n;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s.frame", model);
	assert_int_equal(mk_write(path, &spec, err), 0);
	f = fopen(path, "r+");
	assert_non_null(f);
	n = fread(buf, 1, 1 << 20, f);
	at = memmem(buf, n, key, strlen(key));
	assert_non_null(at);
	fseek(f, at - buf, SEEK_SET);
	fputc('T', f);
	fclose(f);
	free(buf);
	opts.model = path;
	begin();
	assert_non_null(strstr(last_note, "/set chat-template"));
	assert_string_equal(t.info.frame, "none");
	ask("x");
	assert_true(was_refused());
	assert_int_equal(t.chat->n, 0);
	assert_non_null(strstr(last_error, "/set chat-template"));
	assert_refused("/set chat-template magic", "chatml");
	run("/set chat-template llama3");
	ask("x");
	assert_true(was_refused());
	assert_non_null(strstr(last_error, "lacks"));
	run("/set chat-template chatml");
	ask("x");
	assert_int_equal(t.chat->n, 2);
	assert_string_equal(t.info.frame, "chatml");
	run("/set chat-template default");
	ask("x");
	assert_true(was_refused());
	talk_close(&t);
	unlink(path);
}

/* Back to the model's own frame: which one that is, is told. */
static void test_default_frame(void **state)
{
	(void)state;
	begin();
	assert_string_equal(t.info.frame, "chatml");
	assert_prints("/set chat-template zephyr", "chat-template is now zephyr\n");
	ask("x");
	assert_string_equal(last_note, "");
	assert_prints("/set chat-template default", "chat-template is now default\n");
	ask("x");               /* behind the setting */
	assert_non_null(strstr(last_note, "chatml"));
	assert_prints("/set chat-template", " default ");
	talk_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_no_model, set_up),
		cmocka_unit_test_setup(test_model_gone, set_up),
		cmocka_unit_test_setup(test_no_frame, set_up),
		cmocka_unit_test_setup(test_default_frame, set_up),
	};

	return cmocka_run_group_tests_name("no_model", tests, write_model, remove_all);
}
