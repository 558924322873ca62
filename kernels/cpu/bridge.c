/* bridge.c - see bridge.h.
 *
 * Every thread calls the functions that take t, each with its own.
 * Invariant: the share of a thread decides only who computes a number, never how. */
#include "kernels/cpu/bridge.h"
#include "kernels/cpu/load.h"
#include <string.h>

int kv_keep(struct kv *kv, const int *layer, int n, char err[ERR_MAX])
{
	const struct model_config *c = &kv->dev->model->cfg;
	struct kept kept;

	if (keep_fits(c, layer, n, err) != 0)
		return -1;
	memset(kept.pos, -1, sizeof(kept.pos));
	kept.x = mem_new((size_t)(KEEP_ROWS * n) * (size_t)c->n_embd, sizeof(float), err);
	if (!kept.x)
		return -1;
	mem_free(kv->kept.x);
	kv->kept = kept;
	kv->head.n_kept = n;
	memcpy(kv->head.kept_layer, layer, sizeof(*layer) * (size_t)n);
	return 0;
}

size_t kept_bytes(const struct kv *kv)
{
	return (size_t)(KEEP_ROWS * kv->head.n_kept) * (size_t)kv->dev->model->cfg.n_embd *
	       sizeof(float);
}

/* Where the cache keeps what entered the i-th of its layers at pos. */
static float *kept_at(const struct kv *kv, int i, int pos)
{
	size_t row = (size_t)(pos % KEEP_ROWS * kv->head.n_kept + i);

	return kv->kept.x + row * (size_t)kv->dev->model->cfg.n_embd;
}

/* One thread does it: few rows, and what reads them is a pass further on. */
void keep_rows(const struct step *s, int t, const struct op *op)
{
	size_t width = (size_t)s->d->model->cfg.n_embd;
	int first = s->b->lanes || s->n <= KEEP_ROWS ? 0 : s->n - KEEP_ROWS;

	if (t || op->keep_from == op->keep_to)
		return;
	for (int i = first; i < s->n; i++) {
		struct lane lane = step_lane(s, i);

		for (int k = 0; k < lane.kv->head.n_kept; k++) {
			int layer = lane.kv->head.kept_layer[k];

			if (layer < op->keep_from || layer >= op->keep_to)
				continue;
			memcpy(kept_at(lane.kv, k, lane.pos), s->d->x + (size_t)i * width,
			       width * sizeof(float));
			lane.kv->kept.pos[lane.pos % KEEP_ROWS] = lane.pos;
		}
	}
}

static void bridge_close(struct dev *d)
{
	struct crossing *x = &d->cross;

	for (int t = 0; x->low && t < d->n_threads; t++)
		act_close(&x->low[t]);
	act_close(&x->features);
	mem_free(x->low);
	mem_free(x->up);
	mem_free(x->adapt);
	mem_free(x->arena);
	*x = (struct crossing){ .b = NULL };
}

static size_t all_packed(const struct dev *d, const struct bridge *g)
{
	size_t sum = mat_packed(d, g->weight, BY_UNITS);

	for (int l = g->s; g->adapt && l < d->model->cfg.n_layers; l++)
		for (int i = 0; i < ADAPTS; i++)
			if (g->adapt[l][i].down)
				sum += mat_packed(d, g->adapt[l][i].down, BY_UNITS) +
				       mat_packed(d, g->adapt[l][i].up, BY_UNITS);
	return sum;
}

/* Bytes of the output rows that the draft vocabulary copies. */
static size_t vocab_bytes(const struct dev *d, const struct bridge *g)
{
	struct gguf_tensor t = *d->model->output;

	t.dim[1] = g->n_vocab;
	t.bytes = t.bytes / (size_t)d->model->output->dim[1] * (size_t)g->n_vocab;
	return !g->vocab ? 0 : mat_packs(d, &t) ? mat_packed(d, &t, BY_UNITS) : t.bytes;
}

enum { DROP_EACH = 4 * UNIT };

/* In the file's layout, where it is packed through rows of one unit. */
static int load_vocab(struct dev *d, const struct bridge *g, uint8_t *at, char err[ERR_MAX])
{
	const struct gguf_tensor *t = d->model->output;
	struct mat *m = &d->cross.output;
	size_t each = t->bytes / (size_t)t->dim[1];
	uint8_t *rows = mem_new(UNIT, each, err);

	if (!rows)
		return -1;
	*m = d->output;
	m->rows = g->n_vocab;
	m->data = at;
	for (int i = 0; i < g->n_vocab; i += UNIT) {
		uint8_t *to = m->packed ? rows : at + (size_t)i * each;

		for (int j = 0; j < UNIT; j++)
			memcpy(to + (size_t)j * each, (const uint8_t *)t->data +
			       (size_t)g->vocab[i + j] * each, each);
		if (m->packed)
			pack_unit(t->type, rows, UNIT, m->cols, 0,
				  at + (size_t)(i / UNIT) * m->unit_bytes);
		if (i % DROP_EACH == 0)         /* with them come the pages around them */
			gguf_drop(d->model->file, t->data, t->bytes);
	}
	gguf_drop(d->model->file, t->data, t->bytes);
	mem_free(rows);
	return 0;
}

static int load_all(struct dev *d, const struct bridge *g, char err[ERR_MAX])
{
	struct crossing *x = &d->cross;
	uint8_t *at = x->arena;

	mat_load(d, &x->weight, g->weight, NULL, BY_UNITS, &at);
	for (int l = g->s; g->adapt && l < d->model->cfg.n_layers; l++)
		for (int i = 0; i < ADAPTS; i++) {
			const struct adapter *a = &g->adapt[l][i];

			if (!a->down)
				continue;
			mat_load(d, &x->adapt[l][i].down, a->down, NULL, BY_UNITS, &at);
			mat_load(d, &x->adapt[l][i].up, a->up, NULL, BY_UNITS, &at);
		}
	return g->vocab ? load_vocab(d, g, at, err) : 0;
}

static int open_adapters(struct dev *d, const struct bridge *g, char err[ERR_MAX])
{
	struct crossing *x = &d->cross;
	int widest = adapt_widest(&d->model->cfg);

	x->adapt = mem_new((size_t)d->model->cfg.n_layers, sizeof(*x->adapt), err);
	x->low = x->adapt ? mem_new((size_t)d->n_threads, sizeof(*x->low), err) : NULL;
	x->up = x->low ? mem_new((size_t)(BRIDGE_ROWS * widest), sizeof(float), err) : NULL;
	if (!x->up)
		return -1;
	x->work += (size_t)(BRIDGE_ROWS * widest) * sizeof(float);
	for (int t = 0; t < d->n_threads; t++)
		if (act_open(&x->low[t], BRIDGE_ROWS, g->rank, true, &x->work, err) != 0)
			return -1;
	return 0;
}

int bridge_open(struct dev *d, const struct bridge *g, char err[ERR_MAX])
{
	struct crossing *x = &d->cross;

	bridge_close(d);
	if (!g)
		return 0;
	if (bridge_fits(&d->model->cfg, g, err) != 0)
		return -1;
	x->weights = all_packed(d, g) + vocab_bytes(d, g);
	x->arena = mem_new(x->weights + ARENA_PAST, 1, err);
	if (!x->arena || act_open(&x->features, 1, BRIDGE_PARTS * d->model->cfg.n_embd, true,
				  &x->work, err) != 0 ||
	    (g->adapt && open_adapters(d, g, err) != 0) || load_all(d, g, err) != 0) {
		bridge_close(d);
		return -1;
	}
	x->b = g;
	return 0;
}

static void put_features(const struct step *s, float *f)
{
	const struct model_config *c = &s->d->model->cfg;
	size_t width = (size_t)c->n_embd;
	int before = s->b->pos - 1, fed[KEEP_LAYERS];
	bool kept = before >= 0 && s->kv->kept.pos[before % KEEP_ROWS] == before;

	bridge_fed(s->b->run->bridge, c, fed);
	memcpy(f, s->d->x, width * sizeof(*f));
	for (int i = 0; i < KEEP_LAYERS; i++) {
		int which = kv_kept(&s->kv->head, fed[i]);

		f += width;
		if (kept)
			memcpy(f, kept_at(s->kv, which, before), width * sizeof(*f));
		else
			memset(f, 0, width * sizeof(*f));
	}
}

void bridge_cross(struct step *s, int t)
{
	struct dev *d = s->d;
	struct act *f = &d->cross.features;
	int width = d->model->cfg.n_embd, from, to;

	if (!t) {
		put_features(s, f->room);
		f->f = f->room;
		if (d->cross.weight.takes & ACT_INT8)
			d->k->quantise(f, 0, 0, f->k / BLOCK);
	}
	pool_sync(d->pool);             /* the row that was read is overwritten now */
	step_rows(s, s->b->n_out);
	pool_share(d->pool, t, s->n * width / UNIT, &from, &to);
	d->cross.weight.mul(&d->cross.weight, from, to, f, 1, d->x, 0);
	d->k->add(d->x + from * UNIT, (const float *)s->b->run->bridge->bias->data + from * UNIT,
		  1, (to - from) * UNIT);
}

/* Units u0..u1-1 of what comes out, which begin behind skip units, added to y. */
static void add_up(const struct step *s, const struct mat *up, const struct act *low, int skip,
		   int u0, int u1, float *y, int ldy)
{
	const struct dev *d = s->d;
	size_t at = (size_t)(u0 * UNIT), from = at + (size_t)(skip * UNIT);

	up->mul(up, skip + u0, skip + u1, low, s->n, d->cross.up, up->rows);
	for (int i = 0; i < s->n; i++)
		d->k->add(y + (size_t)i * (size_t)ldy + at,
			  d->cross.up + (size_t)i * (size_t)up->rows + from, 1,
			  (u1 - u0) * UNIT);
}

/* Every thread makes the few rows of low rank for itself. */
void adapt(const struct step *s, int t, const struct op *op, int i, enum adapt which,
	   const struct act *x)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	const struct cpu_adapter *a = adapter_of(d, op, op->layer + i, which);
	struct act *low;
	int half = c->n_ff / UNIT, units, from, to;

	if (!a)
		return;
	low = &d->cross.low[t];
	low->f = low->room;
	a->down.mul(&a->down, 0, a->down.rows / UNIT, x, s->n, low->room, low->k);
	for (int row = 0; a->up.takes & ACT_INT8 && row < s->n; row++)
		d->k->quantise(low, row, 0, low->k / BLOCK);
	units = a->up.rows / UNIT;
	pool_share(d->pool, t, which == ADAPT_GATE_UP ? half / 2 : units, &from, &to);
	if (which == ADAPT_GATE_UP) {
		add_up(s, &a->up, low, 0, 2 * from, 2 * to, step_at(s, d->gate, i, c->n_ff),
		       c->n_ff);
		add_up(s, &a->up, low, half, 2 * from, 2 * to, step_at(s, d->up, i, c->n_ff),
		       c->n_ff);
	} else if (which == ADAPT_QKV) {
		add_up(s, &a->up, low, 0, from, to, step_at(s, d->qkv, i, d->ld_qkv), d->ld_qkv);
	} else {
		add_up(s, &a->up, low, 0, from, to, step_at(s, d->tmp, i, c->n_embd), c->n_embd);
	}
}
