/* sweep_text.c - see sweep_parts.h: the text in chunks, each run from an empty cache.
 *
 * Without a file the text is the opening lines of the other calibration, which are part of the
 * program: what people ask, in several languages.
 * Invariant: what is compared comes from the same rows of the same chunks. */
#include "engine/calibrate/sweep_parts.h"
#include "engine/calibrate/calibrate_parts.h"
#include "engine/decode/probs.h"
#include "base/file.h"
#include "engine/approx/grouping.h"
#include "engine/probe.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DENSE_MOST = 256 << 20 };        /* bytes of the dense model's rows */
#define TEXT_MOST ((size_t)64 << 20)

static char *built_in(size_t *len, char err[ERR_MAX])
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	for (int i = 0; f && i < calibrate_n_lines; i++)
		fprintf(f, "%s\n", calibrate_lines[i]);
	for (int i = 0; f && i < calibrate_n_follow; i++)
		fprintf(f, "%s\n", calibrate_follow[i]);
	if (f && fclose(f) == 0)
		return text;
	fail(err, "out of memory");
	return NULL;
}

int sweep_read(struct sweep *s, char err[ERR_MAX])
{
	struct tokenizer *tok = s->e->tok;
	int bos = tokenizer_add_bos(tok) ? tokenizer_bos(tok) : -1, n;
	size_t len;
	char *text = s->o->text ? file_read(s->o->text, FILE_BEGINNING, TEXT_MOST, &len, err) :
				  built_in(&len, err);

	n = text ? tokenizer_encode_new(tok, text, len, false, bos >= 0, &s->ids, err) : -1;
	free(text);
	if (n < 0)
		return -1;
	n += bos >= 0;
	s->n_chunks = n / SWEEP_CHUNK;
	if (!s->n_chunks)
		return fail(err, "%s: %d tokens, and a sweep needs %d at least; give a longer text",
			    s->o->text ? s->o->text : "the text", n, SWEEP_CHUNK);
	for (int i = 0; bos >= 0 && i < s->n_chunks; i++)
		s->ids[i * SWEEP_CHUNK] = bos;
	return 0;
}

size_t sweep_bytes(const struct sweep *s, int n_chunks)
{
	return (size_t)n_chunks * SWEEP_ROWS * (size_t)s->e->target.n_out * sizeof(*s->logits);
}

int sweep_fits(const struct sweep *s)
{
	size_t n = DENSE_MOST / sweep_bytes(s, 1);

	n = n > CHUNKS_LEAST ? n : CHUNKS_LEAST;
	return n < (size_t)s->n_chunks ? (int)n : s->n_chunks;
}

int sweep_take(struct sweep *s, int n_chunks, char err[ERR_MAX])
{
	size_t rows = (size_t)n_chunks * SWEEP_ROWS, vocab = (size_t)s->e->target.n_out;

	for (int i = 0; i < n_chunks; i++) {
		int from = (int)((int64_t)i * s->n_chunks / n_chunks);

		memmove(s->ids + i * SWEEP_CHUNK, s->ids + from * SWEEP_CHUNK,
			sizeof(*s->ids) * SWEEP_CHUNK);
	}
	s->n_chunks = n_chunks;
	s->r->tokens = n_chunks * SWEEP_CHUNK;
	s->r->rows = (long)rows;
	s->logits = mem_new(rows, vocab * sizeof(*s->logits), err);
	s->dense = s->logits ? mem_new(rows, sizeof(*s->dense), err) : NULL;
	return s->dense ? 0 : -1;
}

static double cosine(const float *a, const float *b, int n)
{
	double ab = 0, aa = 0, bb = 0;

	for (int i = 0; i < n; i++) {
		ab += (double)a[i] * b[i];
		aa += (double)a[i] * a[i];
		bb += (double)b[i] * b[i];
	}
	return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

void sweep_watch(void *sweep, const char *stage, int layer, const float *rows, int n, int width)
{
	struct sweep *s = sweep;

	if (!s->looks || (layer >= 0 && strcmp(stage, "down") != 0))
		return;
	for (int i = 0; layer >= 0 && layer + 1 < s->r->n_layers && i < n; i++)
		s->r->alike[layer] += cosine(s->before + (size_t)i * (size_t)width,
					     rows + (size_t)i * (size_t)width, width);
	memcpy(s->before, rows, sizeof(*rows) * (size_t)n * (size_t)width);
	s->looked += layer < 0 ? n : 0;
}

typedef int on_row(struct sweep *, struct sweep_row *, int row, int next, const float *logits,
		   char err[ERR_MAX]);

static int run_chunk(struct sweep *s, int chunk, on_row *on, struct sweep_row *out,
		     char err[ERR_MAX])
{
	const int *ids = s->ids + chunk * SWEEP_CHUNK;
	int most = s->e->target.n_batch < SWEEP_OUT ? s->e->target.n_batch : SWEEP_OUT, n;

	for (int pos = 0; pos < SWEEP_CHUNK - 1; pos += n) {
		const float *logits;
		int first;      /* position of the first row that is scored */

		n = SWEEP_CHUNK - 1 - pos < most ? SWEEP_CHUNK - 1 - pos : most;
		first = pos < SWEEP_FIRST ? SWEEP_FIRST : pos;
		first = first < pos + n ? first : pos + n;
		logits = probe_look(s->e, ids + pos, n, pos, pos + n - first, err);
		if (!logits)
			return -1;
		for (int at = first; at < pos + n; at++)
			if (on(s, out, chunk * SWEEP_ROWS + at - SWEEP_FIRST, ids[at + 1],
			       probe_row(s->e, logits, at - first), err) != 0)
				return -1;
	}
	return 0;
}

static int run_text(struct sweep *s, on_row *on, struct sweep_row *out, char err[ERR_MAX])
{
	for (int i = 0; i < s->n_chunks; i++) {
		if (s->o->stop && s->o->stop(s->o->ctx))
			return 1;
		if (run_chunk(s, i, on, out, err) != 0)
			return -1;
	}
	return 0;
}

static int no_row(struct sweep *s, struct sweep_row *out, int row, int next, const float *logits,
		  char err[ERR_MAX])
{
	(void)s, (void)out, (void)row, (void)next, (void)logits, (void)err;
	return 0;
}

double sweep_seconds(struct sweep *s, char err[ERR_MAX])
{
	double best = INFINITY;

	for (int i = 0; i < 2; i++) {
		double start = clock_now();

		if (run_chunk(s, 0, no_row, NULL, err) != 0)
			return -1;
		best = clock_now() - start < best ? clock_now() - start : best;
	}
	return best;
}

static int keep_row(struct sweep *s, struct sweep_row *out, int row, int next, const float *logits,
		    char err[ERR_MAX])
{
	int n = s->e->target.n_out;
	struct sweep_dense *d = &s->dense[row];

	memcpy(s->logits + (size_t)row * (size_t)n, logits, sizeof(*logits) * (size_t)n);
	d->log_sum = probs_log_sum(logits, n);
	d->top = probs_argmax(logits, n);
	d->nll = d->log_sum - logits[next];
	out->nll += d->nll;
	return isfinite(out->nll) ? 0 : fail(err, "the model's logits are not finite");
}

/* sum of p log(p / q), of a row in which p are the dense model's chances. */
static int score_row(struct sweep *s, struct sweep_row *out, int row, int next,
		     const float *logits, char err[ERR_MAX])
{
	int n = s->e->target.n_out;
	const struct sweep_dense *d = &s->dense[row];
	const float *dense = s->logits + (size_t)row * (size_t)n;
	double log_sum = probs_log_sum(logits, n), nll = log_sum - logits[next], kl = 0;

	for (int i = 0; i < n; i++) {
		double log_p = dense[i] - d->log_sum;

		if (isfinite(log_p))
			kl += exp(log_p) * (log_p - (logits[i] - log_sum));
	}
	out->nll += nll;
	out->apart += (nll - d->nll) * (nll - d->nll);
	out->kl += kl;
	out->same += probs_argmax(logits, n) == d->top;
	return isfinite(out->nll + out->kl) ? 0 :
	       fail(err, "logits are not finite with layers in groups");
}

int sweep_dense(struct sweep *s, char err[ERR_MAX])
{
	struct sweep_row dense = { .nll = 0 };
	int rc;

	s->looks = true;
	rc = run_text(s, keep_row, &dense, err);
	s->looks = false;
	for (int i = 0; i + 1 < s->r->n_layers; i++)
		s->r->alike[i] /= s->looked ? (double)s->looked : 1;
	s->r->dense = dense.nll;
	return rc;
}

int sweep_score(struct sweep *s, struct sweep_row *row, char err[ERR_MAX])
{
	char spec[GROUPING_TEXT];

	if (engine_group(s->e, grouping_text(&row->group, spec), false, err) != 0)
		return -1;
	row->nll = row->kl = row->apart = 0;
	row->same = 0;
	return run_text(s, score_row, row, err);
}
