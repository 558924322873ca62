/* tui.h - the full screen as state: conversation, panes, keys; no terminal, no waiting.
 *
 * Bytes of the keyboard, messages of the decode thread and the clock go in; tui_draw fills a grid;
 * .want says what the caller has to do for it.  tui_main.c runs it on a terminal, tests run it
 * from scripts.  A struct tui owns what it points to, but talk is the caller's to open and close.
 * Invariant: no call here waits for the model. */
#ifndef S3D_APP_TUI_H
#define S3D_APP_TUI_H
#include "app/config/config.h"
#include "app/talk/talk.h"
#include "app/typing/typed.h"
#include "ui/pane/layout.h"
#include "ui/pane/pane_help.h"
#include "ui/pane/pane_stats.h"
#include "ui/text/transcript.h"

enum tui_want {
	TUI_LEAVE = 1, TUI_SUSPEND = 2, TUI_EDITOR = 4, TUI_REDRAW = 8,
	TUI_THEME = 16,         /* the theme has changed */
	TUI_INTERRUPTED = 32,   /* leaves as after SIGINT */
};

enum { TUI_FLASH = 160, TUI_HELP_ROWS = 128 };

struct tui {
	struct talk talk;
	struct config cfg;              /* theme and keys */
	char theme[64];                 /* its name */
	unsigned want;                  /* enum tui_want; whoever did it clears it */
	double now;                     /* the caller's clock, seconds */
	double progress;                /* of loading, 0..1 */
	char plan[MSG_PLAN_TEXT];                 /* memory that loading takes */

	struct transcript *log;
	struct transcript_view view;
	int *block;                     /* of each turn: its number in log */
	int turns, cap;
	int hint;                       /* block that says how to go on; -1: none */
	struct { enum block_kind kind; char *text; } *later;    /* remarks for after the answer */
	int n_later;

	struct layout_want panes;
	int chat_rows;                  /* of the conversation when last drawn */
	struct stats_view stats;
	double noted;                   /* when the history got its last point */
	double plain_s, plain_before_s; /* seconds of plain steps: this answer, earlier ones */
	long plain_n, plain_before_n;

	char flash[TUI_FLASH];          /* a remark in place of the key hints */
	enum role flash_role;
	double flash_until;
	bool page_open;
	struct help_page page;
	struct help_row row[TUI_HELP_ROWS];
	char *page_text;                /* what the rows point into */

	bool mouse;                     /* the wheel is read now */
	bool multiplexed;               /* by tmux or screen, which may keep the mouse to itself */
	struct typed typed;             /* what is not a whole key yet, or a whole paste */
	bool stopping, warned;          /* warned: the next Ctrl+C leaves */
	int strategy_at;                /* the last one that was tried */
};

int tui_open(struct tui *, char err[ERR_MAX]);  /* zeroed but for talk */
void tui_close(struct tui *);

/* Bytes of the keyboard; final: no more are near, so a lone ESC is the key. */
void tui_input(struct tui *, const char *, size_t n, bool final);
double tui_patience(const struct tui *);        /* seconds without a byte until tui_silence; < 0: */
void tui_silence(struct tui *);                 /* none.  What has begun is taken as it is */
void tui_message(struct tui *, const struct msg *);     /* the message stays the caller's */
void tui_draw(struct tui *, struct grid *);
double tui_until(const struct tui *);   /* seconds until the screen changes by itself; < 0: never */

/* Between the files of the full screen. */
bool tui_answering(const struct tui *);
void tui_key(struct tui *, unsigned key, const char *bytes, size_t n);
int tui_run(struct tui *, const char *line);    /* a question or a command; 0: it was taken */
void tui_send(struct tui *, const char *line);  /* one that was typed: refused it comes back */
void tui_say(struct tui *, enum block_kind, const char *text);
void tui_flash(struct tui *, enum role, const char *text);
void tui_help(struct tui *);
void tui_page(struct tui *, const char *title, const char *text);       /* copied */
void tui_page_close(struct tui *);
void tui_theme(struct tui *, const char *name);         /* "": the next one */
#endif
