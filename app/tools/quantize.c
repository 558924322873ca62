/* quantize.c - see quantize.h.  struct run owns what it opened; signals: see teller.h. */
#include "app/tools/quantize.h"
#include "app/config/setup.h"
#include "app/tools/teller.h"
#include "base/machine.h"
#include "base/text.h"
#include "engine/quantize/quantize.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

enum { CALIB_CHUNK = 512 };

struct run {
	const struct options *opt;
	struct teller tell;
	const char *what;       /* that takes its time now */
	double start;
	struct importance *importance;
	struct quantizer *q;
};

static void progress(void *ctx, double done)
{
	struct run *r = ctx;
	double took = clock_now() - r->start;

	teller_progress(&r->tell, done, done > 0 ? took * (1 - done) / done : 0, r->what);
}

static bool stopped(void *ctx)
{
	struct run *r = ctx;

	return teller_stopped(&r->tell);
}

static int measure(struct run *r, char err[ERR_MAX])
{
	const struct options *o = r->opt;
	struct importance_job job = {
		.engine = setup_engine(o), .text = o->calib,
		.tokens = o->chunks ? o->chunks * CALIB_CHUNK : INT_MAX, .progress = progress,
		.stop = stopped, .ctx = r,
	};

	job.engine.model = o->arg[0];
	r->what = "reading the text";
	r->importance = importance_measure(&job, err);
	return r->importance ? 0 : -1;
}

/* What is known of activations; nothing if nothing is asked for. */
static int open_importance(struct run *r, char err[ERR_MAX])
{
	const struct options *o = r->opt;

	if (*o->imatrix && *o->calib)
		return fail(err, "--imatrix and --calib: one of them says how much errors count");
	if (*o->calib)
		return measure(r, err);
	if (*o->imatrix)
		r->importance = importance_read(o->imatrix, err);
	return *o->imatrix && !r->importance ? -1 : 0;
}

/* The input is mapped while the output is written. */
static int check_paths(const char *in, const char *out, char err[ERR_MAX])
{
	struct stat a, b;

	if (!stat(in, &a) && !stat(out, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return fail(err, "%s: is the input too; give the new file another name", out);
	return 0;
}

static void print_tensor(FILE *f, const struct quantize_tensor *t)
{
	char dims[64] = "", name[128];

	for (int i = 0; i < t->n_dims; i++)
		snprintf(dims + strlen(dims), sizeof(dims) - strlen(dims), "%s%lld", i ? "x" : "",
			 (long long)t->dim[i]);
	snprintf(name, sizeof(name), "%.*s", (int)t->name.n, t->name.s);
	text_print_line(f, name);
	fprintf(f, " %s %s %s %zu %zu%s\n", dims, quant_info((int)t->from)->name,
		quant_info((int)t->to)->name, t->bytes_from, t->bytes,
		t->measured ? " weighted" : "");
}

static void print_tensors(const struct run *r)
{
	fputs("tensor columns-x-rows from to bytes-from bytes\n", r->tell.out);
	for (int64_t i = 0; i < quantize_tensors(r->q); i++) {
		struct quantize_tensor t = quantize_tensor_at(r->q, i);

		print_tensor(r->tell.out, &t);
	}
}

static double bits(size_t bytes, int64_t weights)
{
	return 8 * (double)bytes / (double)weights;
}

static void print_size(const struct run *r)
{
	struct quantize_size s = quantize_size(r->q);
	FILE *f = r->tell.out;

	text_print_line(f, r->opt->arg[1]);
	fprintf(f, ": %.1f MB, %.2f bits per weight (was %.1f MB, %.2f)\n", (double)s.bytes / 1e6,
		bits(s.bytes, s.weights), (double)s.bytes_from / 1e6,
		bits(s.bytes_from, s.weights));
}

static void warn(struct run *r)
{
	char text[ERR_MAX];

	if (quantize_size(r->q).again)
		teller_note(&r->tell, "the input has fewer than 8 bits in some matrices already: "
			    "what was lost there stays lost; an F16 or Q8_0 file gives a better "
			    "result");
	if (r->importance && *r->opt->imatrix) {
		int known = 0, all = 0;

		for (int64_t i = 0; i < quantize_tensors(r->q); i++) {
			struct quantize_tensor t = quantize_tensor_at(r->q, i);

			known += t.measured;
			all += t.from != t.to;
		}
		if (!known && all) {
			snprintf(text, sizeof(text), "%s: knows none of this model's matrices",
				 r->opt->imatrix);
			teller_note(&r->tell, text);
		}
	}
}

static int write_out(struct run *r, char err[ERR_MAX])
{
	const struct options *o = r->opt;
	struct quantize_job job = {
		.n_threads = o->threads ? o->threads : machine_cores(), .progress = progress,
		.stop = stopped, .ctx = r,
	};
	int rc;

	r->what = "writing";
	r->start = clock_now();
	rc = quantize_write(r->q, o->arg[1], &job, err);
	teller_end_line(&r->tell);
	if (!rc)
		print_size(r);
	return rc;
}

static int quantize(struct run *r, char err[ERR_MAX])
{
	const struct options *o = r->opt;
	const struct recipe *recipe = recipe_find(o->arg[2]);

	if (!recipe)
		return fail(err, "'%s' is no type that can be made; there are%s", o->arg[2],
			    RECIPE_NAMES);
	if (check_paths(o->arg[0], o->arg[1], err) ||
	    open_importance(r, err))
		return -1;
	r->q = quantize_open(o->arg[0], recipe, r->importance, err);
	if (!r->q)
		return -1;
	teller_end_line(&r->tell);
	warn(r);
	if (o->dry_run || o->verbose)
		print_tensors(r);
	if (!o->dry_run)
		return write_out(r, err);
	print_size(r);
	return 0;
}

int quantize_main(const struct options *o, FILE *out, char err[ERR_MAX])
{
	struct run r = { .opt = o, .start = clock_now() };
	int rc;

	teller_open(&r.tell, "quantize", out, o->progress);
	rc = quantize(&r, err);
	teller_close(&r.tell);
	quantize_close(r.q);
	importance_free(r.importance);
	if (teller_signal() && rc) {
		teller_note(&r.tell, "stopped; nothing was written");
		return 128 + teller_signal();
	}
	return rc ? rc : text_flush(out, err);
}
