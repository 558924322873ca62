/* tui_signal.c - see tui_signal.h.
 *
 * Invariant: the handler calls nothing but write. */
#include "app/tui/tui_signal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const int caught[] = { SIGINT, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH, SIGTERM, SIGHUP };
enum { CAUGHT_N = sizeof(caught) / sizeof(caught[0]) };

static struct sigaction caught_before[CAUGHT_N];
static int wake[2] = { -1, -1 };

static void on_signal(int sig)
{
	int saved = errno;
	char byte = (char)sig;

	if (write(wake[1], &byte, 1) < 0)
		errno = saved;
	errno = saved;
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
	if (pipe2(wake, O_CLOEXEC | O_NONBLOCK))
		return fail(err, "cannot make a pipe: %s", strerror(errno));
	for (int i = 0; i < CAUGHT_N; i++)
		sigaction(caught[i], NULL, &caught_before[i]);
	tui_signal_ours();
	return 0;
}

void tui_signal_close(void)
{
	if (wake[0] < 0)
		return;
	for (int i = 0; i < CAUGHT_N; i++)
		sigaction(caught[i], &caught_before[i], NULL);
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
