/* calibrate_corpus.c - texts that are known, read by full passes: a file in windows, conversations
 * of an earlier run.
 *
 * Invariant: what is held out is not summed up, and is a copy. */
#include "engine/calibrate/calibrate_parts.h"
#include "base/file.h"
#include <stdlib.h>
#include <string.h>

enum { WINDOW_LEAST = 32, WINDOWS_LEAST = 4, TEXT_MOST = 64 << 20, ROWS_LEAST = 512,
	HELD_LEAST = 64, PROMPT = 16 };

int corpus_hold(struct calibrate *c, const struct sample *t, char err[ERR_MAX])
{
	struct sample *to = &c->held[c->n_held];

	if (c->n_held == HELD_MOST)
		return 0;
	*to = *t;
	to->ids = mem_new((size_t)t->n, sizeof(*to->ids), err);
	if (!to->ids)
		return -1;
	memcpy(to->ids, t->ids, sizeof(*to->ids) * (size_t)t->n);
	c->held_tokens += t->n - t->n_prompt;
	c->n_held++;
	return 0;
}

int corpus_read(struct calibrate *c, const struct sample *t, char err[ERR_MAX])
{
	int lane[CALIBRATE_BATCH], n;

	if (t->number % HOLD_EACH == 0)
		return corpus_hold(c, t, err);
	sums_begin(c->sums, c->lanes);
	for (int i = 0; i < CALIBRATE_BATCH; i++)
		lane[i] = c->lanes;
	for (int at = 0; at < t->n; at += n) {
		n = t->n - at < CALIBRATE_BATCH ? t->n - at : CALIBRATE_BATCH;

		struct batch b = { .tok = t->ids + at, .n = n, .pos = at,
				   .run = &c->e->target.base };

		if (!c->e->be->forward(c->e->dev, c->e->target.kv, &b))
			return fail(err, "%s", c->e->be->error(c->e->dev));
		sums_pass(c->sums, n, lane);
	}
	for (int i = t->n_prompt; i < t->n; i++)
		c->count[t->ids[i]]++;
	return 0;
}

bool corpus_enough(const struct calibrate *c)
{
	return sums_rows(c->sums) >= ROWS_LEAST && c->held_tokens >= HELD_LEAST;
}

/* The ids of the file's text; NULL with err. */
static int *read_ids(const struct calibrate *c, int *n, char err[ERR_MAX])
{
	size_t bytes = 0;
	char *text = file_read(c->o->text, FILE_BEGINNING, TEXT_MOST, &bytes, err);
	int *ids = NULL;

	*n = text ? tokenizer_encode_new(c->e->tok, text, bytes, false, 0, &ids, err) : -1;
	free(text);
	return ids;
}

/* Window i of the text, each begun as the model is used to. */
static int read_window(struct calibrate *c, const int *ids, int i, int window, char err[ERR_MAX])
{
	int own[CONTEXT], bos = tokenizer_add_bos(c->e->tok);
	struct sample t = { i, PROMPT, window, own };

	own[0] = tokenizer_bos(c->e->tok);
	memcpy(own + bos, ids + (size_t)i * (size_t)(window - bos),
	       sizeof(*own) * (size_t)(window - bos));
	return corpus_read(c, &t, err);
}

static int read_windows(struct calibrate *c, const int *ids, int n, char err[ERR_MAX])
{
	int window = n / HOLD_EACH, bos = tokenizer_add_bos(c->e->tok), windows;

	window = window < WINDOW_LEAST ? WINDOW_LEAST : window < c->context ? window : c->context;
	windows = n / (window - bos);
	if (windows < WINDOWS_LEAST)
		return fail(err, "%s: too short to calibrate with: it has %d of at least %d "
			    "tokens, and many thousands do better", c->o->text, n,
			    WINDOW_LEAST * WINDOWS_LEAST);
	for (int i = 0; i < windows && (clock_now() < c->end || !corpus_enough(c)); i++) {
		if (calibrate_stop(c))
			return 1;
		if (read_window(c, ids, i, window, err) != 0)
			return -1;
		calibrate_tell(c, -1, "reading");
	}
	return 0;
}

int corpus_run(struct calibrate *c, char err[ERR_MAX])
{
	int n, *ids = read_ids(c, &n, err), rc = -1;

	if (ids)
		rc = read_windows(c, ids, n, err);
	mem_free(ids);
	return rc;
}
