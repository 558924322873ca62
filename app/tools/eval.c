/* eval.c - s3dchat eval: perplexity by llama.cpp's definition, and divergence from a reference.
 *
 * A text is cut into chunks of c tokens, each run from an empty cache; the rows c/2 .. c-2 are
 * scored on the tokens after them.  struct eval owns the engine, the ids and the reference.
 * Invariant: only OUT_ROWS rows of logits exist at a time, whatever the text's length. */
#include "app/tools/eval.h"
#include "app/config/model_path.h"
#include "app/config/setup.h"
#include "base/file.h"
#include "base/text.h"
#include "engine/probe.h"
#include "engine/info.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_ROWS = 32, BATCH_ROWS = 256, DEFAULT_CHUNK = 512, LEAST_CHUNK = 4 };
#define TEXT_MAX ((size_t)1 << 30)

struct eval {
	const struct options *opt;
	struct engine *e;
	int *ids;               /* (n_ids) the whole text */
	int n_ids, chunk, n_chunks;
	struct eval_ref ref;    /* .f is NULL without --kl */
	struct eval_record record;
	double *kl;             /* (n_chunks * rows) of the rows so far, with --kl */
	long n;                 /* rows scored */
	double nll, nll2, nll_ref;      /* sums of -log p, its square, and the reference's */
	long same_top;
	double start;
};

static int tokenize_text(struct eval *v, char err[ERR_MAX])
{
	int bos = tokenizer_add_bos(v->e->tok) ? tokenizer_bos(v->e->tok) : -1;
	size_t len;
	char *text = file_read(v->opt->arg[0], 0, TEXT_MAX, &len, err);
	int n = text ? tokenizer_encode_new(v->e->tok, text, len, false, bos >= 0, &v->ids, err) :
		       -1;

	free(text);
	if (n < 0)
		return -1;
	v->n_ids = n + (bos >= 0);
	for (int i = 0; bos >= 0 && i < v->n_ids; i += v->chunk)
		v->ids[i] = bos;
	return 0;
}

static int choose_chunks(struct eval *v, char err[ERR_MAX])
{
	v->n_chunks = v->n_ids / v->chunk;
	if (!v->n_chunks)
		return fail(err, "%s: %d token%s, less than one chunk of %d; give a longer text "
			    "or a smaller -c", v->opt->arg[0], v->n_ids, text_s(v->n_ids),
			    v->chunk);
	if (v->opt->chunks && v->opt->chunks < v->n_chunks)
		v->n_chunks = v->opt->chunks;
	if (v->ref.f && v->ref.n_chunks < v->n_chunks)
		v->n_chunks = v->ref.n_chunks;
	return 0;
}

static int check_ref(struct eval *v, char err[ERR_MAX])
{
	const struct eval_ref *r = &v->ref;

	if (r->n_vocab != v->e->target.n_vocab)
		return fail(err, "%s: made for a vocabulary of %d, the model has %d", r->path,
			    r->n_vocab, v->e->target.n_vocab);
	for (int i = 0; i < v->n_chunks * v->chunk; i++)
		if (v->ids[i] != r->ids[i])
			return fail(err, "%s: made for another text: token %d is %d there and %d "
				    "in %s", r->path, i, r->ids[i], v->ids[i], v->opt->arg[0]);
	v->kl = mem_new((size_t)v->n_chunks * (size_t)r->n_rows, sizeof(*v->kl), err);
	return v->kl ? 0 : -1;
}

static int open_engine(struct eval *v, char err[ERR_MAX])
{
	static const enum engine_note told[] = { NOTE_THREADS, NOTE_BACKEND, NOTE_MEMORY,
						 NOTE_GROUPS, NOTE_LAYERS, NOTE_COLUMNS };
	struct engine_opt eo = setup_engine(v->opt);
	char *cqil = model_path_cqil(v->opt->model), *host = setup_host_file(v->opt);

	eo.model = v->opt->model;
	eo.cqil_file = cqil;
	eo.host_file = host;
	eo.n_ctx = v->chunk;
	eo.be.n_batch = BATCH_ROWS;
	eo.be.n_out = OUT_ROWS;
	v->e = engine_open(&eo, err);
	free(cqil);
	free(host);
	for (size_t i = 0; v->e && i < sizeof(told) / sizeof(told[0]); i++)
		if (*v->e->notes[told[i]])
			text_tell("eval", v->e->notes[told[i]]);
	return v->e ? 0 : -1;
}

static int eval_open(struct eval *v, char err[ERR_MAX])
{
	if (*v->opt->kl && eval_ref_open(&v->ref, v->opt->kl, err))
		return -1;
	v->chunk = v->opt->ctx ? v->opt->ctx : v->ref.f ? v->ref.chunk : DEFAULT_CHUNK;
	if (v->chunk < LEAST_CHUNK)
		return fail(err, "-c %d: a chunk needs at least %d tokens", v->chunk, LEAST_CHUNK);
	if (v->ref.f && v->chunk != v->ref.chunk)
		return fail(err, "%s: made with chunks of %d tokens; leave out -c %d", v->ref.path,
			    v->ref.chunk, v->chunk);
	if (open_engine(v, err) || tokenize_text(v, err) || choose_chunks(v, err))
		return -1;
	if (v->ref.f && check_ref(v, err))
		return -1;
	if (!*v->opt->record)
		return 0;
	return eval_record_begin(&v->record, v->opt->record, v->n_chunks, v->chunk,
				 v->e->target.n_vocab, v->ids, err);
}

static void eval_close(struct eval *v)
{
	eval_ref_close(&v->ref);
	engine_close(v->e);
	mem_free(v->ids);
	mem_free(v->kl);
}

static int score_row(struct eval *v, const float *logits, int next, char err[ERR_MAX])
{
	double nll = eval_log_sum(logits, v->e->target.n_vocab) - logits[next];
	struct eval_row row;

	if (!isfinite(nll))
		return fail(err, "the logits of row %ld are not finite", v->n);
	if (v->record.open && eval_record_row(&v->record, logits, err))
		return -1;
	if (v->ref.f) {
		if (eval_ref_compare(&v->ref, logits, next, &row, err))
			return -1;
		v->kl[v->n] = row.kl;
		v->nll_ref -= row.logp_ref;
		v->same_top += row.same_top;
	}
	v->nll += nll;
	v->nll2 += nll * nll;
	v->n++;
	return 0;
}

/* Runs ids[pos..pos+n-1] of a chunk, scoring all of them or none. */
static int run_rows(struct eval *v, const int *ids, int pos, int n, bool score, char err[ERR_MAX])
{
	struct engine *e = v->e;
	const float *logits = probe_look(e, ids + pos, n, pos, score ? n : 0, err);

	if (!logits)
		return -1;
	for (int i = 0; score && i < n; i++)
		if (score_row(v, probe_row(e, logits, i), ids[pos + i + 1],
			      err))
			return -1;
	return 0;
}

static int run_chunk(struct eval *v, const int *ids, char err[ERR_MAX])
{
	int first = v->chunk / 2, last = v->chunk - 2, pos = 0;

	while (pos <= last) {
		bool score = pos >= first;
		int end = score ? last + 1 : first;
		int most = score ? OUT_ROWS : v->e->target.n_batch;
		int n = end - pos < most ? end - pos : most;

		if (run_rows(v, ids, pos, n, score, err))
			return -1;
		pos += n;
	}
	return 0;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double standard_error(const struct eval *v)
{
	double n = (double)v->n, mean = v->nll / n, variance = v->nll2 / n - mean * mean;

	return v->n > 1 && variance > 0 ? sqrt(variance / (n - 1)) : 0;
}

static void report_kl(struct eval *v, FILE *out)
{
	double n = (double)v->n, sum = 0;

	for (long i = 0; i < v->n; i++)
		sum += v->kl[i];
	qsort(v->kl, (size_t)v->n, sizeof(*v->kl), by_size);
	fputs("kernels ", out);
	text_print_line(out, engine_device(v->e));
	fputc('\n', out);
	fprintf(out, "chunks %d\nchunk_tokens %d\nrows %ld\n", v->n_chunks, v->chunk, v->n);
	fprintf(out, "perplexity %.5f\n", exp(v->nll / n));
	if (isnan(v->nll_ref))
		fprintf(out, "perplexity_ref -\n");
	else
		fprintf(out, "perplexity_ref %.5f\n", exp(v->nll_ref / n));
	if (v->ref.n_top)
		fprintf(out, "kl_kind lower_bound_top_%d\n", v->ref.n_top);
	else
		fprintf(out, "kl_kind full\n");
	fprintf(out, "kl_mean %.4e\nkl_median %.4e\n", sum / n,
		(v->kl[(v->n - 1) / 2] + v->kl[v->n / 2]) / 2);
	fprintf(out, "kl_p99 %.4e\nkl_max %.4e\n", v->kl[(v->n - 1) * 99 / 100], v->kl[v->n - 1]);
	fprintf(out, "top1_agreement %.5f\n", (double)v->same_top / n);
}

/* What a cache of columns did, where one took part. */
static void report_columns(const struct eval *v, FILE *out)
{
	struct column_counts c = engine_columns(v->e);
	double rows = (double)c.rows;

	if (c.used)
		fprintf(out, "cache_hit_rate %.4f\ncache_bytes_per_token %.0f\n"
			"missed_bytes_per_token %.0f\n", (double)c.hits / (double)c.used,
			(double)c.fast / rows, (double)c.slow / rows);
}

static void report(struct eval *v, FILE *out)
{
	double ppl = exp(v->nll / (double)v->n);

	if (v->ref.f)
		report_kl(v, out);
	else
		fprintf(out, "perplexity %.4f +- %.4f over %d chunk%s of %d tokens (%ld scored)\n",
			ppl, ppl * standard_error(v), v->n_chunks, text_s(v->n_chunks), v->chunk,
			v->n);
	report_columns(v, out);
	fprintf(stderr, "%.1f s\n", clock_now() - v->start);
}

static int run_chunks(struct eval *v, char err[ERR_MAX])
{
	v->start = clock_now();
	for (int i = 0; i < v->n_chunks; i++) {
		if (run_chunk(v, v->ids + (size_t)i * (size_t)v->chunk, err))
			return -1;
		fprintf(stderr, "chunk %d of %d: perplexity %.4f so far, %.1f s\n", i + 1,
			v->n_chunks, exp(v->nll / (double)v->n), clock_now() - v->start);
	}
	return 0;
}

int eval_run(const struct options *o, FILE *out, char err[ERR_MAX])
{
	struct eval v = { .opt = o };
	int rc = eval_open(&v, err);

	if (!rc)
		rc = run_chunks(&v, err);
	if (eval_record_end(&v.record, !rc, err))
		rc = -1;
	if (!rc)
		report(&v, out);
	if (!rc)
		rc = text_flush(out, err);
	eval_close(&v);
	return rc;
}
