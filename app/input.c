/* input.c - see input.h.
 *
 * Invariant: signals are not readline's; line.c catches them and calls in here. */
#include "app/input.h"
#include "app/edit.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <readline/readline.h>

static bool editing, shown, ended;
static char *taken;             /* a finished line */
static bool have_line;
static char *buf;               /* plain input that is not a whole line yet */
static size_t buf_n, buf_cap;

static void on_line(char *line)
{
	rl_callback_handler_remove();
	shown = false;
	have_line = true;
	taken = line;
	if (line)
		edit_remember(line);
}

void input_open(bool with_editing)
{
	editing = with_editing;
	if (!editing)
		return;
	rl_variable_bind("enable-bracketed-paste", "on");
	edit_open();
}

void input_begin(void)
{
	if (!editing || shown)
		return;
	rl_callback_handler_install("> ", on_line);
	shown = true;
}

void input_end(void)
{
	if (!shown)
		return;
	rl_callback_handler_remove();
	shown = false;
}

void input_close(void)
{
	input_end();
	free(buf);
	buf = NULL;
	edit_close();
}

/* The first whole line of buf, or all of it at the end of the input. */
static bool plain_line(char **line)
{
	char *nl = buf_n ? memchr(buf, '\n', buf_n) : NULL;
	size_t n = nl ? (size_t)(nl - buf) : buf_n;

	if (!nl && !ended)
		return false;
	*line = nl || n ? strndup(buf, n) : NULL;
	buf_n -= nl ? n + 1 : n;
	if (nl)
		memmove(buf, nl + 1, buf_n);
	return true;
}

static void plain_read(void)
{
	ssize_t got;

	if (buf_cap - buf_n < 4096) {
		char *more = realloc(buf, buf_cap + 65536);

		if (!more) {
			ended = true;
			return;
		}
		buf = more;
		buf_cap += 65536;
	}
	got = TEMP_FAILURE_RETRY(read(STDIN_FILENO, buf + buf_n, buf_cap - buf_n));
	if (got > 0)
		buf_n += (size_t)got;
	else
		ended = true;
}

bool input_take(bool readable, char **line)
{
	if (!editing) {
		if (plain_line(line))
			return true;
		if (readable)
			plain_read();
		return plain_line(line);
	}
	if (readable && shown)
		rl_callback_read_char();
	if (!have_line)
		return false;
	have_line = false;
	*line = taken;
	return true;
}

bool input_discard(void)
{
	bool any = shown && rl_end > 0;

	if (!shown)
		return false;
	rl_callback_sigcleanup();
	fputs("^C\n", rl_outstream);
	rl_replace_line("", 1);
	rl_on_new_line();
	rl_redisplay();
	return any;
}

void input_suspend(void)
{
	if (shown && rl_deprep_term_function)
		rl_deprep_term_function();
	raise(SIGSTOP);
	if (!shown)
		return;
	if (rl_prep_term_function)
		rl_prep_term_function(1);
	rl_forced_update_display();
}

void input_resize(void)
{
	if (shown)
		rl_resize_terminal();
}
