/* pane_stats.h - the live numbers: a column at the side, or one line.
 *
 * struct stats_view is plain data that the caller fills.  Every number has a state "unknown"
 * (negative), which shows as '-'.  Invariant: drawing computes ratios, it never guesses. */
#ifndef S3D_UI_PANE_STATS_H
#define S3D_UI_PANE_STATS_H
#include "ui/cell/grid.h"
#include "ui/pane/layout.h"
#include "ui/pane/shown.h"

enum { STATS_HISTORY = 256 };

struct stats_view {
	struct stats s;         /* of the running or last answer; n_tokens < 0: none yet */
	char strategy[16];      /* in force, shown until an answer has its own; "": unknown */
	bool exact;
	char cqil[48];          /* layers that run in groups, as the option has it; "": none */
	char dip[64];           /* how much of what MLPs read is kept; "": all */
	double token_weights;   /* bytes of weights that a token needs then */
	double plain_rate;      /* tokens/s of plain steps in this chat */
	double rss, weights, draft, kv, work;   /* bytes */
	/* A GPU's memory is meant, but by rss: what this process takes there and what it may. */
	bool gpu;
	double used, budget;
	double ctx_used, ctx_size;
	double fallback, temp;
	double rollback;        /* -infinity: exact */
	int64_t seed;
	float history[STATS_HISTORY];   /* tokens/s, oldest first */
	int n_history;
};

void pane_stats_draw(struct grid *, struct rect, const struct stats_view *, enum stats_form);
/* One more point of the history; the oldest leaves when it is full. */
void pane_stats_note(struct stats_view *, double rate);
#endif
