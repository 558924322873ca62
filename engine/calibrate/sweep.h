/* sweep.h - which layers of a model can run in groups (CQIL), and at what cost: a sweep over
 * ranges, each held against the dense model on a text.
 *
 * Every single group of 2, 3 and 4 layers is tried; from the best of each size a range grows at the
 * end where it costs less, until it costs too much; at last these ranges are tried with a bypass.
 * Invariant: at `out` there is what was there, or all of the new file; all figures depend on model,
 * text and how much of it was taken, not on interruptions. */
#ifndef S3D_SWEEP_H
#define S3D_SWEEP_H
#include "engine/engine.h"
#include "engine/approx/grouping_file.h"

struct sweep_opt {
	struct engine_opt engine;       /* .model, .backend, .be as for a chat */
	const char *text;               /* path of a text, or NULL: opening lines of chats */
	const char *out;                /* path of MODEL.cqil */
	double minutes;                 /* that it may take, but for what the least text takes */
	/* As in calibrate.h. */
	void (*begin)(void *ctx, double seconds, size_t bytes);
	void (*progress)(void *ctx, double done, double seconds_left, const char *what);
	void (*note)(void *ctx, const char *text);
	bool (*stop)(void *ctx);
	void *ctx;
};

struct sweep_row {
	struct grouping group;
	int steps;              /* one behind another: groups, and layers alone */
	/* Sums over the rows scored: -log p of what came, squares of its distance from the dense
	 * model's, divergence (nats). */
	double nll, apart, kl;
	long same;              /* rows whose first choice is the dense model's */
};

struct sweep_result {
	struct sweep_row *row;  /* (n) in the order in which they were tried */
	int n, n_layers;
	double dense;           /* its sum of -log p */
	double *alike;          /* (n_layers - 1) mean cosine of the inputs of layers i and i+1 */
	int best[ADVICE_N];     /* the row that is advised for each loss; -1: none */
	int tokens;
	long rows;              /* scored */
	bool kept;              /* stopped or failed: OUT.part has what is known */
	double seconds;
};

double sweep_perplexity(const struct sweep_result *, double nll);
/* What a row's perplexity is more than the dense model's, by 1; *error: its standard error. */
double sweep_loss(const struct sweep_result *, const struct sweep_row *, double *error);
/* 0: the file is written; 1: stopped as asked; -1: failed.  sweep_free in any case. */
int sweep_run(const struct sweep_opt *, struct sweep_result *, char err[ERR_MAX]);
void sweep_free(struct sweep_result *);
#endif
