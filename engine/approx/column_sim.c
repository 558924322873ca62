/* column_sim.c - see column_sim.h. */
#include "engine/approx/column_sim.h"
#include "kernels/topk.h"
#include <string.h>

double column_total(const struct model *m)
{
	double sum = 0;

	for (int i = 0; i < COLUMN_SIDES * m->cfg.n_layers; i++) {
		const struct layer *l = &m->layer[i / COLUMN_SIDES];
		enum column_side side = (enum column_side)(i % COLUMN_SIDES);

		sum += (double)column_count(l, side) * (double)column_bytes(l, side);
	}
	return sum;
}

int column_trace_open(struct column_trace *t, const struct model *m, int most, char err[ERR_MAX])
{
	*t = (struct column_trace){ .model = m, .most = most };
	t->layer = mem_new((size_t)m->cfg.n_layers, sizeof(*t->layer), err);
	for (int i = 0; t->layer && i < COLUMN_SIDES * m->cfg.n_layers; i++) {
		int l = i / COLUMN_SIDES, side = i % COLUMN_SIDES;
		struct trace_side *s = &t->layer[l][side];

		s->n = column_count(&m->layer[l], (enum column_side)side);
		s->set = mem_new((size_t)most * (size_t)slots_words(s->n), sizeof(*s->set), err);
		if (!s->set) {
			column_trace_close(t);
			return -1;
		}
	}
	return t->layer ? 0 : -1;
}

void column_trace_close(struct column_trace *t)
{
	for (int i = 0; t->layer && i < COLUMN_SIDES * t->model->cfg.n_layers; i++)
		mem_free(t->layer[i / COLUMN_SIDES][i % COLUMN_SIDES].set);
	mem_free(t->layer);
	t->layer = NULL;
}

void column_trace_clear(struct column_trace *t)
{
	for (int i = 0; i < COLUMN_SIDES * t->model->cfg.n_layers; i++)
		t->layer[i / COLUMN_SIDES][i % COLUMN_SIDES].rows = 0;
}

static uint64_t *row_of(const struct trace_side *s, int row)
{
	return s->set + (size_t)row * (size_t)slots_words(s->n);
}

void column_trace_seen(void *trace, int layer, enum column_side side, const uint64_t *set, int n)
{
	const struct column_trace *t = trace;
	struct trace_side *s = &t->layer[layer][side];

	if (s->rows < t->most)
		memcpy(row_of(s, s->rows++), set, (size_t)slots_words(n) * sizeof(*set));
}

/* By the slots themselves. */
static long hits_by_slots(const struct trace_side *s, int slots, enum slot_policy policy,
			  char err[ERR_MAX])
{
	struct slots cache;
	long hits = 0;

	if (slots_open(&cache, s->n, slots, policy, err) != 0)
		return -1;
	for (int t = 0; t < s->rows; t++)
		hits += slots_use(&cache, row_of(s, t));
	slots_close(&cache);
	return hits;
}

/* next[t][i]: the row behind t that reads column i next; s->rows: none does. */
static int *all_next(const struct trace_side *s, char err[ERR_MAX])
{
	size_t n = (size_t)s->n;
	int *next = mem_new((size_t)s->rows * n + 1, sizeof(*next), err);

	for (int t = s->rows - 1; next && t >= 0; t--)
		for (int i = 0; i < s->n; i++)
			next[(size_t)t * n + (size_t)i] =
				t == s->rows - 1 ? s->rows :
				slots_has(row_of(s, t + 1), i) ? t + 1 :
				next[(size_t)(t + 1) * n + (size_t)i];
	return next;
}

/* A row is a set, so what it reads need not go in: of these and of what is there those stay whose
 * next reader comes first.  Each stay until then is one hit, and no more than `slots` of them can
 * overlap; to drop the one that would end last is the most that fits. */
static long hits_by_belady(const struct trace_side *s, int slots, char err[ERR_MAX])
{
	int *next = all_next(s, err);
	float *rank = next ? mem_new((size_t)s->n, sizeof(*rank), err) : NULL;
	long hits = rank ? 0 : -1;

	for (int t = 0; rank && slots && t < s->rows; t++) {
		const int *at = next + (size_t)t * (size_t)s->n;

		for (int i = 0; i < s->n; i++) {
			bool reads = slots_has(row_of(s, t), i), there = rank[i] > 0;

			hits += reads && there;
			rank[i] = reads || there ? (float)(s->rows - at[i]) : 0;
		}
		topk_keep(rank, NULL, s->n, slots);
	}
	mem_free(rank);
	mem_free(next);
	return hits;
}

long column_sim_hits(const struct trace_side *s, int slots, enum sim_policy policy,
		     char err[ERR_MAX])
{
	switch (policy) {
	case SIM_NONE:
		return 0;
	case SIM_LRU:
	case SIM_LFU:
		return hits_by_slots(s, slots, policy == SIM_LRU ? SLOTS_LRU : SLOTS_LFU, err);
	default:
		return hits_by_belady(s, slots, err);
	}
}

static int add_side(const struct column_trace *t, int layer, enum column_side side, int slots,
		    enum sim_policy policy, struct column_counts *sum, char err[ERR_MAX])
{
	const struct trace_side *s = &t->layer[layer][side];
	size_t column = column_bytes(&t->model->layer[layer], side);
	long hits = column_sim_hits(s, slots, policy, err), used = 0;

	if (hits < 0)
		return -1;
	for (int row = 0; row < s->rows; row++)
		for (int i = 0; i < slots_words(s->n); i++)
			used += __builtin_popcountll(row_of(s, row)[i]);
	sum->used += used;
	sum->hits += hits;
	sum->fast += (size_t)hits * column;
	sum->slow += (size_t)(used - hits) * column;
	return 0;
}

int column_sim(const struct column_trace *t, size_t bytes, enum sim_policy policy,
	       struct column_counts *sum, char err[ERR_MAX])
{
	struct column_cache_opt o = { .bytes = bytes };
	int rows = 0;

	for (int i = 0; i < COLUMN_SIDES * t->model->cfg.n_layers; i++) {
		int l = i / COLUMN_SIDES, side = i % COLUMN_SIDES;
		int slots = column_slots(t->model, &o, l, (enum column_side)side);

		rows = t->layer[l][side].rows > rows ? t->layer[l][side].rows : rows;
		if (add_side(t, l, (enum column_side)side, slots, policy, sum, err) != 0)
			return -1;
	}
	sum->rows += rows;
	return 0;
}

double column_sim_speed(const struct column_counts *c, double fixed, double fast, double slow)
{
	double rows = (double)c->rows;

	return 1 / ((fixed + (double)c->fast / rows) / fast + (double)c->slow / rows / slow);
}
