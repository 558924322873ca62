/* column_cache.c - see column_cache.h.
 *
 * Each side of a layer has its slots twice: as the text left them, and as the rows of the pass in
 * work do.  When all of these turn out to be text the two change places; when some do, what these
 * chose is done again. */
#include "kernels/columns/column_cache.h"
#include "kernels/topk.h"
#include <math.h>
#include <string.h>

struct cached {
	struct slots text, now;
	uint64_t *set;          /* (rows, words) that each row of the pass chose */
	float *weight;          /* (n) */
	size_t column;          /* bytes of a column, in all matrices of the side */
	int chosen;             /* rows of the pass that have */
	long used, hits, rows;
};

struct column_cache {
	struct column_cache_opt opt;
	int n_layers, rows;
	struct cached (*layer)[COLUMN_SIDES];     /* (n_layers) */
	/* Behind the rows of the text that chose last; from there on n that are not settled. */
	int pos, n;
	long before;            /* rows of the text that chose */
};

static size_t side_bytes(const struct layer *l, enum column_side which)
{
	return which == COLUMNS_IN ? l->mat[MAT_GATE]->bytes + l->mat[MAT_UP]->bytes :
				     l->mat[MAT_DOWN]->bytes;
}

int column_count(const struct layer *l, enum column_side which)
{
	return (int)l->mat[which == COLUMNS_IN ? MAT_GATE : MAT_DOWN]->dim[0];
}

size_t column_bytes(const struct layer *l, enum column_side which)
{
	return side_bytes(l, which) / (size_t)column_count(l, which);
}

/* Bytes that each matrix may have in the cache. */
static double share(const struct model *m, size_t bytes)
{
	size_t all = 0;

	for (int l = 0; l < m->cfg.n_layers; l++)
		all += side_bytes(&m->layer[l], COLUMNS_IN) +
		       side_bytes(&m->layer[l], COLUMNS_HIDDEN);
	return (bytes ? (double)bytes : (double)all / 2) / (3.0 * m->cfg.n_layers);
}

int column_slots(const struct model *m, const struct column_cache_opt *o, int layer,
		 enum column_side which)
{
	const struct layer *l = &m->layer[layer];
	double matrices = which == COLUMNS_IN ? 2 : 1, n = column_count(l, which);
	double slots = matrices * share(m, o->bytes) * n / (double)side_bytes(l, which);

	return slots < n ? (int)slots : (int)n;
}

static int side_open(struct column_cache *c, struct cached *s, const struct model *m, int layer,
		     enum column_side which, char err[ERR_MAX])
{
	int n = column_count(&m->layer[layer], which);
	int most = column_slots(m, &c->opt, layer, which);

	s->column = column_bytes(&m->layer[layer], which);
	if (slots_open(&s->text, n, most, c->opt.policy, err) != 0 ||
	    slots_open(&s->now, n, most, c->opt.policy, err) != 0)
		return -1;
	s->set = mem_new((size_t)c->rows * (size_t)slots_words(n), sizeof(*s->set), err);
	s->weight = mem_new((size_t)n, sizeof(*s->weight), err);
	return s->set && s->weight ? 0 : -1;
}

struct column_cache *column_cache_new(const struct model *m, const struct column_cache_opt *opt,
				      int rows, char err[ERR_MAX])
{
	struct column_cache *c = mem_new(1, sizeof(*c), err);

	if (!c)
		return NULL;
	c->opt = *opt;
	c->rows = rows;
	c->n_layers = m->cfg.n_layers;
	c->layer = mem_new((size_t)c->n_layers, sizeof(*c->layer), err);
	for (int i = 0; c->layer && i < COLUMN_SIDES * c->n_layers; i++) {
		int l = i / COLUMN_SIDES, side = i % COLUMN_SIDES;

		if (side_open(c, &c->layer[l][side], m, l, (enum column_side)side, err) != 0) {
			column_cache_free(c);
			return NULL;
		}
	}
	if (c->layer)
		return c;
	column_cache_free(c);
	return NULL;
}

void column_cache_free(struct column_cache *c)
{
	for (int i = 0; c && c->layer && i < COLUMN_SIDES * c->n_layers; i++) {
		struct cached *s = &c->layer[i / COLUMN_SIDES][i % COLUMN_SIDES];

		slots_close(&s->text);
		slots_close(&s->now);
		mem_free(s->set);
		mem_free(s->weight);
	}
	if (c)
		mem_free(c->layer);
	mem_free(c);
}

size_t column_cache_bytes(const struct column_cache *c)
{
	size_t bytes = 0;

	for (int i = 0; i < COLUMN_SIDES * c->n_layers; i++) {
		const struct cached *s = &c->layer[i / COLUMN_SIDES][i % COLUMN_SIDES];
		size_t n = (size_t)s->text.n, words = (size_t)slots_words(s->text.n);

		bytes += 2 * slots_bytes(&s->text) + n * sizeof(*s->weight) +
			 (size_t)c->rows * words * sizeof(*s->set);
	}
	return bytes;
}

int column_cache_rows(const struct column_cache *c)
{
	return c->rows;
}

static void forget(struct column_cache *c)
{
	for (int i = 0; i < COLUMN_SIDES * c->n_layers; i++)
		slots_clear(&c->layer[i / COLUMN_SIDES][i % COLUMN_SIDES].text);
	c->pos = c->n = 0;
	c->before = 0;
}

void column_cache_anew(struct column_cache *c)
{
	forget(c);
	for (int i = 0; i < COLUMN_SIDES * c->n_layers; i++) {
		struct cached *s = &c->layer[i / COLUMN_SIDES][i % COLUMN_SIDES];

		s->used = s->hits = s->rows = 0;
	}
}

/* The first `kept` of the n rows that this side saw are text. */
static void settle(struct cached *s, int kept, int n)
{
	struct slots other = s->text;
	size_t words = (size_t)slots_words(s->text.n);

	if (kept == n) {
		s->text = s->now;
		s->now = other;
		return;
	}
	for (int i = 0; i < kept && i < s->chosen; i++)
		slots_use(&s->text, s->set + (size_t)i * words);
}

void column_cache_pass(struct column_cache *c, int pos, int n)
{
	int kept = pos - c->pos < c->n ? pos - c->pos : c->n;

	if (pos < c->pos)
		forget(c);
	for (int i = 0; c->n && i < COLUMN_SIDES * c->n_layers; i++)
		settle(&c->layer[i / COLUMN_SIDES][i % COLUMN_SIDES], kept, c->n);
	if (c->n) {
		c->before += kept;
		c->pos += kept;
	}
	if (n)
		c->pos = pos;
	c->n = n;
	for (int i = 0; n && i < COLUMN_SIDES * c->n_layers; i++) {
		struct cached *s = &c->layer[i / COLUMN_SIDES][i % COLUMN_SIDES];

		slots_copy(&s->now, &s->text);
		s->chosen = 0;
	}
}

/* Row t of a text: from 1 to gamma, so that the first columns that come do not stay for being there
 * (as the authors' code has it, for those who ask). */
static float gamma_at(const struct column_choice *h, long t)
{
	return h->warm ? 1 - (1 - h->gamma) * (1 - powf(h->gamma, (float)t / 4)) : h->gamma;
}

void column_cache_choose(struct column_cache *c, const struct column_choice *h, int row, float *x)
{
	struct cached *s = &c->layer[h->layer][h->side];
	int n = s->now.n, words = slots_words(n);
	uint64_t *set = s->set + (size_t)row * (size_t)words;

	slots_weigh(&s->now, h->norm, gamma_at(h, c->before + row), s->weight);
	topk_keep(x, s->weight, n, h->k);
	memset(set, 0, sizeof(*set) * (size_t)words);
	for (int i = 0; i < n; i++)
		set[i / 64] |= (uint64_t)(x[i] != 0) << (i % 64);
	for (int i = 0; i < words; i++)
		s->used += __builtin_popcountll(set[i]);
	s->hits += slots_use(&s->now, set);
	s->rows++;
	s->chosen = row + 1;
	if (c->opt.seen)
		c->opt.seen(c->opt.ctx, h->layer, h->side, set, n);
}

struct column_counts column_cache_counts(const struct column_cache *c)
{
	struct column_counts sum = { .rows = 0 };

	for (int i = 0; i < COLUMN_SIDES * c->n_layers; i++) {
		const struct cached *s = &c->layer[i / COLUMN_SIDES][i % COLUMN_SIDES];

		sum.rows = s->rows > sum.rows ? s->rows : sum.rows;
		sum.used += s->used;
		sum.hits += s->hits;
		sum.fast += (size_t)s->hits * s->column;
		sum.slow += (size_t)(s->used - s->hits) * s->column;
	}
	return sum;
}
