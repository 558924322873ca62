/* block.h - one block of the transcript: its text, where its bytes came from, and how a row of it
 * is drawn.  Only ui/text/transcript.c uses it.
 *
 * A struct block owns text, origins and flow.  Invariant: origins cover the text without gaps. */
#ifndef S3D_UI_BLOCK_H
#define S3D_UI_BLOCK_H
#include "ui/text/flow.h"
#include "ui/text/transcript.h"

struct origin {
	uint32_t end;           /* bytes from the previous one's end up to here */
	unsigned char role;
};

struct block {
	enum block_kind kind;
	char *text;
	uint32_t n, cap;
	struct origin *origin;
	int n_origins, cap_origins;
	struct flow flow;
};

struct sheet {          /* what is drawn on, and how */
	struct grid *grid;
	struct rect rect;
	bool origins, forgotten;
};

int block_append(struct block *, enum role origin, const char *text, size_t n);
void block_free(struct block *);
int gutter_of(int cols);        /* columns for the speaker's name in a window so wide */
void block_draw_row(const struct block *, const struct sheet *, int y, int row);
void block_draw_border(const struct sheet *, int y);
#endif
