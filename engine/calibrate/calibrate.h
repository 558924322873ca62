/* calibrate.h - makes a sidecar for a model, in closed form, from text that the model writes.
 *
 * While the model answers opening lines (or reads a text), the residual rows that enter a few
 * layers are summed up; the least squares solution foretells, from rows that a draft pass has,
 * those that it leaves out.  Of several such bridges that one is written whose drafts, held against
 * text that was not used, pay best on this machine.
 * Invariant: at `out` there is nothing, what was there, or a whole new sidecar. */
#ifndef S3D_CALIBRATE_H
#define S3D_CALIBRATE_H
#include "engine/engine.h"

enum { CALIBRATE_MOST = 8 };    /* bridges that are compared */

struct calibrate_opt {
	struct engine_opt engine;       /* .model, .backend, .be as for a chat */
	const char *text;               /* path of a text instead of the model's own, or NULL */
	const char *out;                /* path of the sidecar */
	double minutes;                 /* for all of it */
	size_t sums_most;               /* bytes for sums; 0: 1 GiB */
	size_t free;                    /* bytes that may be taken; 0: what the system has */
	int lanes;                      /* conversations at a time; 0: 64, or what fits */
	/* All of these get ctx.  Before it starts: */
	void (*begin)(void *ctx, double seconds, size_t bytes);
	void (*progress)(void *ctx, double done, double seconds_left, const char *what);
	void (*note)(void *ctx, const char *text);
	bool (*stop)(void *ctx);        /* asked often: whether to stop */
	void *ctx;
};

struct calibrate_row {          /* one bridge */
	int a, s;
	long positions;         /* held against */
	double hit[BRIDGE_ROWS];        /* chance that draft o holds */
	double run[BRIDGE_ROWS];        /* that drafts 0..o all hold */
	double cost[BRIDGE_ROWS];       /* of a draft pass of o+1 rows, in steps */
	double gain[BRIDGE_ROWS];       /* tokens in a step's time with o+1 drafts */
	int best;               /* drafts with the largest gain */
};

struct calibrate_result {
	struct calibrate_row row[CALIBRATE_MOST];
	int n, chosen, n_layers;
	double verify[BRIDGE_ROWS + 2]; /* of a pass of so many tokens, in steps; [0] unused */
	double step_s;
	long rows, held;        /* positions that were summed up, and held out */
	int vocab;              /* tokens that can be drafted; 0: all */
	bool kept;              /* stopped or failed: OUT.part has text with which to go on */
	double seconds, text_s, sums_s, solve_s;        /* all; text with sums; sums alone */
};

/* 0: the sidecar is written; 1: stopped as asked; -1: failed. */
int calibrate_run(const struct calibrate_opt *, struct calibrate_result *, char err[ERR_MAX]);
#endif
