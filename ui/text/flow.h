/* flow.h - one block of the transcript as rows: lines found, thinking folded, Markdown applied,
 * wrapped.
 *
 * A struct flow caches the rows for one text that only grows, and keeps the state at the beginning
 * of the last line, so that more text costs what its last line costs.  It owns rows and spans.
 * Invariant: the rows depend on text and view only, not on how often flow_update was called. */
#ifndef S3D_UI_FLOW_H
#define S3D_UI_FLOW_H
#include "ui/text/markdown.h"

enum row_kind { ROW_TEXT, ROW_FRAME_TOP, ROW_FRAME_END, ROW_RULE, ROW_FOLD };
enum row_lead { LEAD_NONE, LEAD_BULLET, LEAD_BAR };

struct row {
	uint32_t off;           /* of the source where it begins; never falls from row to row */
	int span, n;            /* its spans; ROW_FOLD: n lines are folded */
	unsigned char kind, lead;
	short indent;           /* columns before the text; the lead stands in the last two */
};

struct flow_view {
	int cols;
	unsigned char role;     /* of text without a role of its own */
	bool markdown, fold;
	bool think;             /* <think> means something */
};

struct flow_state {
	struct md_fence fence;
	bool thinking;
	bool inside;            /* a line longer than LINE_MAX_BYTES goes on */
	bool ink;               /* something was shown */
	bool gap;               /* blank lines since then */
	int fold_row, fold_n;   /* of the thinking that is open; row -1: nothing folded yet */
};

struct flow_mark {      /* where to take up again */
	uint32_t off;
	int rows, spans;
	struct flow_state state;
};

struct flow {
	struct row *row;
	int n, cap;
	struct spans spans;
	struct flow_view view;
	struct flow_mark last;
	uint32_t end;           /* bytes of the text that the rows show */
	bool valid;
};

struct flow_room {      /* scratch, shared by all flows */
	struct spans line;
	struct md_marks marks;
};

/* Brings the rows up to date with text[0..n-1]; without memory -1, and rows are missing. */
int flow_update(struct flow *, struct flow_room *, const char *text, uint32_t n,
		const struct flow_view *);
int flow_row_at(const struct flow *, uint32_t off);     /* the last row that begins at or before */
void flow_free(struct flow *);
void flow_room_free(struct flow_room *);
#endif
