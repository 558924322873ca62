/* tui_signal.c - see tui_signal.h.
 *
 * Invariant: handlers call nothing but write, term_restore_now and raise. */
#include "app/tui_signal.h"
#include "ui/term.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

static const int caught[] = { SIGINT, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH, SIGTERM, SIGHUP };
static const int deadly[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
enum { CAUGHT_N = sizeof(caught) / sizeof(caught[0]),
	DEADLY_N = sizeof(deadly) / sizeof(deadly[0]) };

static struct sigaction caught_before[CAUGHT_N], deadly_before[DEADLY_N];
static int wake[2] = { -1, -1 };
static char crash_stack[1 << 16];       /* a handler cannot use a stack that has overflowed */

static void on_signal(int sig)
{
	int saved = errno;
	char byte = (char)sig;

	if (write(wake[1], &byte, 1) < 0)
		errno = saved;
	errno = saved;
}

static void on_crash(int sig)
{
	term_restore_now();
	raise(sig);             /* SA_RESETHAND: the default now */
}

void tui_signal_ours(void)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

	while (tui_signal_take())
		;
	for (int i = 0; i < CAUGHT_N; i++)
		sigaction(caught[i], &act, NULL);
}

void tui_signal_usual(void)
{
	struct sigaction usual = { .sa_handler = SIG_DFL }, ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGTSTP, &usual, NULL);
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGQUIT, &ignore, NULL);
}

int tui_signal_open(char err[ERR_MAX])
{
	struct sigaction crash = { .sa_handler = on_crash,
		.sa_flags = (int)(SA_RESETHAND | SA_NODEFER | SA_ONSTACK) };
	stack_t stack = { .ss_sp = crash_stack, .ss_size = sizeof(crash_stack) };

	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK))
		return fail(err, "cannot make a pipe: %s", strerror(errno));
	sigaltstack(&stack, NULL);
	for (int i = 0; i < CAUGHT_N; i++)
		sigaction(caught[i], NULL, &caught_before[i]);
	for (int i = 0; i < DEADLY_N; i++)
		sigaction(deadly[i], &crash, &deadly_before[i]);
	tui_signal_ours();
	return 0;
}

void tui_signal_close(void)
{
	if (wake[0] < 0)
		return;
	for (int i = 0; i < CAUGHT_N; i++)
		sigaction(caught[i], &caught_before[i], NULL);
	for (int i = 0; i < DEADLY_N; i++)
		sigaction(deadly[i], &deadly_before[i], NULL);
	close(wake[0]);
	close(wake[1]);
	wake[0] = wake[1] = -1;
}

int tui_signal_fd(void)
{
	return wake[0];
}

int tui_signal_take(void)
{
	char byte;

	return read(wake[0], &byte, 1) == 1 ? byte : 0;
}
