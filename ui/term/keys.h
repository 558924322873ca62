/* keys.h - keys to actions: names, default bindings, bytes of the terminal decoded.
 *
 * The actions and default keys are written once, in KEYS.  A struct keymap is plain data.
 * Invariant: every byte sequence decodes to a key, to text, or to "more bytes needed". */
#ifndef S3D_UI_KEYS_H
#define S3D_UI_KEYS_H
#include "base/util.h"

/* Id, name for bind, default keys, help. */
#define ACTIONS(_) \
_(SEND, "send", "Enter", "send the prompt") \
_(NEWLINE, "newline", "Alt+Enter Ctrl+J", "begin a new line") \
_(STOP, "stop", "Esc Ctrl+C", "stop the answer and keep it; Ctrl+C twice leaves") \
_(LEAVE, "leave", "Ctrl+D", "leave, on an empty line") \
_(SCROLL_UP, "scroll-up", "PgUp", "scroll back a page") \
_(SCROLL_DOWN, "scroll-down", "PgDn", "scroll on a page") \
_(ROWS_UP, "scroll-rows-up", "WheelUp", "scroll back three rows") \
_(ROWS_DOWN, "scroll-rows-down", "WheelDown", "scroll on three rows") \
_(SCROLL_TOP, "scroll-top", "Ctrl+Home", "to the first line") \
_(SCROLL_END, "scroll-end", "Ctrl+End", "to the last line") \
_(HELP, "help", "F1", "help") \
_(PANES, "panes", "F2", "show or hide the panes") \
_(THEME, "theme", "F3", "the next theme") \
_(AUTO, "strategy-auto", "F4", "strategy auto") \
_(PLAIN, "strategy-plain", "F5", "strategy plain") \
_(NGRAM, "strategy-ngram", "F6", "strategy ngram") \
_(DRAFT, "strategy-draft", "F7", "strategy draft") \
_(BILD, "strategy-bild", "F8", "strategy bild") \
_(S3D, "strategy-s3d", "F9", "strategy s3d") \
_(NEXT_STRATEGY, "next-strategy", "Ctrl+T", "the next strategy") \
_(FALLBACK_DOWN, "fallback-down", "Alt+,", "lower the fallback threshold") \
_(FALLBACK_UP, "fallback-up", "Alt+.", "raise the fallback threshold") \
_(ROLLBACK_DOWN, "rollback-down", "Alt+;", "lower the rollback threshold") \
_(ROLLBACK_UP, "rollback-up", "Alt+'", "raise the rollback threshold") \
_(ORIGINS, "origins", "Alt+o", "token colours on or off") \
_(MARKDOWN, "markdown", "Alt+m", "Markdown or raw text") \
_(FOLD, "fold", "Alt+t", "fold or unfold <think> blocks") \
_(REDRAW, "redraw", "Ctrl+L", "redraw the screen") \
_(EDITOR, "editor", "Ctrl+O", "edit the prompt in $EDITOR") \
_(SUSPEND, "suspend", "Ctrl+Z", "suspend the program")

#define ACTION_ENUM(id, ...) ACTION_##id,
enum action { ACTIONS(ACTION_ENUM) ACTION_N };
#undef ACTION_ENUM

struct action_row {
	const char *name, *keys, *help;
};
extern const struct action_row action_rows[ACTION_N];

/* A key: a Unicode code point or KEYSYM_*, with modifier bits. */
enum {
	KEYSYM_F1 = 0x200000, KEYSYM_UP = 0x200100, KEYSYM_DOWN, KEYSYM_LEFT, KEYSYM_RIGHT,
	KEYSYM_HOME, KEYSYM_END, KEYSYM_PGUP, KEYSYM_PGDN, KEYSYM_INSERT, KEYSYM_DELETE,
	KEYSYM_WHEEL_UP, KEYSYM_WHEEL_DOWN, KEYSYM_CLICK,
	KEYSYM_PASTE_BEGIN, KEYSYM_PASTE_END, KEYSYM_UNKNOWN,
	KEY_ALT = 1 << 28, KEY_CTRL = 1 << 29, KEY_SHIFT = 1 << 30,
};

/* One key from n bytes: returns the bytes it takes, 0 when more must come (final: none will, so
 * a lone ESC is the key Esc). */
size_t keys_decode(const char *s, size_t n, bool final, unsigned *key);
int keys_parse(const char *name, unsigned *key);        /* "Ctrl+T", "Alt+,", "F4"; -1: no key */
void keys_name(unsigned key, char out[32]);
const char *keys_named(int i);          /* the i-th key that has a name; NULL behind the last */

enum { KEYMAP_MAX = 128 };
struct keymap {
	struct { unsigned key; int action; } row[KEYMAP_MAX];
	int n;
};
void keymap_default(struct keymap *);
int keymap_bind(struct keymap *, const char *key, const char *action, char err[ERR_MAX]);
int keymap_find(const struct keymap *, unsigned key);   /* enum action, or -1: text */
#endif
