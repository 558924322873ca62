/* teller.c - see teller.h. */
#include "app/tools/teller.h"
#include "base/text.h"
#include "base/util.h"

#include <unistd.h>

static volatile sig_atomic_t stopped;

static void on_signal(int sig)
{
	stopped = sig;
}

void teller_open(struct teller *t, const char *name, FILE *out, bool machine)
{
	struct sigaction act = { .sa_handler = on_signal };

	*t = (struct teller){ .name = name, .out = out, .machine = machine,
			      .terminal = isatty(STDERR_FILENO) };
	stopped = 0;
	sigaction(SIGINT, &act, &t->was_int);
	sigaction(SIGTERM, &act, &t->was_term);
}

void teller_close(struct teller *t)
{
	teller_end_line(t);
	sigaction(SIGINT, &t->was_int, NULL);
	sigaction(SIGTERM, &t->was_term, NULL);
}

void teller_end_line(struct teller *t)
{
	if (t->line)
		fputs("\r\033[K", stderr);
	t->line = false;
}

int teller_signal(void)
{
	return stopped;
}

bool teller_stopped(void *ctx)
{
	(void)ctx;
	return stopped;
}

void teller_note(void *ctx, const char *text)
{
	struct teller *t = ctx;

	teller_end_line(t);
	text_tell(t->name, text);
}

void teller_progress(void *ctx, double done, double left, const char *what)
{
	enum { EACH = 10 };
	struct teller *t = ctx;
	int seconds = (int)(left + 0.5);

	if (t->machine) {
		fprintf(t->out, "progress %.4f seconds-left %d\n", done, seconds);
		fflush(t->out);
		return;
	}
	if (!t->terminal && clock_now() - t->told < EACH)
		return;
	t->told = clock_now();
	teller_end_line(t);
	fprintf(stderr, "%s: %.0f %%, about %d:%02d left, %s%s", t->name, 100 * done, seconds / 60,
		seconds % 60, what, t->terminal ? "" : "\n");
	t->line = t->terminal;
}
