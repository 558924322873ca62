/* commands.h - what can be typed after a slash, in every kind of chat.
 *
 * The table makes the parser, completion, /help and the manual's table.  No state of its own.
 * Invariant: a line that begins with one slash is never sent to the model, unless its first word
 * has another: then it is a path. */
#ifndef S3D_APP_COMMANDS_H
#define S3D_APP_COMMANDS_H
#include "app/talk/talk.h"

#include <stdio.h>

/* Name, other names, argument ("": none, [X]: may be left out), help. */
#define COMMANDS(_) \
_(HELP, "help", "?", "", "list the commands") \
_(EXIT, "exit", "quit bye", "", "leave (also Ctrl+D on an empty line)") \
_(NEW, "new", "clear", "", "forget the conversation, keep the settings") \
_(REGEN, "regen", "", "", "answer the last question again, with the next seed") \
_(UNDO, "undo", "", "", "take back the last question and its answer") \
_(CONTINUE, "continue", "", "", "go on with an answer that was stopped or cut off") \
_(SYSTEM, "system", "", "[TEXT]", \
	"set the system prompt from now on; none or '': without; default: the model's own") \
_(EDIT, "edit", "", "[N] [TEXT]", "change question N (the last) and branch from there; without " \
	"TEXT in $VISUAL or $EDITOR") \
_(COPY, "copy", "", "[N]", "copy answer N (the last) to the terminal's clipboard, else to a file") \
_(SET, "set", "", "[KEY [VALUE]]", "show or change a setting, e.g. /set temp 0.5") \
_(STRATEGY, "strategy", "spec", "[NAME]", "show or choose how tokens are found") \
_(THEME, "theme", "", "[NAME]", "full screen: the next theme, or the one named") \
_(STATS, "stats", "", "", "numbers about the last answer") \
_(SHOW, "show", "", "[WHAT]", "show memory, model, settings or system; nothing: all of it") \
_(CALIBRATE, "calibrate", "", "[stop]", "let the model draft for itself (strategy s3d): some " \
	"minutes beside the chat, once for a model") \
_(MODEL, "model", "", "FILE", "go on with another model") \
_(SESSIONS, "sessions", "", "", "list the saved chats, the newest first") \
_(RESUME, "resume", "", "[N|ID]", "go on with a saved chat (the newest)") \
_(SAVE, "save", "", "[FILE]", "save the conversation; of files only a saved chat is replaced") \
_(SAVE_OVER, "save!", "", "[FILE]", "save it in place of any file") \
_(LOAD, "load", "", "FILE", "load a saved conversation and its settings") \
_(READ, "read", "", "FILE", "put a text file before the next question") \
_(DROP, "drop", "", "", "leave out again what /read would put there")

#define COMMAND_ID(id, ...) COMMAND_##id,
enum command_id { COMMANDS(COMMAND_ID) COMMAND_N };
#undef COMMAND_ID

struct command_row {
	const char *name, *also, *arg, *help;
};
extern const struct command_row command_rows[COMMAND_N];

struct command {
	enum command_id id;
	const char *arg;        /* points into the line, len bytes; "": none */
	size_t len;
};

/* A line of n bytes, any, and terminated.  1: a command; 0: text for the model, from *text on;
 * -1: neither, with err. */
bool command_hides(const char *text);   /* typed as it is, it would be another or none */
int command_parse(const char *line, size_t n, struct command *, const char **text,
		  char err[ERR_MAX]);
bool command_takes_file(const char *line);      /* the one that the line begins with */
/* What is meant by the argument: a file's name out of its quotes, a word without the blanks behind
 * it, a text of *n bytes as it is; malloc'ed, NULL without memory. */
char *command_argument(const struct command *, size_t *n);
/* What it has to say goes to out (untrusted bytes included).  *leave: the chat is over. */
int command_run(struct talk *, const struct command *, FILE *out, bool *leave, char err[ERR_MAX]);
void command_stats(const struct talk *, FILE *out);
/* What is "" (everything), memory, model, settings or system. */
int command_show(const struct talk *, const char *what, FILE *out, char err[ERR_MAX]);
/* Bytes as /show memory has them; NAN: not known, or there are none. */
enum memory_figure { MEMORY_LITTLE, MEMORY_WEIGHTS, MEMORY_KV, MEMORY_SIDECAR, MEMORY_WORK,
	MEMORY_PLANNED, MEMORY_BUDGET, MEMORY_USED, MEMORY_FREE, MEMORY_HOST, MEMORY_PROCESS };
double command_bytes(const struct talk *, enum memory_figure);
void command_system(const struct talk *, FILE *out);
void command_settings(const struct talk *, const struct option_row *one, FILE *out);
/* What loading will take, as one line. */
void command_plan(const struct model_info *, char *out, size_t cap);
void command_recap(const struct talk *, FILE *out);     /* the last question and answer */
#endif
