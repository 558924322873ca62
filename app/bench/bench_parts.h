/* bench_parts.h - what the files of bench share: the open engine and the series of values.
 *
 * bench.c calls the others in turn; they call bench_series.c, and none calls bench.c.
 * A series is one figure, measured once in every repetition.  struct bench owns all it points to.
 * Invariant: bench_add never fails; a series that the table has no room for is a bug (assert). */
#ifndef S3D_APP_BENCH_PARTS_H
#define S3D_APP_BENCH_PARTS_H
#include "app/bench/bench_prompts.h"
#include "app/config/options.h"
#include "engine/probe.h"

#include <stdio.h>

enum { BENCH_SERIES_MAX = 1024, BENCH_VERIFY_POS = 256, BENCH_ROWS_MAX = 8, BENCH_TEMPS = 2,
	BENCH_PREDICT_MAX = 128, BENCH_CONTENDERS_MAX = 32 };

struct series {
	char name[128];         /* room for a contender, a temperature and a prompt's name */
	const char *unit;
	double *v;              /* (reps) */
	int n;
};

struct spread {
	double median, min, max;        /* NAN when there is nothing */
};

struct contender {              /* a strategy under one setting; the first is plain */
	const struct strategy *s;
	struct strategy_opt opt;
	char name[40];
	bool exact;             /* with this setting */
};

struct bench_answer {
	int tok[BENCH_PREDICT_MAX];
	int n;
	double seconds;
};

struct bench_quality {          /* sums over tokens */
	long tokens;
	double log_p;           /* of each, under the big model alone, untempered */
	long first;             /* those that are its first choice */
	long differ;            /* those that plain has not at the same place */
};

struct bench {
	const struct options *opt;
	struct engine *e;
	struct prompt_set prompts;
	int prompt_step;        /* 1: every prompt is used, 3: every third */
	struct contender contender[BENCH_CONTENDERS_MAX];
	int n_contenders;
	int n_temps;            /* of bench_temps */
	int n_predict;          /* longest answer in tokens */
	int n_decode;           /* tokens in a decode measurement */
	int reps;
	struct probe *probe;    /* a cache of its own: row i holds ids[i], always */
	int *ids;               /* (n_ids) */
	int n_ids;
	size_t token_bytes;     /* weights that one token needs, in the file's types */
	struct series series[BENCH_SERIES_MAX];
	int n_series;
	double *pool;           /* (BENCH_SERIES_MAX * reps) */
};

extern const float bench_temps[BENCH_TEMPS];
extern const int bench_depths[];        /* context lengths for decoding, ends with -1 */

/* ---- bench_series.c ---- */

void bench_add(struct bench *, double value, const char *unit, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
struct spread bench_spread(const struct bench *, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
struct spread bench_values(const double *v, int n);
void bench_progress(const struct bench *, int rep, const char *what);
/* A number of the given width, or '-' when it is unknown (NAN). */
void bench_cell(FILE *, double x, int width, int decimals);

/* ---- bench_probe.c, bench_stages.c ---- */

/* Positions in the probes' cache, at most. */
int bench_probe_depth(const struct bench *);
int bench_probe_open(struct bench *, char err[ERR_MAX]);
int bench_probe_run(struct bench *, int rep, char err[ERR_MAX]);
void bench_probe_close(struct bench *);
/* Seconds for ids[pos..pos+n-1] with logits for the last n_out of them; -1 on error. */
double bench_rows(struct bench *, int pos, int n, int n_out, char err[ERR_MAX]);
int bench_stages_run(struct bench *, char err[ERR_MAX]);
void bench_stages_report(const struct bench *, FILE *);

/* ---- bench_strategy.c, bench_quality.c ---- */

/* Who takes part, with the models that are open and as the options ask. */
void bench_strategy_open(struct bench *);
int bench_strategy_run(struct bench *, int rep, char err[ERR_MAX]);
/* After all repetitions: an error if an exact strategy wrote something else than plain. */
int bench_strategy_check(const struct bench *, char err[ERR_MAX]);

/* Adds what the big model thinks of an answer to ids[0..n-1] and how it differs from plain's. */
int bench_judge(struct bench *, const int *ids, int n, const struct bench_answer *,
		const struct bench_answer *plain, struct bench_quality *, char err[ERR_MAX]);

/* Plain's answer to a prompt at temperature 0. */
int bench_plain(struct bench *, const struct prompt *, char err[ERR_MAX]);

/* ---- bench_sim.c ---- */

int bench_sim_run(struct bench *, char err[ERR_MAX]);
void bench_sim_report(const struct bench *, FILE *out);

/* ---- bench_report.c, bench_table.c ---- */

void bench_table(const struct bench *, FILE *out);      /* the strategies */
void bench_grid(const struct bench *, FILE *out);       /* bild over its thresholds */
void bench_report(const struct bench *, FILE *out);
#endif
