/* test_kill.c - kill -9 at random moments of a chat on a terminal: every turn whose end the program
 * has told (it drew the next prompt) is there on resume.
 *
 * The seed is fixed, so the saved turns must be the first ones of a chat that nobody killed. */
#include "app/chat/chat.h"
#include "app/chat/saved.h"
#include "tests/home_kit.h"
#include "tests/mk.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KILLS = 200, QUESTIONS = 5 };

static char model[64], program[PATH_MAX], err[ERR_MAX];

static int set_up(void **state)
{
	struct mk_spec spec = MK_TINY;

	(void)state;
	if (home_open() || home_program(program))
		return -1;
	snprintf(model, sizeof(model), "%s/model.gguf", home);
	return mk_write(model, &spec, err);
}

struct run {
	int tty;
	pid_t pid;
	char out[1 << 16];      /* what it wrote */
	size_t n;
	int prompts;
};

/* Takes what can be read; false at the end. */
static bool take_output(struct run *r)
{
	static const char prompt[] = "\033[?2004h";
	ssize_t got = read(r->tty, r->out + r->n, sizeof(r->out) - 1 - r->n);

	if (got <= 0)
		return false;
	r->n += (size_t)got;
	r->out[r->n] = '\0';
	r->prompts = 0;
	for (size_t i = 0; i + sizeof(prompt) - 1 <= r->n; i++)
		r->prompts += !memcmp(r->out + i, prompt, sizeof(prompt) - 1);
	return true;
}

/* A chat of QUESTIONS turns; killed after so many seconds, unless < 0.  Returns the turns whose
 * ends were told. */
static int chat_run(double until)
{
	static struct run r;
	double start = clock_now();
	int asked = 0;
	char line[32];

	memset(&r, 0, sizeof(r));
	r.pid = forkpty(&r.tty, NULL, NULL, NULL);
	if (r.pid < 0)          /* and -1 must never reach kill() */
		fail_msg("no pseudo-terminal to be had (is /dev/pts mounted?)");
	if (!r.pid) {
		execl(program, program, "--line", "-m", model, "-t", "1", "-s", "1", "-n", "6",
		      (char *)NULL);
		_exit(127);
	}
	while (until < 0 || clock_now() - start < until) {
		double left = until < 0 ? 10 : until - (clock_now() - start);
		struct pollfd fd = { .fd = r.tty, .events = POLLIN };

		if (poll(&fd, 1, left > 0 ? (int)(left * 1000) : 0) > 0 && !take_output(&r))
			break;
		if (r.prompts > asked && asked < QUESTIONS) {
			snprintf(line, sizeof(line), "question %d\r", ++asked);
			assert_int_equal(write(r.tty, line, strlen(line)), strlen(line));
		} else if (r.prompts > QUESTIONS) {
			break;
		}
	}
	kill(r.pid, SIGKILL);
	waitpid(r.pid, NULL, 0);
	while (take_output(&r))
		;
	close(r.tty);
	return r.prompts ? r.prompts - 1 : 0;
}

static struct chat *newest(void)
{
	char *path = saved_path("", err), warning[ERR_MAX];
	struct chat *c;

	if (!path)
		return NULL;
	c = chat_load(NULL, path, warning, err);
	if (!c || *warning)
		fail_msg("%s: %s", path, c ? warning : err);
	free(path);
	return c;
}

static void forget_chats(void)
{
	char chats[96];

	snprintf(chats, sizeof(chats), "%s/s3dchat/chats", home);
	assert_int_equal(folder_remove(chats), 0);
}

static void assert_begins_like(const struct chat *got, const struct chat *want, int finished)
{
	if (got->n < 2 * finished)
		fail_msg("%d turns were told, %d are saved", 2 * finished, got->n);
	for (int i = 0; i < got->n && i < want->n; i++)
		assert_string_equal(got->turn[i].text, want->turn[i].text);
}

static void test_killed(void **state)
{
	double start = clock_now(), whole;
	struct chat *want, *got;
	char command[PATH_MAX + 128];
	int told[QUESTIONS + 1] = { 0 }, seen = 0;
	uint32_t r = 99;

	(void)state;
	assert_int_equal(chat_run(-1), QUESTIONS);
	whole = clock_now() - start;
	want = newest();
	assert_non_null(want);
	assert_int_equal(want->n, 2 * QUESTIONS);
	for (int i = 0; i < KILLS; i++) {
		int finished;

		forget_chats();
		r = r * 1664525 + 1013904223;
		finished = chat_run(whole * (double)(r >> 8) / (1 << 24));
		told[finished]++;
		got = newest();
		if (!got && finished)
			fail_msg("%d turns were told, nothing is saved: %s", finished, err);
		if (!got)
			continue;
		assert_begins_like(got, want, finished);
		chat_close(got);
		snprintf(command, sizeof(command), "%s --resume -m %s -t 1 -n 1 -p on >/dev/null",
			 program, model);
		if (i % 20 == 0)
			assert_int_equal(system(command), 0);
	}
	for (int i = 0; i <= QUESTIONS; i++)
		seen += told[i] > 0;
	assert_true(seen > 2);          /* the moments were spread over the chat */
	chat_close(want);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_killed) };

	return cmocka_run_group_tests(tests, set_up, home_close);
}
