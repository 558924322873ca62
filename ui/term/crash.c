/* crash.c - see crash.h.
 *
 * When all is told the signal goes to whom it went before: the system, or a sanitizer. */
#include "ui/term/crash.h"
#include "base/altstack.h"
#include "ui/term/term.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static const int deadly[] = { SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL };
enum { DEADLY_N = sizeof(deadly) / sizeof(deadly[0]) };

static struct sigaction before[DEADLY_N];
static struct termios terminal;
static volatile sig_atomic_t line;      /* 1: the line editor's terminal is to be put back */

static void tell(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return;                 /* there is nobody left to tell */
}

static void restore_line(void)
{
	sigset_t stop;

	if (!line)
		return;
	line = 0;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	tcsetattr(STDIN_FILENO, TCSANOW, &terminal);
	tell("\033[?2004l\r\n");        /* pastes are no longer marked */
}

static void on_crash(int sig, siginfo_t *info, void *context)
{
	(void)context;
	term_restore_now();
	restore_line();
	/* A page of a mapped file that is not there any more; only models are mapped. */
	if (sig == SIGBUS && info->si_code == BUS_ADRERR)
		tell("s3dchat: the model file was changed or cut short while it was in use; write "
		     "a new version beside it and rename it\n");
	for (int i = 0; i < DEADLY_N; i++)
		if (deadly[i] == sig)
			sigaction(sig, &before[i], NULL);
	raise(sig);
}

void crash_open(void)
{
	struct sigaction act = { .sa_sigaction = on_crash,
				 .sa_flags = (int)(SA_SIGINFO | SA_NODEFER | SA_ONSTACK) };

	altstack_use();
	for (int i = 0; i < DEADLY_N; i++)
		sigaction(deadly[i], &act, &before[i]);
}

void crash_line(bool on)
{
	line = on && tcgetattr(STDIN_FILENO, &terminal) == 0;
}
