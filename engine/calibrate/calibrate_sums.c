/* calibrate_sums.c - sums over residual rows, and the bridges that they determine.
 *
 * All bridges share one sum of products of features: the rows that enter the layers a, s and the
 * last one, and 1.  What is foretold, k rows at each s, is summed with the features of its own.
 * A lane keeps its last k+1 rows at all these sites, for a position's features are of it and the
 * one before, and what it foretells comes up to k-1 behind it.
 * Invariant: a position counts once, when its last row has come. */
#include "engine/calibrate/calibrate_parts.h"
#include "engine/calibrate/product.h"
#include "engine/calibrate/ridge.h"
#include <string.h>

enum { BLOCK = 256, PAST = BRIDGE_ROWS + 1 };

struct sums {
	struct shape at;
	int sites, site[SITES_MOST];    /* layers: all a, all s, the last one */
	int threads, n_batch, waiting;
	long rows;
	double seconds;
	float *seen;            /* (sites, n_batch, width) of the last pass */
	float *past;            /* (lanes, PAST, sites, width), a ring */
	long *had;              /* (lanes) rows since the text began */
	int columns;            /* of all features, whole panels */
	double *f, *g;          /* packed rows that wait; (columns, columns) */
	double *y, *r[4];       /* for each s: packed rows that wait; (own features, k * width) */
};

static size_t own_features(const struct shape *at)
{
	return (size_t)((at->n_a + 2) * at->width + PRODUCT_WIDE);
}

static int all_columns(const struct shape *at)
{
	return (at->n_a + at->n_s + 1) * at->width + PRODUCT_WIDE;
}

static size_t y_size(const struct shape *at)
{
	return (size_t)BLOCK * (size_t)(at->k * at->width);
}

size_t sums_bytes(const struct shape *at, int lanes)
{
	size_t columns = (size_t)all_columns(at), width = (size_t)at->width;
	size_t sites = (size_t)(at->n_a + at->n_s + 1), n_s = (size_t)at->n_s;
	size_t doubles = columns * (columns + BLOCK) +
			 n_s * (own_features(at) * (size_t)at->k * width + y_size(at));

	return doubles * sizeof(double) +
	       sites * width * ((size_t)lanes * PAST + CALIBRATE_BATCH) * sizeof(float);
}

static int bridge_columns(const struct shape *at)
{
	return BRIDGE_PARTS * at->width + 1;
}

static size_t solve_columns(const struct shape *at)
{
	return (size_t)(BRIDGE_PARTS * at->width + PRODUCT_WIDE);
}

static size_t weight_bytes(const struct shape *at)
{
	return (size_t)(at->k * at->width) * (size_t)(BRIDGE_PARTS * at->width) / 32 * 34;
}

size_t sums_room(const struct shape *at)
{
	size_t n = solve_columns(at), width = (size_t)at->width;

	return n * (n + width) * sizeof(double) + ridge_room((int)n, at->width) +
	       weight_bytes(at) * (size_t)(at->n_a * at->n_s);
}

static bool open_all(struct sums *s, int lanes, char err[ERR_MAX])
{
	size_t width = (size_t)s->at.width, sites = (size_t)s->sites, n = (size_t)s->columns;
	bool there;

	s->seen = mem_new(sites * (size_t)s->n_batch * width, sizeof(float), err);
	s->past = mem_new((size_t)lanes * PAST * sites * width, sizeof(float), err);
	s->had = mem_new((size_t)lanes, sizeof(*s->had), err);
	s->f = mem_new(n * BLOCK, sizeof(double), err);
	s->g = mem_new(n * n, sizeof(double), err);
	s->y = mem_new((size_t)s->at.n_s * y_size(&s->at), sizeof(double), err);
	there = s->seen && s->past && s->had && s->f && s->g && s->y;
	for (int i = 0; there && i < s->at.n_s; i++) {
		s->r[i] = mem_new(own_features(&s->at) * (size_t)s->at.k * width, sizeof(double),
				  err);
		there = s->r[i] != NULL;
	}
	return there;
}

struct sums *sums_open(const struct shape *at, int lanes, int n_batch, int n_threads,
		       char err[ERR_MAX])
{
	struct sums *s = mem_new(1, sizeof(*s), err);

	if (!s)
		return NULL;
	s->at = *at;
	for (int i = 0; i < at->n_a; i++)
		s->site[s->sites++] = at->a[i];
	for (int i = 0; i < at->n_s; i++)
		s->site[s->sites++] = at->s[i];
	s->site[s->sites++] = at->n_layers - 1;
	s->columns = all_columns(at);
	s->n_batch = n_batch;
	s->threads = n_threads;
	if (open_all(s, lanes, err))
		return s;
	sums_close(s);
	return NULL;
}

void sums_close(struct sums *s)
{
	if (!s)
		return;
	mem_free(s->seen);
	mem_free(s->past);
	mem_free(s->had);
	mem_free(s->f);
	mem_free(s->g);
	mem_free(s->y);
	for (int i = 0; i < s->at.n_s; i++)
		mem_free(s->r[i]);
	mem_free(s);
}

void sums_watch(void *sums, const char *stage, int layer, const float *rows, int n, int width)
{
	struct sums *s = sums;
	size_t each = (size_t)s->n_batch * (size_t)s->at.width;

	if (width != s->at.width || (layer >= 0 && strcmp(stage, "down") != 0))
		return;
	for (int i = 0; i < s->sites; i++)
		if (s->site[i] == layer + 1)
			memcpy(s->seen + (size_t)i * each, rows,
			       sizeof(*rows) * (size_t)n * (size_t)width);
}

void sums_begin(struct sums *s, int lane)
{
	s->had[lane] = 0;
}

/* The panels that features of all a, of the i-th s and of the last layer have, and where they go
 * among those of that s. */
static void add_foretold(struct sums *s, int i)
{
	const struct shape *at = &s->at;
	int each = at->width / PRODUCT_WIDE, n_a = at->n_a;
	const int from[] = { 0, n_a + i, n_a + at->n_s }, to[] = { 0, n_a, n_a + 1 };
	const int many[] = { n_a * each, each, each + 1 };
	struct product p = {
		.b = s->y + (size_t)i * y_size(at), .b_panels = at->k * each, .rows = BLOCK,
		.ld = (size_t)(at->k * at->width),
	};

	for (int j = 0; j < 3; j++) {
		p.a = s->f + (size_t)(from[j] * at->width) * BLOCK;
		p.a_panels = many[j];
		p.c = s->r[i] + (size_t)(to[j] * at->width) * p.ld;
		product_run(&p, s->threads);
	}
}

/* Rows that wait go into the sums; zeros stand for those that a block lacks. */
static void add_block(struct sums *s)
{
	struct product p = {
		.a = s->f, .b = s->f, .a_panels = s->columns / PRODUCT_WIDE,
		.b_panels = s->columns / PRODUCT_WIDE, .rows = BLOCK, .upper = true, .c = s->g,
		.ld = (size_t)s->columns,
	};
	double start = clock_now();

	if (!s->waiting)
		return;
	product_run(&p, s->threads);
	for (int i = 0; i < s->at.n_s; i++)
		add_foretold(s, i);
	memset(s->f, 0, sizeof(double) * BLOCK * (size_t)s->columns);
	memset(s->y, 0, sizeof(double) * y_size(&s->at) * (size_t)s->at.n_s);
	s->waiting = 0;
	s->seconds += clock_now() - start;
}

static float *past_at(const struct sums *s, int lane, long row, int site)
{
	size_t at = ((size_t)lane * PAST + (size_t)(row % PAST)) * (size_t)s->sites + (size_t)site;

	return s->past + at * (size_t)s->at.width;
}

/* The position whose last row is `row`. */
static void add_position(struct sums *s, int lane, long row)
{
	const struct shape *at = &s->at;
	const float one = 1;
	long n = row - (at->k - 1);
	int w = at->width, to = 0;

	for (int i = 0; i < s->sites; i++, to += w)
		product_put(s->f, BLOCK, s->waiting, to,
			    past_at(s, lane, i < at->n_a ? n : n - 1, i), w);
	product_put(s->f, BLOCK, s->waiting, to, &one, 1);
	for (int i = 0; i < at->n_s; i++)
		for (int o = 0; o < at->k; o++)
			product_put(s->y + (size_t)i * y_size(at), BLOCK, s->waiting, o * w,
				    past_at(s, lane, n + o, at->n_a + i), w);
	s->rows++;
	if (++s->waiting == BLOCK)
		add_block(s);
}

void sums_pass(struct sums *s, int n, const int *lane)
{
	size_t width = (size_t)s->at.width;

	for (int i = 0; i < n; i++) {
		long row;

		if (lane[i] < 0)
			continue;
		row = s->had[lane[i]]++;
		for (int j = 0; j < s->sites; j++)
			memcpy(past_at(s, lane[i], row, j),
			       s->seen + ((size_t)j * (size_t)s->n_batch + (size_t)i) * width,
			       width * sizeof(float));
		if (row > s->at.k)      /* a text's first row is like no other */
			add_position(s, lane[i], row);
	}
}

long sums_rows(const struct sums *s)
{
	return s->rows;
}

double sums_seconds(const struct sums *s)
{
	return s->seconds;
}

/* The upper triangle of what one bridge needs of G; parts, the sites of its features, ascend. */
static void pick_g(const struct sums *s, const int part[BRIDGE_PARTS], double *g, size_t n)
{
	size_t w = (size_t)s->at.width, ld = (size_t)s->columns;

	for (size_t i = 0; i < n; i++)
		for (size_t j = i; j < n; j++) {
			size_t p = i / w < BRIDGE_PARTS ? i / w : BRIDGE_PARTS - 1;
			size_t q = j / w < BRIDGE_PARTS ? j / w : BRIDGE_PARTS - 1;
			size_t row = (size_t)part[p] * w + (i - p * w);
			size_t column = (size_t)part[q] * w + (j - q * w);

			g[i * n + j] = s->g[row * ld + column];
		}
}

/* What row o of the bridge from the a-th to the s-th layer has in R. */
static void pick_r(const struct sums *x, int a, int s, int o, double *r, size_t n)
{
	size_t w = (size_t)x->at.width, ld = (size_t)x->at.k * w;

	for (size_t i = 0; i < n; i++) {
		size_t row = i < w ? (size_t)a * w + i : (size_t)(x->at.n_a - 1) * w + i;

		memcpy(r + i * w, x->r[s] + row * ld + (size_t)o * w, w * sizeof(*r));
	}
}

/* Row o: element j is column j of B. */
static void keep_row(const struct sums *x, int o, const double *b, float *line, struct built *out)
{
	int w = x->at.width, in = BRIDGE_PARTS * w;
	char *weight = (char *)out->weight.data;
	float *bias = (float *)out->bias.data + (size_t)o * (size_t)w;

	for (int j = 0; j < w; j++) {
		for (int i = 0; i < in; i++)
			line[i] = (float)b[(size_t)i * (size_t)w + (size_t)j];
		sidecar_q8(line, weight + (size_t)(o * w + j) * (size_t)(in / 32 * 34), in);
		bias[j] = (float)b[(size_t)in * (size_t)w + (size_t)j];
	}
}

static int built_open(const struct sums *x, int a, int s, struct built *out, char err[ERR_MAX])
{
	const struct shape *at = &x->at;
	int64_t rows = at->k * at->width, in = BRIDGE_PARTS * at->width;

	*out = (struct built){
		.g = { .a = at->a[a], .s = at->s[s], .k = at->k },
		.weight = { .type = QUANT_Q8_0, .n_dims = 2, .dim = { in, rows, 1, 1 },
			    .data = mem_new(weight_bytes(at), 1, err), .bytes = weight_bytes(at) },
		.bias = { .type = QUANT_F32, .n_dims = 1, .dim = { rows, 1, 1, 1 },
			  .data = mem_new((size_t)rows, sizeof(float), err),
			  .bytes = (size_t)rows * sizeof(float) },
	};
	out->g.weight = &out->weight;
	out->g.bias = &out->bias;
	return out->weight.data && out->bias.data ? 0 : -1;
}

void built_free(struct built *b)
{
	mem_free((void *)b->weight.data);
	mem_free((void *)b->bias.data);
	b->weight.data = b->bias.data = NULL;
}

int sums_solve(struct sums *x, int a, int s, struct built *out, double *all, char err[ERR_MAX])
{
	const int part[] = { a, x->at.n_a + s, x->sites - 1 };
	size_t n = solve_columns(&x->at), w = (size_t)x->at.width;
	int in = bridge_columns(&x->at), rc = -1;
	double *g = mem_new(n * n, sizeof(*g), err), *r = mem_new(n * w, sizeof(*r), err);
	float *line = mem_new(n, sizeof(*line), err);

	add_block(x);
	if (g && r && line && built_open(x, a, s, out, err) == 0) {
		pick_g(x, part, g, n);
		rc = ridge_factor(in, 1e-3, g, n, err);
	}
	for (int o = 0; rc == 0 && o < x->at.k; o++) {
		pick_r(x, a, s, o, r, n);
		rc = ridge_solve(in, x->at.width, g, n, r, x->threads, err);
		if (rc == 0)
			keep_row(x, o, r, line, out);
		if (rc == 0 && all)
			memcpy(all + (size_t)o * (size_t)in * w, r, (size_t)in * w * sizeof(*r));
	}
	mem_free(g);
	mem_free(r);
	mem_free(line);
	return rc;
}
