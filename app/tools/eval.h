/* eval.h - how well a model predicts a text, and how close its logits are to recorded ones.
 *
 * eval_run is the command; the rest is the recorded reference, an open file read one row at a
 * time.  Invariant: everything in a header was checked against the file's size before use. */
#ifndef S3D_APP_EVAL_H
#define S3D_APP_EVAL_H
#include "app/config/options.h"
#include "base/file.h"
#include "base/util.h"

#include <stdio.h>

/* options.model names a file.  Result to out, progress to standard error. */
int eval_run(const struct options *, FILE *out, char err[ERR_MAX]);

/* A file of tests/tools/make_reference_logits.py: of each chunk the rows chunk/2 .. chunk-2. */
struct eval_ref {
	FILE *f;
	const char *path;
	int n_chunks, chunk, n_rows, n_vocab;
	int n_top;              /* 0: whole rows; else only the likeliest n_top of each */
	int *ids;               /* (n_chunks, chunk) */
	unsigned char *raw;     /* one row as it is in the file */
	int *top;               /* (n_top) ids, or (1) the likeliest one */
	double *logp;           /* (n_top or n_vocab) natural logarithms */
};

struct eval_row {               /* one row, compared */
	double kl;              /* nats; a lower bound when the reference holds n_top only */
	double logp_ref;        /* of the token that came; NAN when the reference lacks it */
	bool same_top;
};

int eval_ref_open(struct eval_ref *, const char *path, char err[ERR_MAX]);
void eval_ref_close(struct eval_ref *);
/* Reads the reference's next row and compares it with logits (n_vocab); next is the token that
 * really came. */
int eval_ref_compare(struct eval_ref *, const float *logits, int next, struct eval_row *,
		     char err[ERR_MAX]);

/* What this model computes, to compare others with it. */
struct eval_record {
	struct file_new file;
	bool open;
	int n_vocab;
};
int eval_record_begin(struct eval_record *, const char *path, int n_chunks, int chunk,
		      int n_vocab, const int *ids, char err[ERR_MAX]);
int eval_record_row(struct eval_record *, const float *logits, char err[ERR_MAX]);
/* whole: all rows are there, and the file takes its place; else nothing is left of it. */
int eval_record_end(struct eval_record *, bool whole, char err[ERR_MAX]);

/* log(sum(exp(logits))), in double. */
double eval_log_sum(const float *logits, int n);
#endif
