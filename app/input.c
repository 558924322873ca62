/* input.c - see input.h.
 *
 * The history file belongs to the user alone (0600, in the XDG state folder); entries of several
 * lines survive because readline writes a time stamp before each.
 * Invariant: signals are not readline's; line.c catches them and calls in here. */
#include "app/input.h"
#include "app/commands.h"
#include "app/model_path.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

enum { HISTORY_LINES = 2000 };

static bool editing, shown, ended;
static char *history;           /* path, or NULL: none is kept */
static char *taken;             /* a finished line */
static bool have_line;
static char *buf;               /* plain input that is not a whole line yet */
static size_t buf_n, buf_cap;

static char *command_name(const char *start, int state)
{
	static int i;

	if (!state)
		i = 0;
	while (i < COMMAND_N) {
		char name[32];

		snprintf(name, sizeof(name), "/%s", command_rows[i++].name);
		if (!strncmp(name, start, strlen(start)))
			return strdup(name);
	}
	return NULL;
}

/* Commands at the start of the line, file names behind those that take one, else nothing. */
static char **complete(const char *word, int start, int end)
{
	(void)end;
	if (start == 0 && *word == '/') {
		rl_attempted_completion_over = 1;
		return rl_completion_matches(word, command_name);
	}
	rl_attempted_completion_over = strncmp(rl_line_buffer, "/load ", 6) &&
				       strncmp(rl_line_buffer, "/save ", 6) &&
				       strncmp(rl_line_buffer, "/read ", 6);
	return NULL;
}

static int insert_newline(int count, int key)
{
	(void)key;
	while (count-- > 0)
		rl_insert_text("\n");
	return 0;
}

static void on_line(char *line)
{
	rl_callback_handler_remove();
	shown = false;
	have_line = true;
	taken = line;
	if (!line || !*line)
		return;
	add_history(line);
	if (history && append_history(1, history)) {
		mode_t old = umask(077);

		write_history(history);         /* the first line of a new file */
		umask(old);
	}
}

static void make_folders(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
}

static void open_history(void)
{
	using_history();
	history_comment_char = '#';
	history_write_timestamps = 1;
	stifle_history(HISTORY_LINES);
	history = model_path_xdg("XDG_STATE_HOME", ".local/state", "history");
	if (!history)
		return;
	make_folders(history);
	read_history(history);
	history_truncate_file(history, HISTORY_LINES);
	chmod(history, 0600);
}

void input_open(bool with_editing)
{
	editing = with_editing;
	if (!editing)
		return;
	rl_readline_name = "s3dchat";
	rl_catch_signals = 0;
	rl_catch_sigwinch = 0;
	rl_attempted_completion_function = complete;
	rl_completer_word_break_characters = " \t\n";
	rl_variable_bind("enable-bracketed-paste", "on");
	rl_bind_keyseq("\\e\\C-m", insert_newline);
	open_history();
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
	free(history);
	free(buf);
	buf = history = NULL;
	clear_history();
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
