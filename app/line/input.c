/* input.c - see input.h.
 *
 * Invariant: signals are not readline's; line.c catches them and calls in here. */
#include "app/line/input.h"
#include "app/typing/edit.h"
#include "app/typing/typed.h"
#include "base/util.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <readline/readline.h>

enum {
	KEYS_AT_ONCE = 64, PASTE_AT_ONCE = 65536,
	LONG_TEXT = 16384, STRIDE = 4096, WINDOW = 3 * STRIDE,
};

static bool editing, shown, ended;
static struct typed typed;      /* with editing: what readline has not been given yet */
static double typed_at;         /* when the last of it came */
static double escape_time;
static char *taken;             /* a finished line */
static char *put_back;          /* for the next one */
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

static size_t border(size_t at)
{
	while (at && (rl_line_buffer[at] & 0xc0) == 0x80)
		at--;
	return at;
}

/* readline lays out the whole text for every key, and would send all of a long one again for a
 * letter at its start.  So of a long text it sees a window round the cursor. */
static void redisplay(void)
{
	static const char cut[] = "...";
	char part[WINDOW + 2 * sizeof(cut)], *whole = rl_line_buffer, *p = part;
	size_t point = (size_t)rl_point, end = (size_t)rl_end, from, to;

	if (end < LONG_TEXT) {
		rl_redisplay();
		return;
	}
	from = point < 2 * STRIDE ? 0 : border(point / STRIDE * STRIDE - STRIDE);
	to = from + WINDOW < end ? border(from + WINDOW) : end;
	p = stpcpy(p, from ? cut : "");
	rl_point = (int)(p - part) + (int)(point - from);
	p = mempcpy(p, whole + from, to - from);
	p = stpcpy(p, to < end ? cut : "");
	rl_line_buffer = part;
	rl_end = (int)(p - part);
	rl_redisplay();
	rl_line_buffer = whole;
	rl_end = (int)end;
	rl_point = (int)point;
}

void input_open(bool with_editing, double escape)
{
	editing = with_editing;
	escape_time = escape;
	if (!editing)
		return;
	rl_variable_bind("enable-bracketed-paste", "on");
	/* readline is to know the terminal before it is told who draws: with another's drawing it
	 * takes any for one that can do nothing, without marks around pastes. */
	edit_open();
	rl_redisplay_function = redisplay;
	/* Questions of its own would have to wait for an answer. */
	rl_variable_bind("completion-query-items", "0");
	rl_variable_bind("page-completions", "off");
}

void input_begin(void)
{
	if (!editing || shown)
		return;
	rl_callback_handler_install("> ", on_line);
	shown = true;
	if (!put_back)
		return;
	rl_insert_text(put_back);
	rl_redisplay();
	free(put_back);
	put_back = NULL;
}

void input_put_back(const char *text)
{
	free(put_back);
	put_back = editing ? strdup(text) : NULL;
}

void input_end(void)
{
	if (!shown)
		return;
	rl_callback_handler_remove();
	shown = false;
}

/* What was typed, to readline, until a line is whole; final: no rest of it will come. */
static void give(bool final)
{
	struct typed_event e;

	if (final)
		typed_end_paste(&typed);
	while (shown && typed_next(&typed, final, &e)) {
		if (e.kind == TYPED_KEY) {
			edit_feed(e.bytes, e.n);
			continue;
		}
		if (e.kind == TYPED_PASTE) {
			if (!rl_point && !strncmp(e.bytes, "//", 2))
				rl_insert_text("/");     /* two are sent as one */
			edit_insert(e.bytes);
		} else {
			rl_crlf();
			fputs("(the pasted text was over 1 MiB; /read takes a file)\n",
			      rl_outstream);
			rl_on_new_line();
		}
		redisplay();
	}
}

void input_close(void)
{
	give(true);
	if (shown)
		edit_end();
	shown = false;
	typed_free(&typed);
	free(put_back);
	put_back = NULL;
	free(buf);
	buf = NULL;
	edit_close();
}

/* The first whole line of buf, or all of it at the end of the input. */
static bool plain_line(char **line, size_t *len)
{
	char *nl = buf_n ? memchr(buf, '\n', buf_n) : NULL;
	size_t n = nl ? (size_t)(nl - buf) : buf_n;

	if (!nl && !ended)
		return false;
	*len = n;
	*line = nl || n ? malloc(n + 1) : NULL;
	if (*line) {
		memcpy(*line, buf, n);
		(*line)[n] = '\0';
	}
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

/* Few bytes at a time: keys typed ahead belong to whoever has the terminal next. */
static void typed_read(void)
{
	char bytes[PASTE_AT_ONCE];
	size_t most = typed.pasting || typed.torn ? PASTE_AT_ONCE : KEYS_AT_ONCE;
	ssize_t got = TEMP_FAILURE_RETRY(read(STDIN_FILENO, bytes, most));

	ended = got <= 0 || typed_put(&typed, bytes, (size_t)got);
	typed_at = clock_now();
}

bool input_take(bool readable, char **line, size_t *n)
{
	if (!editing) {
		if (plain_line(line, n))
			return true;
		if (readable)
			plain_read();
		return plain_line(line, n);
	}
	give(false);
	if (readable && shown)
		typed_read();
	give(!input_patience());
	if (!have_line && !(ended && shown))
		return false;
	*line = have_line ? taken : NULL;
	*n = *line ? strlen(*line) : 0;
	have_line = false;
	return true;
}

double input_patience(void)
{
	double gap = typed_patience(&typed, escape_time), left = typed_at + gap - clock_now();

	return gap < 0 ? -1 : left < 0 ? 0 : left;
}

bool input_discard(void)
{
	bool any;

	if (!shown)
		return false;
	if (typed.pasting) {
		give(true);
		return true;
	}
	any = edit_searching() || rl_end > 0;
	typed_free(&typed);
	if (edit_searching())
		edit_feed("\007", 1);
	rl_callback_sigcleanup();
	rl_point = rl_end;
	redisplay();                    /* so that ^C stands behind the text */
	fputs("^C\n", rl_outstream);
	edit_discard();
	rl_on_new_line();
	redisplay();
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
