/* transcript.h - the conversation as the chat pane shows it: blocks of text with token origins,
 * wrapped to the pane's width as they stream, with light Markdown.
 *
 * A struct transcript owns its texts.  Drawing reads it only.
 * Invariant: what is shown does not depend on how the text was cut into pieces when it came. */
#ifndef S3D_UI_TRANSCRIPT_H
#define S3D_UI_TRANSCRIPT_H
#include "ui/cell/grid.h"

struct transcript;

enum block_kind { BLOCK_USER, BLOCK_MODEL, BLOCK_NOTICE, BLOCK_ERROR };

struct transcript_view {        /* how it is shown; a change takes effect at the next draw */
	bool origins;           /* colour tokens by origin */
	bool markdown;
	bool fold_think;
};

struct transcript *transcript_open(void);       /* NULL without memory */
void transcript_close(struct transcript *);
void transcript_clear(struct transcript *);
/* A new block at the end.  Returns its number, -1 without memory. */
int transcript_add(struct transcript *, enum block_kind, const char *text, size_t n);
/* An earlier block takes the text that is appended, until there is a new one. */
void transcript_reopen(struct transcript *, int block);
/* More text for the last block or the one that was reopened, with the role of where it came from
 * (ROLE_MODEL, ROLE_ACCEPTED, ROLE_CORRECTED); any bytes, cut anywhere. */
int transcript_append(struct transcript *, enum role origin, const char *text, size_t n);
void transcript_cut(struct transcript *, int block);    /* this block and all behind it go */
void transcript_forget(struct transcript *, int blocks);        /* the first ones are not seen */
int transcript_blocks(const struct transcript *);
/* Scrolling is in rows from the end: 0 follows the end; text that comes in keeps the view still
 * when scrolled back.  by > 0 scrolls back.  Clamped. */
void transcript_scroll(struct transcript *, int by);
void transcript_scroll_to(struct transcript *, bool top);
int transcript_scrolled(const struct transcript *);
void transcript_draw(struct transcript *, struct grid *, struct rect,
		     const struct transcript_view *);
#endif
