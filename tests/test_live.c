/* test_live.c - the full screen and the decode thread together, hurried: typing, switching
 * strategies, moving thresholds, resizing, stopping, asking again, changing models, all while the
 * model decodes.  In the release build a stress test; `make check-tsan` looks for races in it.
 *
 * Two models of random weights, so that every strategy that needs a little one runs too. */
#include "app/config/args.h"
#include "app/tui/tui.h"
#include "tests/home_kit.h"
#include "tests/mk.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <locale.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STEPS = 1500, WAIT_MOST = 30000 };       /* milliseconds without a message */

struct live {
	struct tui tui;
	struct grid grid;
	int answers, stopped, switched, tokens, errors, while_busy;
};

static char big[64], little[64];
static uint32_t seed = 11;

static unsigned dice(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void count(struct live *l, const struct msg *m)
{
	l->answers += m->kind == MSG_DONE;
	l->stopped += m->kind == MSG_DONE && m->reason == DONE_STOPPED;
	l->switched += m->kind == MSG_STRATEGY;
	l->tokens += m->kind == MSG_TEXT;
	l->errors += m->kind == MSG_ERROR;
}

/* What has come within ms; false: nothing. */
static bool take(struct live *l, int ms)
{
	struct msgq *out = &l->tui.talk.worker->out;
	struct pollfd p = { .fd = out->wake[0], .events = POLLIN };
	struct msg m;
	bool any = false;

	poll(&p, 1, ms);
	l->tui.now = clock_now();
	while (msgq_get(out, &m)) {
		count(l, &m);
		tui_message(&l->tui, &m);
		msg_free(&m);
		any = true;
	}
	return any;
}

static void keys(struct live *l, const char *bytes)
{
	l->while_busy += tui_answering(&l->tui);
	tui_input(&l->tui, bytes, strlen(bytes), true);
	l->tui.want = 0;
}

static void line(struct live *l, const char *text)
{
	keys(l, "\005\025");          /* to its end, and away with it */
	tui_input(&l->tui, text, strlen(text), true);
	keys(l, "\r");
}

static void settle(struct live *l)
{
	int quiet = 0;

	while (talk_waits(&l->tui.talk) && quiet < WAIT_MOST)
		quiet = take(l, 100) ? 0 : quiet + 100;
	assert_true(quiet < WAIT_MOST);
	assert_false(l->tui.talk.failed);
}

static void change_model(struct live *l)
{
	char command[96];

	keys(l, "\033");
	settle(l);
	snprintf(command, sizeof(command), "/model %s", dice(2) ? big : little);
	line(l, command);
}

static void act(struct live *l)
{
	static const char *const key[] = {
		"a", "b ", "\177", "\033[D", "\033OS", "\033[15~", "\033[17~", "\033[18~",
		"\033[19~", "\024", "\033,", "\033.", "\033;", "\033'", "\033o", "\033m", "\033t",
		"\033[5~", "\033[6~", "\033OQ", "\033OR", "\033OP",
	};
	static const char *const lines[] = {
		"/set temp 0.9", "/set draft-max 3", "/stats", "/show", "/undo", "/regen",
		"/continue", "/edit 1 again", "/new", "/set seed 5", "/strategy", "/system short",
	};
	unsigned what = dice(100);

	if (what < 60)
		keys(l, key[dice(sizeof(key) / sizeof(key[0]))]);
	else if (what < 75)
		line(l, lines[dice(sizeof(lines) / sizeof(lines[0]))]);
	else if (what < 85)
		grid_resize(&l->grid, 1 + (int)dice(100), 1 + (int)dice(200));
	else if (what < 90)
		keys(l, "\033");
	else if (what < 91)
		change_model(l);
	if (!l->tui.talk.busy && dice(2))
		line(l, "tell me more of it");
}

static void run(struct live *l)
{
	for (int i = 0; i < STEPS; i++) {
		act(l);
		take(l, (int)dice(3));
		tui_draw(&l->tui, &l->grid);
	}
	line(l, "the last question");
	settle(l);
}

static void until_exact(struct live *l, bool exact)
{
	for (int i = 0; i < WAIT_MOST && l->tui.talk.exact != exact; i += 10)
		take(l, 10);
	assert_true(l->tui.talk.exact == exact);
	assert_true(l->tui.stats.exact == exact);
	assert_int_equal(l->tui.talk.switching, 0);
}

/* A setting alone makes bild exact, and approximate again; the little model's memory is known. */
static void exact_by_setting(struct live *l)
{
	char command[96];

	snprintf(command, sizeof(command), "/model %s", big);
	line(l, command);
	settle(l);
	assert_true(l->tui.stats.draft > 0);
	line(l, "/set rollback 3");
	line(l, "/strategy bild");
	settle(l);
	assert_string_equal(l->tui.talk.strategy, "bild");
	until_exact(l, false);
	line(l, "/set rollback exact");
	until_exact(l, true);
	line(l, "/set rollback 0");
	until_exact(l, false);
}

/* User and model by turns, all that the screen was told. */
static void check(const struct live *l)
{
	const struct chat *c = l->tui.talk.chat;

	for (int i = 0; i < c->n; i++)
		assert_int_equal(c->turn[i].who, i % 2 ? CHAT_MODEL : CHAT_USER);
	assert_int_equal(c->n % 2, 0);
	assert_int_equal(l->tui.turns, c->n);
	assert_true(l->answers > 20 && l->stopped > 5 && l->switched > 50);
	assert_true(l->tokens > 500 && l->while_busy > STEPS / 4);
}

static void test_live(void **state)
{
	static struct live l;
	struct options o;
	char err[ERR_MAX];

	(void)state;
	args_defaults(&o);
	o.model = big;
	o.model_draft = little;
	o.seed = 1;
	o.threads = 3;
	o.predict = 100;
	config_default(&l.tui.cfg, NULL);
	assert_int_equal(talk_open(&l.tui.talk, &o, err), 0);
	assert_int_equal(tui_open(&l.tui, err), 0);
	assert_int_equal(grid_resize(&l.grid, 30, 100), 0);
	settle(&l);
	run(&l);
	check(&l);
	exact_by_setting(&l);
	print_message("# %d answers, %d stopped, %d pieces, %d switches, %d errors, %d keys while "
		      "busy\n", l.answers, l.stopped, l.tokens, l.switched, l.errors, l.while_busy);
	tui_close(&l.tui);
	grid_free(&l.grid);
	talk_close(&l.tui.talk);
}

/* Closing while it loads and while it answers. */
static void test_leave_at_once(void **state)
{
	for (int i = 0; i < 12; i++) {
		struct live l = { .answers = 0 };
		struct options o;
		char err[ERR_MAX];

		(void)state;
		args_defaults(&o);
		o.model = big;
		o.threads = 2;
		config_default(&l.tui.cfg, NULL);
		assert_int_equal(talk_open(&l.tui.talk, &o, err), 0);
		assert_int_equal(tui_open(&l.tui, err), 0);
		if (i % 3) {
			settle(&l);
			line(&l, "a question");
			take(&l, i);
		}
		tui_close(&l.tui);
		talk_close(&l.tui.talk);
	}
}

static int set_up(void **state)
{
	struct mk_spec spec = MK_TINY;
	char err[ERR_MAX];

	(void)state;
	setlocale(LC_CTYPE, "C.UTF-8");
	if (home_open())
		return -1;
	snprintf(big, sizeof(big), "%s/big.gguf", home);
	snprintf(little, sizeof(little), "%s/little.gguf", home);
	if (mk_write(big, &spec, err))
		return -1;
	spec.n_layers = 1;
	spec.seed = 2;
	return mk_write(little, &spec, err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_live), cmocka_unit_test(test_leave_at_once),
	};

	return cmocka_run_group_tests(tests, set_up, home_close);
}
