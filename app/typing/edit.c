/* edit.c - see edit.h.
 *
 * Entries of several lines survive in the history file because readline writes a time stamp before
 * each.  Invariant: a file name is only completed where a command takes one. */
#include "app/typing/edit.h"
#include "app/talk/commands.h"
#include "app/config/file_name.h"
#include "app/config/model_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <readline/history.h>
#include <readline/readline.h>

enum { HISTORY_LINES = 2000 };

static char *history;           /* path, or NULL: none is kept */
static const char *fed;         /* bytes for readline */
static size_t fed_n;

static int next_byte(FILE *f)
{
	(void)f;
	if (!fed_n)
		return 'G' & 0x1f;
	fed_n--;
	return (unsigned char)*fed++;
}

static int bytes_left(void)
{
	return fed_n > 0;
}

void edit_feed(const char *bytes, size_t n)
{
	fed = bytes;
	for (fed_n = n; fed_n && RL_ISSTATE(RL_STATE_CALLBACK); )
		rl_callback_read_char();
}

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
	rl_attempted_completion_over = !command_takes_file(rl_line_buffer);
	return NULL;
}

static char *quote(char *name, int kind, char *open)
{
	(void)kind;
	return file_name_quote(name, *open);
}

static char *unquote(char *name, int open)
{
	return file_name_unquote(name, (char)open);
}

static int is_quoted(char *line, int at)
{
	return file_name_is_quoted(line, (size_t)at);
}

static void complete_files(void)
{
	rl_completer_quote_characters = "\"'";
	rl_filename_quote_characters = " \t\n\"'\\";
	rl_filename_quoting_function = quote;
	rl_filename_dequoting_function = unquote;
	rl_char_is_quoted_p = is_quoted;
}

static int insert_newline(int count, int key)
{
	(void)key;
	while (count-- > 0)
		rl_insert_text("\n");
	return 0;
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
	model_path_make(history);
	read_history(history);
	history_truncate_file(history, HISTORY_LINES);
	chmod(history, 0600);
}

void edit_open(void)
{
	/* Letters beyond ASCII, also where the locale knows none. */
	static const char *const whole_bytes[][2] = {
		{ "input-meta", "on" }, { "output-meta", "on" }, { "convert-meta", "off" },
	};

	rl_readline_name = "s3dchat";
	rl_catch_signals = 0;
	rl_catch_sigwinch = 0;
	rl_getc_function = next_byte;
	rl_input_available_hook = bytes_left;
	rl_attempted_completion_function = complete;
	rl_completer_word_break_characters = " \t\n";
	complete_files();
	rl_bind_keyseq("\\e\\C-m", insert_newline);
	rl_initialize();
	for (size_t i = 0; i < sizeof(whole_bytes) / sizeof(whole_bytes[0]); i++)
		rl_variable_bind(whole_bytes[i][0], whole_bytes[i][1]);
	open_history();
}

bool edit_searching(void)
{
	return RL_ISSTATE(RL_STATE_ISEARCH | RL_STATE_NSEARCH) != 0;
}

void edit_insert(const char *text)
{
	if (edit_searching())
		edit_feed("\033", 1);
	rl_insert_text(text);
}

void edit_discard(void)
{
	if (edit_searching())
		edit_feed("\007", 1);
	rl_revert_line(1, 0);           /* readline keeps what was changed in the history's lines */
	rl_end_of_history(1, 0);
	/* Not rl_replace_line: it frees an undo list that the history may still use. */
	rl_delete_text(0, rl_end);
	rl_point = 0;
}

void edit_end(void)
{
	char *left = rl_line_buffer && rl_line_buffer[strspn(rl_line_buffer, " \t\n")] ?
		strndup(rl_line_buffer, (size_t)rl_end) : NULL;

	rl_callback_handler_remove();
	if (left)
		edit_remember(left);
	free(left);
}

void edit_close(void)
{
	free(history);
	history = NULL;
	clear_history();
}

void edit_remember(const char *line)
{
	if (!*line)
		return;
	add_history(line);
	if (history && append_history(1, history)) {
		mode_t old = umask(077);

		write_history(history);         /* the first line of a new file */
		umask(old);
	}
}
