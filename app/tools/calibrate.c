/* calibrate.c - see calibrate.h.  Signals: see teller.h. */
#include "app/tools/calibrate.h"
#include "app/config/args.h"
#include "app/config/model_path.h"
#include "app/config/setup.h"
#include "app/tools/sweep_table.h"
#include "app/tools/teller.h"
#include "base/text.h"
#include "engine/calibrate/calibrate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_begin(void *ctx, double seconds, size_t bytes)
{
	teller_end_line(ctx);
	fprintf(stderr, "calibrate: about %.*f minutes and %zu MiB of memory; Ctrl+C stops\n",
		seconds < 100 ? 1 : 0, seconds / 60, (bytes >> 20) + 1);
}

static void print_shares(FILE *f, const double *v)
{
	for (int o = 0; o < BRIDGE_ROWS; o++)
		if (v[o] > 0)
			fprintf(f, " %5.1f", 100 * v[o]);
		else
			fprintf(f, " %5s", "-");
}

static void print_row(FILE *f, const struct calibrate_row *r, int n_layers, bool chosen)
{
	double tokens = 1;

	for (int o = 0; o < r->best; o++)
		tokens += r->run[o];
	fprintf(f, "%3d %3d %5d ", r->a, r->s, r->a + n_layers - r->s);
	print_shares(f, r->hit);
	fputs("  ", f);
	print_shares(f, r->run);
	fprintf(f, "  %5ld %4d %6.2f %5.2f %8.2f%s\n", r->positions, r->best, tokens,
		r->cost[r->best - 1], r->gain[r->best - 1], chosen ? "  <- chosen" : "");
}

static int print_table(FILE *f, const struct calibrate_result *r, const char *path,
		       char err[ERR_MAX])
{
	const struct calibrate_row *best = &r->row[r->chosen];

	fprintf(f, "bridge from the row that enters layer a to layer s; drafts that hold, each and "
		"all up to it, in %%\n"
		"%3s %3s %5s  %-24s  %-24s  %5s %4s %6s %5s %8s\n", "a", "s", "kept",
		"   each", "   all", "tried", "best", "tokens", "draft", "speed-up");
	for (int i = 0; i < r->n; i++)
		print_row(f, &r->row[i], r->n_layers, i == r->chosen);
	fprintf(f, "a step takes %.2f ms, with 1 to %d drafts to verify", 1e3 * r->step_s,
		BRIDGE_ROWS);
	for (int n = 2; n <= BRIDGE_ROWS + 1; n++)
		fprintf(f, " %.2f", r->verify[n]);
	fprintf(f, " times as long\n%ld positions summed up, in %.1f minutes\n", r->rows,
		r->seconds / 60);
	if (best->gain[best->best - 1] <= 1)
		fputs("none of them pays here: plain is as fast or faster; the best is written "
		      "all the same\n", f);
	fputs("written: ", f);
	text_print_line(f, path);
	fputc('\n', f);
	return text_flush(f, err);
}

static void print_times(const struct calibrate_result *r)
{
	fprintf(stderr, "calibrate: text %.1f s, of that sums %.1f; solving %.1f s, weighing "
		"%.1f s; %ld positions held out, %d tokens in drafts (0: all)\n",
		r->text_s, r->sums_s, r->solve_s, r->seconds - r->text_s - r->solve_s, r->held,
		r->vocab);
}

static void tell_stop(bool kept, const char *what, const char *path)
{
	fputs("calibrate: stopped; ", stderr);
	if (!kept) {
		fprintf(stderr, "nothing was written, and nothing is kept of the %s\n", what);
		return;
	}
	fprintf(stderr, "the %s so far is kept in ", what);
	text_print_line(stderr, path);
	fputs(".part, and the same command goes on from there\n", stderr);
}

static int calibrate(const struct options *o, struct teller *t, const char *path,
		     char err[ERR_MAX])
{
	struct calibrate_result r;
	struct calibrate_opt c = {
		.engine = setup_engine(o), .out = path,
		.text = *o->calibrate_text ? o->calibrate_text : NULL,
		.minutes = (double)o->minutes, .begin = on_begin, .progress = teller_progress,
		.note = teller_note, .stop = teller_stopped, .ctx = t,
	};
	char *host = setup_host_file(o);
	int rc;

	c.engine.model = o->model;
	c.engine.host_file = host;
	c.engine.chat_template = *o->chat_template ? o->chat_template : NULL;
	rc = calibrate_run(&c, &r, err);
	free(host);
	teller_end_line(t);
	if (rc == 1) {
		tell_stop(r.kept, "text", path);
		return 128 + teller_signal();
	}
	if (rc == 0 && o->verbose)
		print_times(&r);
	return rc ? rc : print_table(t->out, &r, path, err);
}

/* Which layers can run in groups. */
static int sweep(const struct options *o, struct teller *t, const char *path, char err[ERR_MAX])
{
	enum { MINUTES = 4 };
	bool given = o->given[args_find("minutes") - option_rows];
	struct sweep_result r;
	struct sweep_opt s = {
		.engine = setup_engine(o), .out = path,
		.text = *o->calibrate_text ? o->calibrate_text : NULL,
		.minutes = given ? (double)o->minutes : MINUTES, .begin = on_begin,
		.progress = teller_progress, .note = teller_note, .stop = teller_stopped, .ctx = t,
	};
	char *host = setup_host_file(o);
	int rc;

	s.engine.model = o->model;
	s.engine.host_file = host;
	rc = sweep_run(&s, &r, err);
	free(host);
	teller_end_line(t);
	if (rc == 1)
		tell_stop(r.kept, "table", path);
	else if (rc == 0)
		rc = sweep_table(t->out, &r, path, err);
	sweep_free(&r);
	return rc == 1 ? 128 + teller_signal() : rc;
}

static char *new_path(const struct options *o)
{
	if (*o->output)
		return strdup(o->output);
	return o->calibrate_cqil ? model_path_cqil_new(o->model) : model_path_sidecar_new(o->model);
}

int calibrate_main(const struct options *o, FILE *out, char err[ERR_MAX])
{
	struct teller t;
	char *path = new_path(o);
	int rc;

	if (!path)
		return fail(err, "no place for the result; name one with -o FILE");
	if (!*o->output)
		model_path_make(path);
	teller_open(&t, "calibrate", out, o->progress);
	rc = o->calibrate_cqil ? sweep(o, &t, path, err) : calibrate(o, &t, path, err);
	teller_close(&t);
	free(path);
	return rc;
}
