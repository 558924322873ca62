/* program_kit.h - the program on a pty, as full screen or as line chat: bytes to it with their
 * times, what it writes, and what it kept of a chat.  A model of random weights, a home of its own.
 *
 * What was typed is looked for where the program keeps it: in the saved chat. */
#ifndef S3D_TESTS_PROGRAM_KIT_H
#define S3D_TESTS_PROGRAM_KIT_H
#include "app/chat/chat.h"
#include "app/config/options.h"
#include "app/chat/saved.h"
#include "tests/home_kit.h"
#include "tests/mk.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASTE_BEGIN "\033[200~"
#define PASTE_END "\033[201~"
enum { OUT_MOST = 1 << 22, KINDS = 2 };

static char model[64], program[PATH_MAX], err[ERR_MAX];

struct run {
	bool line;              /* line chat */
	int tty;
	pid_t pid;
	char *out;              /* what it wrote */
	size_t n, seen;         /* seen: before this nothing is waited for */
};

/* Takes what comes in so many seconds; false: it has ended. */
static inline bool take(struct run *r, double seconds)
{
	for (double end = clock_now() + seconds, left; (left = end - clock_now()) > 0;) {
		struct pollfd p = { .fd = r->tty, .events = POLLIN };
		ssize_t got;

		if (poll(&p, 1, (int)(left * 1000) + 1) <= 0)
			continue;
		got = read(r->tty, r->out + r->n, OUT_MOST - 1 - r->n);
		if (got <= 0)
			return false;
		r->n += (size_t)got;
		r->out[r->n] = '\0';
	}
	return true;
}

static inline void wait_for(struct run *r, const char *text)
{
	for (int i = 0; i < 600; i++) {
		char *at = memmem(r->out + r->seen, r->n - r->seen, text, strlen(text));

		if (at) {
			r->seen = (size_t)(at - r->out) + strlen(text);
			return;
		}
		if (!take(r, 0.05))
			break;
	}
	kill(r->pid, SIGKILL);
	fail_msg("%s: '%s' did not come; the last: %s", r->line ? "line chat" : "full screen", text,
		 r->n > 200 ? r->out + r->n - 200 : r->out);
}

static inline void configure(const char *text)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/s3dchat", home);
	mkdir(path, 0700);
	strcat(path, "/config");
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static inline void start(struct run *r, bool line)
{
	struct winsize w = { .ws_row = 30, .ws_col = 100 };
	char command[128];

	*r = (struct run){ .line = line, .out = calloc(1, OUT_MOST) };
	assert_non_null(r->out);
	snprintf(command, sizeof(command), "rm -rf %s/s3dchat/*/ %s/s3dchat/history", home, home);
	assert_int_equal(system(command), 0);
	r->pid = forkpty(&r->tty, NULL, NULL, &w);
	if (r->pid < 0)
		fail_msg("no pseudo-terminal to be had (is /dev/pts mounted?)");
	if (!r->pid) {
		execl(program, program, "-m", model, "-md", "none", "-t", "1", "-n", "4", "-s", "1",
		      line ? "--line" : (char *)NULL, (char *)NULL);
		_exit(127);
	}
	wait_for(r, "leaves.");
	assert_true(take(r, 0.2));
}

static inline void type_n(struct run *r, const char *bytes, size_t n)
{
	while (n) {
		ssize_t k = write(r->tty, bytes, n < 4096 ? n : 4096);

		assert_true(k > 0);
		bytes += k;
		n -= (size_t)k;
		take(r, 0.001);
	}
}

/* Types, and is quiet for a time. */
static inline void type(struct run *r, const char *bytes, double pause)
{
	type_n(r, bytes, strlen(bytes));
	assert_true(take(r, pause));
}

/* The exit status; one that does not end is killed. */
static inline int finish(struct run *r)
{
	int status = 0;
	bool ended = !take(r, 0) || !take(r, 10);

	if (!ended)
		kill(r->pid, SIGKILL);
	waitpid(r->pid, &status, 0);
	close(r->tty);
	free(r->out);
	return !ended ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

static inline struct chat *saved(void)
{
	struct options o = { 0 };
	char warning[ERR_MAX], *path = saved_path("", err);
	struct chat *c = path ? chat_load(&o, path, warning, err) : NULL;

	free(path);
	return c;
}

/* The first question was this text. */
static inline void asked(struct run *r, const char *text)
{
	struct chat *c = NULL;

	for (int i = 0; i < 100 && !c; i++) {
		take(r, 0.05);
		c = saved();
	}
	if (!c)
		fail_msg("%s: nothing was asked", r->line ? "line chat" : "full screen");
	if (strlen(text) != c->turn[0].len || memcmp(c->turn[0].text, text, c->turn[0].len))
		fail_msg("%s: '%.*s' was asked", r->line ? "line chat" : "full screen",
			 (int)c->turn[0].len, c->turn[0].text);
	chat_close(c);
}

static inline void leave(struct run *r)
{
	kill(r->pid, SIGTERM);
	assert_int_equal(finish(r), 128 + SIGTERM);
}

static inline int set_up(void **state)
{
	struct mk_spec spec = MK_TINY;

	(void)state;
	if (home_open() || home_program(program))
		return -1;
	snprintf(model, sizeof(model), "%s/model.gguf", home);
	setenv("TERM", "xterm-256color", 1);
	unsetenv("SSH_CONNECTION");
	unsetenv("SSH_TTY");
	return mk_write(model, &spec, err);
}
#endif
