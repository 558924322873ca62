/* test_chat_model.c - a saved chat goes on with the model that it was had with; where it cannot, or
 * another one was named, both are told. */
#include "tests/talk_kit.h"

#include <fcntl.h>
#include <sys/stat.h>

enum { PATH = 160 };
static char other[PATH];

/* A chat with the other model, as ID first; then one with the usual model. */
static void make_chats(void)
{
	struct mk_spec spec = MK_TINY;
	char line[PATH + 16];

	spec.seed = 2;
	snprintf(other, sizeof(other), "%s/other.gguf", home);
	if (mk_write(other, &spec, err))
		fail_msg("%s", err);
	opts.model = other;
	begin();
	ask("with the other");
	snprintf(line, sizeof(line), "/save! %s/first", home);
	run(line);
	talk_close(&t);
	opts.model = model;
	*last_note = '\0';
}

static void resume_at_start(bool named)
{
	opts.resume = true;
	opts.given[args_find("model") - option_rows] = named;
	begin();
	opts.resume = false;
}

static void assert_tells_both(void)
{
	assert_non_null(strstr(last_note, other));
	assert_non_null(strstr(last_note, model));
	*last_note = '\0';
}

static void test_at_start(void **state)
{
	char place[PATH];

	(void)state;
	make_chats();
	resume_at_start(false);
	assert_string_equal(t.file, other);
	assert_string_equal(last_note, "");
	ask("more");
	talk_close(&t);
	resume_at_start(true);                  /* who names a model gets it, and is told */
	assert_string_equal(t.file, model);
	assert_tells_both();
	talk_close(&t);
	assert_int_equal(unlink(other), 0);
	resume_at_start(false);
	assert_string_equal(t.file, model);
	assert_non_null(strstr(last_note, "not there"));
	assert_tells_both();
	ask("on");                              /* from here on it is this model's */
	snprintf(place, sizeof(place), "%s", t.place);
	talk_close(&t);
	resume_at_start(false);
	assert_string_equal(t.place, place);
	assert_string_equal(last_note, "");
	talk_close(&t);
}

static void test_in_the_chat(void **state)
{
	char line[PATH + 16];

	(void)state;
	make_chats();
	snprintf(line, sizeof(line), "/load %s/first", home);
	begin();
	run("/resume");
	assert_string_equal(t.file, other);
	assert_int_equal(t.chat->n, 2);
	ask("more");
	assert_saved();
	talk_close(&t);
	begin();
	run(line);
	assert_string_equal(t.file, other);
	assert_non_null(strstr(last_note, "loading the model of this chat"));
	run(line);                              /* it is there already */
	assert_string_equal(t.file, other);
	talk_close(&t);
	opts.given[args_find("model") - option_rows] = true;
	begin();
	run(line);
	assert_string_equal(t.file, model);
	assert_tells_both();
	talk_close(&t);
	opts.given[args_find("model") - option_rows] = false;
	begin();
	assert_int_equal(unlink(other), 0);
	run(line);
	assert_string_equal(t.file, model);
	assert_tells_both();
	talk_close(&t);
}

/* With no model loaded the chat's own is a way to one. */
static void test_without_model(void **state)
{
	(void)state;
	make_chats();
	opts.model = "/no/such.gguf";
	assert_int_equal(talk_open(&t, &opts, err), 0);
	drain();
	assert_true(t.failed);
	run("/resume");
	assert_true(t.ready);
	assert_string_equal(t.file, other);
	talk_close(&t);
}

/* What a file names is loaded only if it is an ordinary file, named in full. */
static void test_hostile_names(void **state)
{
	static const char *const names[] = { "/dev/zero", "%s/fifo", "other.gguf", "%s", "/no/such",
					     "" };
	char bytes[600], name[PATH], fifo[PATH];

	(void)state;
	make_chats();
	snprintf(fifo, sizeof(fifo), "%s/fifo", home);
	unlink(fifo);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	begin();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), names[i], home);
		snprintf(bytes, sizeof(bytes), "{\"s3dchat\":1,\"model\":\"\\u001b[2Jm\","
			 "\"model_file\":\"%s\"}\n{\"role\":\"user\",\"text\":\"q\"}\n", name);
		write_file("odd.jsonl", bytes, strlen(bytes));
		*last_note = '\0';
		run("/resume odd");
		assert_string_equal(t.file, model);
		assert_non_null(strstr(last_note, "goes on with"));
		assert_null(strchr(last_note, '\033'));
	}
	talk_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_at_start, set_up),
		cmocka_unit_test_setup(test_in_the_chat, set_up),
		cmocka_unit_test_setup(test_without_model, set_up),
		cmocka_unit_test_setup(test_hostile_names, set_up),
	};

	return cmocka_run_group_tests_name("chat_model", tests, write_model, remove_all);
}
