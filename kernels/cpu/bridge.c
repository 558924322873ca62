/* bridge.c - see bridge.h.
 *
 * Every thread calls the functions that take t, each with its own.
 * Invariant: the share of a thread decides only who computes a number, never how. */
#include "kernels/cpu/bridge.h"
#include <string.h>

int kv_keep(struct kv *kv, const int *layer, int n, char err[ERR_MAX])
{
	const struct model_config *c = &kv->dev->model->cfg;
	struct kept kept = { .n = n };

	if (n < 1 || n > KEEP_LAYERS)
		return fail(err, "rows of %d layers to keep: a cache keeps those of 1 to %d", n,
			    KEEP_LAYERS);
	for (int i = 0; i < n; i++) {
		if (layer[i] < 0 || layer[i] >= c->n_layers)
			return fail(err, "rows of layer %d to keep: the model has %d layers",
				    layer[i], c->n_layers);
		kept.layer[i] = layer[i];
	}
	memset(kept.pos, -1, sizeof(kept.pos));
	kept.x = mem_new((size_t)(KEEP_ROWS * n) * (size_t)c->n_embd, sizeof(float), err);
	if (!kept.x)
		return -1;
	mem_free(kv->kept.x);
	kv->kept = kept;
	return 0;
}

size_t kept_bytes(const struct kv *kv)
{
	return (size_t)(KEEP_ROWS * kv->kept.n) * (size_t)kv->dev->model->cfg.n_embd *
	       sizeof(float);
}

/* Where the cache keeps what entered a layer at pos; NULL: nowhere. */
static float *kept_at(const struct kv *kv, int layer, int pos)
{
	const struct kept *k = &kv->kept;
	size_t row = (size_t)(pos % KEEP_ROWS * k->n), width = (size_t)kv->dev->model->cfg.n_embd;

	for (int i = 0; i < k->n; i++)
		if (k->layer[i] == layer)
			return k->x + (row + (size_t)i) * width;
	return NULL;
}

/* One thread does it: few rows, and what reads them is a pass further on. */
void keep_rows(const struct step *s, int t, int layer)
{
	size_t width = (size_t)s->d->model->cfg.n_embd;
	int first = s->b->lanes || s->n <= KEEP_ROWS ? 0 : s->n - KEEP_ROWS;

	if (t || s->b->plan)
		return;
	for (int i = first; i < s->n; i++) {
		struct lane lane = step_lane(s, i);
		float *to = kept_at(lane.kv, layer, lane.pos);

		if (!to)
			continue;
		memcpy(to, s->d->x + (size_t)i * width, width * sizeof(*to));
		lane.kv->kept.pos[lane.pos % KEEP_ROWS] = lane.pos;
	}
}

int bridge_check(const struct step *s)
{
	const struct bridge *g = step_bridge(s);
	const struct model_config *c = &s->d->model->cfg;

	if (s->b->lanes || s->b->n != 1)
		return fail(s->d->err, "a bridge for %d rows%s: it takes the one row of one text",
			    s->b->n, s->b->lanes ? " of several texts" : "");
	if (g->a < 0 || g->s <= g->a || g->s >= c->n_layers || g->k < 1 || g->k > BRIDGE_ROWS)
		return fail(s->d->err, "a bridge from layer %d to %d for %d rows: the model has %d "
			    "layers, and at most %d rows cross", g->a, g->s, g->k, c->n_layers,
			    BRIDGE_ROWS);
	for (int i = 0; g->group && i < g->n_groups; i++)
		if (g->group[i] < 0 || g->group[i] >= c->n_out / PEAK)
			return fail(s->d->err, "group %d of a draft vocabulary: the model has %d "
				    "whole groups of logits", g->group[i], c->n_out / PEAK);
	if (g->group && (g->n_groups < 1 || g->n_groups > c->n_out / PEAK))
		return fail(s->d->err, "a draft vocabulary of %d groups: the model has %d",
			    g->n_groups, c->n_out / PEAK);
	if (!kept_at(s->kv, g->s, 0) || !kept_at(s->kv, c->n_layers - 1, 0))
		return fail(s->d->err, "a bridge to layer %d: the cache does not keep what enters "
			    "layers %d and %d (kv_keep)", g->s, g->s, c->n_layers - 1);
	return 0;
}

size_t bridge_bytes(const struct dev *d, const struct bridge *g)
{
	int width = d->model->cfg.n_embd;

	return (size_t)g->k * (size_t)bridge_features(width) * (size_t)width * sizeof(*g->mat);
}

static void put_features(const struct step *s, float *f)
{
	const struct model_config *c = &s->d->model->cfg;
	const int fed[KEEP_LAYERS] = { step_bridge(s)->s, c->n_layers - 1 };
	size_t width = (size_t)c->n_embd;
	int before = s->b->pos - 1;
	bool kept = before >= 0 && s->kv->kept.pos[before % KEEP_ROWS] == before;

	memcpy(f, s->d->x, width * sizeof(*f));
	for (int i = 0; i < KEEP_LAYERS; i++) {
		f += width;
		if (kept)
			memcpy(f, kept_at(s->kv, fed[i], before), width * sizeof(*f));
		else
			memset(f, 0, width * sizeof(*f));
	}
	f[width] = 1;
}

void bridge_cross(struct step *s, int t)
{
	struct dev *d = s->d;
	const struct bridge *g = step_bridge(s);
	int features = bridge_features(d->model->cfg.n_embd), from, to;
	size_t width = (size_t)d->model->cfg.n_embd, at;
	float *f = d->own[t].room;      /* FEW_ROWS rows, more than the features are */

	put_features(s, f);
	pool_sync(d->pool);             /* all have read the row that is overwritten now */
	pool_share(d->pool, t, (int)width / UNIT, &from, &to);
	at = (size_t)from * UNIT;
	for (int o = 0; o < g->k; o++) {
		float *y = d->x + (size_t)o * width + at;
		const uint16_t *w = g->mat + (size_t)o * (size_t)features * width + at;

		memset(y, 0, (size_t)(to - from) * UNIT * sizeof(*y));
		for (int i = 0; i < features; i++)
			d->k->add_halves(y, f[i], w + (size_t)i * width, (to - from) * UNIT);
	}
	s->n = g->k;
}

void bridge_output(struct dev *d, int t, const struct act *a, int n_out, const struct bridge *g)
{
	struct mat one = d->output;     /* one unit of it */
	size_t each = one.packed ? one.unit_bytes :
		      UNIT * quant_bytes(quant_info(one.type), one.cols);
	int n = g->n_groups * UNIT, ld = n + g->n_groups, from, to;

	one.rows = UNIT;
	pool_share(d->pool, t, g->n_groups, &from, &to);
	for (int i = from; i < to; i++) {
		one.data = d->output.data + (size_t)g->group[i] * each;
		one.mul(&one, 0, 1, a, n_out, d->logits + i * UNIT, ld);
		for (int j = 0; j < n_out; j++) {
			float *row = d->logits + (size_t)j * (size_t)ld;

			d->k->peaks(row + i * UNIT, UNIT, row + n + i);
		}
	}
}
