/* prompt.c - see prompt.h.
 *
 * Invariant: readline believes that its terminal is /dev/null, so what it prints is lost. */
#include "app/typing/prompt.h"
#include "app/typing/edit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <readline/history.h>
#include <readline/readline.h>

static FILE *nowhere;
static char *taken, *matches;

static void draw_nothing(void)
{
}

static void on_line(char *line)
{
	free(taken);
	taken = line;
	if (line)
		edit_remember(line);    /* here, while readline is between two lines */
}

static void keep_matches(char **list, int n, int longest)
{
	size_t len = 1;

	(void)longest;
	for (int i = 1; i <= n; i++)
		len += strlen(list[i]) + 2;
	free(matches);
	matches = malloc(len);
	if (!matches)
		return;
	*matches = '\0';
	for (int i = 1; i <= n; i++)
		strcat(strcat(matches, i > 1 ? "  " : ""), list[i]);
}

static void bind_keys(void)
{
	static const struct {
		const char *seq, *command;
	} keys[] = {
		{ "\\e[3~", "delete-char" }, { "\\e[1~", "beginning-of-line" },
		{ "\\e[4~", "end-of-line" }, { "\\e[7~", "beginning-of-line" },
		{ "\\e[8~", "end-of-line" }, { "\\e[1;5C", "forward-word" },
		{ "\\e[1;5D", "backward-word" }, { "\\e[1;3C", "forward-word" },
		{ "\\e[1;3D", "backward-word" },
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		rl_bind_keyseq(keys[i].seq, rl_named_function(keys[i].command));
	rl_bind_keyseq("\\C-m", rl_newline);
}

int prompt_open(void)
{
	nowhere = fopen("/dev/null", "r+e");
	if (!nowhere)
		return -1;
	rl_instream = rl_outstream = nowhere;
	rl_redisplay_function = draw_nothing;
	rl_prep_term_function = NULL;
	rl_deprep_term_function = NULL;
	rl_change_environment = 0;
	rl_completion_display_matches_hook = keep_matches;
	edit_open();
	rl_variable_bind("bell-style", "none");
	rl_variable_bind("enable-bracketed-paste", "off");
	bind_keys();
	rl_callback_handler_install("", on_line);
	return 0;
}

void prompt_close(void)
{
	if (!nowhere)
		return;
	if (prompt_searching())
		edit_feed("\007", 1);
	edit_end();
	edit_close();
	free(taken);
	free(matches);
	taken = matches = NULL;
	fclose(nowhere);
	nowhere = NULL;
}

/* Only prompt_take sends: what another key of readline's accepted is put back. */
void prompt_feed(const char *bytes, size_t n)
{
	char *line;

	edit_feed(bytes, n);
	line = taken;
	taken = NULL;
	if (line)
		rl_insert_text(line);
	free(line);
}

void prompt_insert(const char *text, size_t n)
{
	char *copy = malloc(n + 1);
	size_t k = 0;

	if (!copy)
		return;
	for (size_t i = 0; i < n; i++)
		if (text[i])
			copy[k++] = text[i];
	copy[k] = '\0';
	edit_insert(copy);
	free(copy);
}

void prompt_view(struct input_view *v)
{
	const char *label = rl_display_prompt;

	*v = (struct input_view){ .label = label && *label ? label : "> ", .text = rl_line_buffer,
				  .n = (size_t)rl_end, .point = (size_t)rl_point };
}

void prompt_move(size_t point)
{
	rl_point = (int)point;
}

void prompt_delete(size_t from, size_t to)
{
	rl_delete_text((int)from, (int)to);
	rl_point = (int)from;
}

void prompt_set(const char *text, size_t n)
{
	edit_discard();
	prompt_insert(text, n);
}

char *prompt_take(void)
{
	char *line;

	if (prompt_searching())
		prompt_feed("\033", 1);
	edit_feed("\r", 1);
	line = taken;
	taken = NULL;
	return line;
}

bool prompt_searching(void)
{
	return edit_searching();
}

char *prompt_matches(void)
{
	char *m = matches;

	matches = NULL;
	return m;
}
