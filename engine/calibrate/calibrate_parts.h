/* calibrate_parts.h - what the parts of calibrate.c share.
 *
 * struct calibrate owns all of it.  Invariant: a conversation is either summed up or held out, and
 * its number alone says which. */
#ifndef S3D_CALIBRATE_PARTS_H
#define S3D_CALIBRATE_PARTS_H
#include "engine/calibrate/calibrate.h"
#include "engine/sidecar/sidecar.h"
#include <stdio.h>

enum { LANES_MOST = 64, CONTEXT = 384, CALIBRATE_BATCH = 128, HOLD_EACH = 16, SITES_MOST = 8,
	HELD_MOST = 256 };

/* ---- calibrate_sums.c: from residual rows to matrices ---- */

/* Bridges that share their sums: each of n_a layers with each of n_s. */
struct shape {
	int width, n_layers, k;
	int a[2], n_a, s[4], n_s;
};
/* Bytes of the sums, and of solving them meanwhile. */
size_t sums_bytes(const struct shape *, int lanes);
size_t sums_room(const struct shape *);

struct sums;
struct sums *sums_open(const struct shape *, int lanes, int n_batch, int n_threads,
		       char err[ERR_MAX]);
void sums_close(struct sums *);
/* For backend_opt.watch, with the sums as its ctx: keeps what the last pass had. */
void sums_watch(void *sums, const char *stage, int layer, const float *rows, int n, int width);
/* A text begins anew in this lane. */
void sums_begin(struct sums *, int lane);
/* Row i of the last pass goes on with the text of lane[i]; -1: it does not count. */
void sums_pass(struct sums *, int n, const int *lane);
long sums_rows(const struct sums *);
/* Seconds that summing took. */
double sums_seconds(const struct sums *);

/* A bridge with matrices of its own. */
struct built {
	struct bridge g;
	struct gguf_tensor weight, bias;
	double expected[BRIDGE_ROWS];
};
/* From the a-th to the s-th layer of the shape.  all: NULL, or what it is before it is rounded:
 * (k, features, width). */
int sums_solve(struct sums *, int a, int s, struct built *, double *all, char err[ERR_MAX]);
void built_free(struct built *);

/* ---- calibrate_state.c: conversations that outlast an interruption ---- */

struct sample {                 /* one conversation, or a window of a text */
	int number, n_prompt, n;
	int *ids;               /* (n) */
};
struct state;
/* Until it is closed no other calibration gets it: NULL with err.  base NULL: nothing is kept, as
 * where it can not be, which note then says. */
struct state *state_open(const char *path, const char *base, int n_vocab, int n_most,
			 char note[ERR_MAX], char err[ERR_MAX]);
/* The next conversation of an earlier run; false: there is no more, write may follow. */
bool state_read(struct state *, struct sample *);
/* -1: it can not be written any more; err says why. */
int state_write(struct state *, const struct sample *, char err[ERR_MAX]);
/* Whether there are conversations with which a later run can go on. */
bool state_kept(const struct state *);
/* remove: those that were kept are not needed any more. */
void state_close(struct state *, bool remove);

/* ---- calibrate_job.c: the work, and whoever asked for it ---- */

struct calibrate {
	const struct calibrate_opt *o;
	struct calibrate_result *r;
	struct engine *e;
	struct sums *sums;
	struct state *state;
	struct sample held[HELD_MOST];
	int n_held;
	long *count;            /* (n_vocab) tokens of answers, for the draft vocabulary */
	int lanes, context;
	long held_tokens;
	double start, end;      /* of the whole; when the text has to end */
	double all_s;           /* that the whole may take */
	double told, most;      /* when progress was told, and the most that was */
	double weighs;          /* when weighing began, 0: not yet */
	double holds;           /* when bridges were first held against text, 0: not yet */
	double left;            /* seconds that were told to be left, 0: nothing was */
	struct shape shape;
	struct built built[CALIBRATE_MOST];
	int *vocab, n_vocab;
};
bool calibrate_stop(const struct calibrate *);
void calibrate_note(const struct calibrate *, const char *text);
/* Minutes of work must not end at a folder that can not be written. */
int calibrate_check_out(const char *out, char err[ERR_MAX]);
/* done: 0..1 of holding bridges against text; -1: before it, where time alone says how much is
 * done.  What is told to be left never grows, but by work that was found. */
void calibrate_tell(struct calibrate *, double done, const char *what);
/* It is known now how much is left to hold, and how many seconds that takes. */
void calibrate_found(struct calibrate *, double left);

/* ---- calibrate_dialog.c, calibrate_corpus.c: what the model writes, or reads ---- */

/* Conversations or a file until c->end, at least so long that there is enough of them.  0, 1:
 * stopped, -1. */
int dialog_run(struct calibrate *, char err[ERR_MAX]);
int corpus_run(struct calibrate *, char err[ERR_MAX]);
/* Sums up a text that is known, or keeps it as held out. */
int corpus_read(struct calibrate *, const struct sample *, char err[ERR_MAX]);
int corpus_hold(struct calibrate *, const struct sample *, char err[ERR_MAX]);
/* Whether there is enough to solve and to weigh. */
bool corpus_enough(const struct calibrate *);

extern const char *const calibrate_lines[], *const calibrate_follow[];
extern const int calibrate_n_lines, calibrate_n_follow;

/* ---- calibrate_weigh.c: which one pays ---- */

/* Seconds that weighing takes when a pass over n rows takes pass(n). */
double weigh_seconds(const struct shape *, double pass_1, double pass_32);
int weigh_run(struct calibrate *, char err[ERR_MAX]);
#endif
