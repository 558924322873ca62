/* test_continue.c - an answer that was stopped and gone on with is the one that was not stopped:
 * whatever the frame and the vocabulary, at every token, also by way of a file.
 *
 * The models are random, so what is compared is one run with another, never with a constant. */
#include "tests/talk_kit.h"

enum { CUTS = 16, TOKENS = 24, LONG = 120 };

static char file[96];

static void make_model(bool spm)
{
	struct mk_spec spec = MK_TINY;

	spec.n_vocab = spm ? 700 : 300;
	assert_int_equal(mk_write_frames(model, &spec, spm, err), 0);
	snprintf(file, sizeof(file), "%s/stopped", home);
	opts.no_save = true;
}

static void set(const char *key, int value)
{
	char line[64];

	snprintf(line, sizeof(line), "/set %s %d", key, value);
	run(line);
}

/* The first seed whose answer is not over before its limit. */
static struct chat_turn *whole_answer(void)
{
	set("predict", TOKENS);
	for (int seed = 1; seed < 200; seed++) {
		run("/new");
		set("seed", seed);
		ask("List three fruits, one per line.");
		if (chat_last(t.chat)->partial)
			return chat_last(t.chat);
	}
	fail_msg("no answer is long enough");
	return NULL;
}

static void by_file(const char *command_)
{
	char line[128];

	snprintf(line, sizeof(line), "%s %s", command_, file);
	run(line);
}

/* The answer in two parts, of n tokens and the rest; saved: the chat is gone in between. */
static void check_cut(int n, bool saved, const char *want, size_t len)
{
	const struct chat_turn *last;

	run("/new");
	set("predict", n);
	ask("List three fruits, one per line.");
	if (saved) {
		by_file("/save");
		run("/new");
		ask("something else");
		by_file("/load");
	}
	set("predict", TOKENS - n);
	run("/continue");
	last = chat_last(t.chat);
	if (last->len != len || memcmp(last->text, want, len))
		fail_msg("%s: other text when cut after %d tokens%s", t.info.frame, n,
			 saved ? " and saved" : "");
}

static void check_frame(const char *frame)
{
	const struct chat_turn *last;
	char *whole;
	size_t len;

	opts.chat_template = frame;
	opts.predict = TOKENS;
	begin();
	last = whole_answer();
	len = last->len;
	whole = malloc(len + 1);
	memcpy(whole, last->text, len + 1);
	for (int n = 1; n <= CUTS; n++)
		check_cut(n, n % 3 == 0, whole, len);
	free(whole);
	talk_close(&t);
}

static void check_frames(bool spm)
{
	char names[] = TEMPLATE_NAMES;

	make_model(spm);
	for (char *name = strtok(names, " "); name; name = strtok(NULL, " "))
		check_frame(name);
}

static void test_bytes(void **state)
{
	(void)state;
	check_frames(false);
}

static void test_words(void **state)
{
	(void)state;
	check_frames(true);
}

/* The fifth answer in a small context, in two parts. */
static const struct chat_turn *fifth_answer(int n)
{
	run("/new");
	set("predict", 20);
	for (int i = 0; i < 4; i++)
		ask("one question of some length before it");
	set("predict", n);
	ask("and a long answer");
	set("predict", LONG - n);
	if (n < LONG)
		run("/continue");
	return chat_last(t.chat);
}

/* Also where turns leave in mid-answer, before or after the cut. */
static void test_full_context(void **state)
{
	const struct chat_turn *last;
	struct mk_spec spec = MK_TINY;
	char *whole;
	size_t len;
	int seed = 1;

	(void)state;
	assert_int_equal(mk_write(model, &spec, err), 0);
	opts.ctx = 256;
	opts.no_save = true;
	begin();
	do
		set("seed", seed);
	while (!(last = fifth_answer(LONG))->partial && seed++ < 50);
	assert_true(last->partial && t.chat->first > 0);
	len = last->len;
	whole = malloc(len);
	memcpy(whole, last->text, len);
	for (int n = 10; n < LONG; n += 10) {
		last = fifth_answer(n);
		if (last->len != len || memcmp(last->text, whole, len))
			fail_msg("other text when cut after %d tokens", n);
	}
	free(whole);
	talk_close(&t);
}

/* Half a character is kept, in memory, in the file and in what the model sees, also where the
 * tokens are not known: in a file that was made without them. */
static void test_half_a_character(void **state)
{
	static const char half[] = "caf\xc3";
	char warning[ERR_MAX];
	struct chat *c = chat_open(), *back;

	(void)state;
	assert_non_null(c);
	assert_int_equal(chat_system(c, "sys\xe2\x82\0", 6), 0);
	assert_int_equal(chat_add(c, CHAT_USER, "\xff?", 2), 0);
	assert_int_equal(chat_add(c, CHAT_MODEL, half, 4), 0);
	assert_int_equal(chat_token(c, 7), 0);
	assert_int_equal(chat_token(c, 300), 0);
	chat_last(c)->partial = true;
	make_model(false);
	assert_int_equal(chat_save(c, &opts, "m", file, err), 0);
	back = chat_load(NULL, file, warning, err);
	assert_non_null(back);
	assert_int_equal(back->system_len, 6);
	assert_memory_equal(back->system, "sys\xe2\x82\0", 6);
	assert_int_equal(back->turn[0].len, 2);
	assert_memory_equal(back->turn[0].text, "\xff?", 2);
	assert_int_equal(back->turn[1].len, 4);
	assert_memory_equal(back->turn[1].text, half, 4);
	assert_int_equal(back->turn[1].n_ids, 2);
	assert_int_equal(back->turn[1].ids[1], 300);
	chat_close(back);
	chat_close(c);
}

static void write_chat(const char *text)
{
	FILE *f = fopen(file, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	fclose(f);
}

/* A text that somebody has changed counts more than the bytes and the tokens beside it; tokens that
 * no vocabulary has, or that would end the answer, do no harm. */
static void test_changed_by_hand(void **state)
{
	static const char *const lines[] = {
		"\"text\":\"new\",\"text_bytes\":\"caf\\u00c3\"",
		"\"text\":\"new\",\"text_bytes\":\"\\u0100\"",
		"\"text\":\"new\",\"text_bytes\":7,\"tokens\":[1,2,3]",
		"\"text\":\"new\",\"tokens\":[999999999,-1]",
		"\"text\":\"new\",\"tokens\":[2]", "\"text\":\"new\",\"tokens\":{}",
	};
	char chat[512], warning[ERR_MAX];

	(void)state;
	make_model(false);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct chat *c;

		snprintf(chat, sizeof(chat), "{\"s3dchat\":1}\n{\"role\":\"user\",\"text\":"
			 "\"q\"}\n{\"role\":\"assistant\",\"partial\":true,%s}\n", lines[i]);
		write_chat(chat);
		c = chat_load(NULL, file, warning, err);
		assert_non_null(c);
		assert_string_equal(chat_last(c)->text, "new");
		chat_close(c);
		begin();
		by_file("/load");
		run("/continue");
		assert_string_equal(last_error, "");
		assert_int_equal(strncmp(chat_last(t.chat)->text, "new", 3), 0);
		talk_close(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_bytes, set_up),
		cmocka_unit_test_setup(test_words, set_up),
		cmocka_unit_test_setup(test_full_context, set_up),
		cmocka_unit_test_setup(test_half_a_character, set_up),
		cmocka_unit_test_setup(test_changed_by_hand, set_up),
	};

	return cmocka_run_group_tests(tests, write_model, remove_all);
}
