/* test_crash.c - a crash in any thread gives the terminal back, and a file that shrinks under the
 * program is named as the reason.
 *
 * Children crash on terminals of their own.  The decode thread is caught in a function of a library
 * that it calls while it loads, which this program has instead. */
#include "app/config/args.h"
#include "ui/term/crash.h"
#include "app/worker/worker.h"
#include "base/threads.h"
#include "tests/home_kit.h"
#include "tests/mk.h"
#include "ui/term/term.h"

#include <poll.h>
#include <pthread.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <cmocka.h>

static char model[64], program[PATH_MAX], err[ERR_MAX];
static pthread_t first;

static int deep(volatile int n)
{
	volatile char space[4096];

	space[0] = (char)n;
	return n > 0 ? deep(n + 1) + space[0] : 0;
}

int pcre2_jit_compile_8(void *code, uint32_t options);
int pcre2_jit_compile_8(void *code, uint32_t options)
{
	(void)code, (void)options;
	return pthread_equal(pthread_self(), first) ? 0 : deep(1);
}

static void in_pool(void *arg, int thread)
{
	if (thread == *(int *)arg)
		deep(1);
	pause();
}

static void overflow_pool(int thread)
{
	pool_run(pool_open(2, err), in_pool, &thread);
}

static void overflow_first(void)
{
	overflow_pool(0);
}

static void overflow_worker(void)
{
	overflow_pool(1);
}

static void overflow_decode(void)
{
	char *argv[] = { "s3dchat", NULL };
	struct options o;

	first = pthread_self();
	if (args_parse(&o, 1, argv, err) == 0)
		worker_open(&o, model, err);
	pause();
}

struct child {
	int tty;
	pid_t pid;
	size_t n;
	char out[1 << 16];
};

/* In the child this returns false, with no handler of cmocka's left. */
static bool start(struct child *c)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
	struct winsize size = { .ws_row = 24, .ws_col = 80 };

	memset(c, 0, sizeof(*c));
	fflush(NULL);
	c->pid = forkpty(&c->tty, NULL, NULL, &size);
	if (c->pid < 0)
		fail_msg("no pseudo-terminal to be had (is /dev/pts mounted?)");
	for (size_t i = 0; !c->pid && i < sizeof(faults) / sizeof(faults[0]); i++)
		signal(faults[i], SIG_DFL);
	return c->pid != 0;
}

enum { PATIENCE_MS = 90000 };

/* More of what it says; false: it has ended, or says nothing for longer than a sanitizer takes to
 * find names for its report on a busy machine. */
static bool more(struct child *c)
{
	struct pollfd fd = { .fd = c->tty, .events = POLLIN };
	ssize_t got = poll(&fd, 1, PATIENCE_MS) == 1 ?
		      read(c->tty, c->out + c->n, sizeof(c->out) - 1 - c->n) : 0;

	c->n += got > 0 ? (size_t)got : 0;
	return got > 0;
}

/* Its terminal is as terminals are, and it did not end well. */
static void has_crashed(struct child *c)
{
	struct termios now;
	int status;

	while (more(c))
		;
	assert_int_equal(tcgetattr(c->tty, &now), 0);
	kill(c->pid, SIGKILL);
	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	if (WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : !WEXITSTATUS(status))
		fail_msg("it has not crashed, but said: %s", c->out);
	assert_true(now.c_lflag & ICANON && now.c_lflag & ECHO && now.c_lflag & ISIG &&
		    now.c_iflag & ICRNL);
	close(c->tty);
}

static void (*const places[])(void) = { overflow_first, overflow_worker, overflow_decode };

static void test_full_screen(void **state)
{
	static struct child c;

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (!start(&c)) {
			crash_open();
			if (term_open(err) == 0)
				places[i]();
			_exit(0);
		}
		has_crashed(&c);
		assert_non_null(strstr(c.out, "\033[?1049h"));  /* was there, */
		assert_non_null(strstr(c.out, "\033[?1049l"));  /* and has been left */
	}
}

static void test_line(void **state)
{
	static struct child c;
	struct termios raw;

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (!start(&c)) {
			crash_open();
			crash_line(true);
			tcgetattr(STDIN_FILENO, &raw);
			cfmakeraw(&raw);
			tcsetattr(STDIN_FILENO, TCSANOW, &raw);
			places[i]();
			_exit(0);
		}
		has_crashed(&c);
	}
}

/* Somebody writes over the model, whose matrices of this type stay where they are. */
static void test_shrinks(void **state)
{
	static struct child c;

	(void)state;
	if (!start(&c)) {
		execl(program, program, "--line", "-m", model, "-t", "2", "-n", "6", "--backend",
		      "cpu", (char *)NULL);
		_exit(127);
	}
	while (!strstr(c.out, "\033[?2004h> "))
		if (!more(&c))
			fail_msg("no prompt but: %s", c.out);
	assert_int_equal(truncate(model, 4096), 0);
	assert_int_equal(write(c.tty, "hello\r", 6), 6);
	has_crashed(&c);
	assert_non_null(strstr(c.out, "model file was changed or cut short while it was in use"));
}

static int set_up(void **state)
{
	struct mk_spec spec = MK_TINY;

	(void)state;
	first = pthread_self();
	if (home_open() || home_program(program))
		return -1;
	snprintf(model, sizeof(model), "%s/model.gguf", home);
	spec.type = "F16";
	spec.n_embd = 256;
	return mk_write(model, &spec, err);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_screen),
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_shrinks),
	};

	return cmocka_run_group_tests_name("crash", tests, set_up, home_close);
}
