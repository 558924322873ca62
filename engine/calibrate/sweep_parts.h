/* sweep_parts.h - what the parts of sweep.c share.
 *
 * struct sweep owns all of it; the result is the caller's. */
#ifndef S3D_SWEEP_PARTS_H
#define S3D_SWEEP_PARTS_H
#include "engine/calibrate/sweep.h"

enum { CHUNKS_LEAST = 2 };      /* of fewer the figures say nothing */
enum { SWEEP_CHUNK = 128, SWEEP_OUT = 64, SWEEP_BATCH = 256, SWEEP_SIZES = 3,
	/* Of each chunk the rows are scored that so many stand before and one behind. */
	SWEEP_FIRST = 16, SWEEP_ROWS = SWEEP_CHUNK - 1 - SWEEP_FIRST };

struct sweep_dense {            /* of one scored row */
	double log_sum, nll;
	int top;
};

struct sweep {
	const struct sweep_opt *o;
	struct sweep_result *r;
	struct engine *e;
	int *ids, n_chunks;     /* (n_chunks * SWEEP_CHUNK) */
	float *logits;          /* (n_chunks * SWEEP_ROWS, n_vocab) of the dense model */
	struct sweep_dense *dense;      /* (n_chunks * SWEEP_ROWS) */
	float *before;          /* (SWEEP_BATCH, n_embd) that entered the layer before */
	bool looks;             /* at what enters layers */
	long looked;            /* rows */
	int most;               /* rows of the table that there is room for */
	/* What an interrupted sweep left, see sweep_state.c. */
	struct sweep_row *known;
	int n_known;
	double known_dense;     /* sum of the dense model's then */
	uint32_t text_sum;
	char *part;             /* path */
	char base[65];
	double start, began, kept;      /* the sweep; its rows; when they were kept last */
	int measured, expected; /* rows that took time, and that are expected in all */
};

/* ---- sweep_text.c: a text, and what groups make of it ---- */

/* All of the text that there is, as whole chunks. */
int sweep_read(struct sweep *, char err[ERR_MAX]);
/* n_chunks of it are taken, from all over it, and room is made for the dense model's rows. */
int sweep_take(struct sweep *, int n_chunks, char err[ERR_MAX]);
/* At most so many, for the memory that they take; seconds that one takes. */
int sweep_fits(const struct sweep *);
double sweep_seconds(struct sweep *, char err[ERR_MAX]);
/* For backend_opt.watch, with the sweep as its ctx. */
void sweep_watch(void *sweep, const char *stage, int layer, const float *rows, int n, int width);
/* The dense model, against which score compares row->group.  1: stopped. */
int sweep_dense(struct sweep *, char err[ERR_MAX]);
int sweep_score(struct sweep *, struct sweep_row *, char err[ERR_MAX]);
size_t sweep_bytes(const struct sweep *, int n_chunks);

/* ---- sweep_state.c: rows that outlast an interruption ---- */

/* Chunks that an interrupted sweep over this model took, with its rows in s->known; 0: there is
 * none, or it is of no use. */
int sweep_recall(struct sweep *, char err[ERR_MAX]);
/* Forgets them if the dense model is not to the bit what they were held against. */
void sweep_check_known(struct sweep *);
int sweep_keep(struct sweep *, char err[ERR_MAX]);
/* The row of such groups among n; NULL: there is none. */
const struct sweep_row *sweep_find(const struct sweep_row *, int n, const struct grouping *);
#endif
