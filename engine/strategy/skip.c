/* skip.c - see skip.h.  Sub-layers that a search may leave out are numbered 0, 1, ...: attention
 * and MLP of layer 1, of layer 2, and so on up to the last but one. */
#include "engine/strategy/skip.h"
#include "engine/strategy/strategy.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SWIFT's share of sub-layers to leave out. */
static const double RATIO = 0.45;
enum { SWAPS = 3, ANEW = 10 };

static void set(uint64_t *bits, int layer)
{
	bits[layer / 64] |= (uint64_t)1 << (layer % 64);
}

static bool has(const struct plan *p, int i)
{
	return plan_has(i % 2 ? p->skip_mlp : p->skip_attn, 1 + i / 2);
}

static void flip(struct plan *p, int i)
{
	uint64_t *bits = i % 2 ? p->skip_mlp : p->skip_attn;

	bits[(1 + i / 2) / 64] ^= (uint64_t)1 << ((1 + i / 2) % 64);
}

/* A number at *s, which moves behind it; -1: none. */
static int number(const char **s)
{
	char *end;
	long n;

	if (**s < '0' || **s > '9')
		return -1;
	n = strtol(*s, &end, 10);
	*s = end;
	return n < INT_MAX ? (int)n : INT_MAX;
}

static int no_layer(const char *spec, int layer, int n_layers, char err[ERR_MAX])
{
	return fail(err, "--self-skip %s: there is no layer %d, of %d counted from 0", spec, layer,
		    n_layers);
}

static int parse_range(const char *spec, int n_layers, struct plan *p, char err[ERR_MAX])
{
	const char *s = spec;
	int from = *s == ':' ? 0 : number(&s), to;

	if (from < 0 || *s++ != ':')
		return 1;
	to = *s ? number(&s) : n_layers;
	if (to < 0 || *s)
		return 1;
	if (to > n_layers)
		return no_layer(spec, to - 1, n_layers, err);
	if (from > to)
		return fail(err, "--self-skip %s: it ends before it begins", spec);
	for (int l = from; l < to; l++) {
		set(p->skip_attn, l);
		set(p->skip_mlp, l);
	}
	return 0;
}

static int parse_list(const char *spec, int n_layers, struct plan *p, char err[ERR_MAX])
{
	for (const char *s = spec;; s++) {
		char what = *s;
		int layer;

		if ((what != 'a' && what != 'm') || (s++, layer = number(&s)) < 0 ||
		    (*s && *s != ','))
			return 1;
		if (layer >= n_layers)
			return no_layer(spec, layer, n_layers, err);
		set(what == 'a' ? p->skip_attn : p->skip_mlp, layer);
		if (!*s)
			return 0;
	}
}

/* SWIFT's: every second layer; but where that is more than the ratio, the first MLPs stay. */
static void start(struct plan *p, int n_layers)
{
	int n = 2 * (n_layers - 2), most = (int)(RATIO * n + 0.5);

	for (int l = 1; l < n_layers - 1; l += 2) {
		set(p->skip_attn, l);
		set(p->skip_mlp, l);
	}
	for (int i = 1; i < n && skip_count(p, n_layers) > most; i += 2)
		if (has(p, i))
			flip(p, i);
}

int skip_parse(const char *spec, int n_layers, struct plan *plan, char err[ERR_MAX])
{
	struct plan p = { .bridge = NULL };
	int rc;

	if (!spec || !strcmp(spec, "auto")) {
		start(&p, n_layers);
		rc = 0;
	} else {
		rc = strchr(spec, ':') ? parse_range(spec, n_layers, &p, err) :
					 parse_list(spec, n_layers, &p, err);
	}
	if (rc > 0)
		fail(err, "--self-skip '%s' is neither LO:HI (layers LO to HI-1), nor a list such "
		     "as a3,m3,a7 (attention and MLP of layers), nor auto", spec);
	else if (rc == 0 && plan)
		*plan = p;
	return rc ? -1 : 0;
}

int skip_open(struct skip *k, const char *spec, const struct model *m, char err[ERR_MAX])
{
	struct plan all = { .bridge = NULL };
	int n = m->cfg.n_layers, count;

	*k = (struct skip){ .model = m, .n_layers = n, .rng = 1, .share = -1,
			    .rest = (double)m->output->bytes };
	schedule_make(&k->now.run, m, &all);
	for (int i = 0; i < k->now.run.n; i++) {
		const struct op *op = &k->now.run.op[i];

		if (op->part == OP_ATTN)
			k->attn += (double)op->bytes / n;
		if (op->part == OP_MLP)
			k->mlp += (double)op->bytes / n;
	}
	if (skip_parse(spec, n, &all, err) != 0)
		return -1;
	skip_use(k, &k->now, &all);
	count = skip_count(&all, n);
	k->search = (!spec || !strcmp(spec, "auto")) && count > 0 && count < 2 * (n - 2);
	return 0;
}

void skip_use(const struct skip *k, struct skip_set *set, const struct plan *p)
{
	set->plan = *p;
	set->plan.group = k->group;
	set->plan.prune = k->prune;
	schedule_make(&set->run, k->model, &set->plan);
}

int skip_count(const struct plan *p, int n_layers)
{
	int n = 0;

	for (int l = 0; l < n_layers; l++)
		n += plan_has(p->skip_attn, l) + plan_has(p->skip_mlp, l);
	return n;
}

const char *skip_text(const struct plan *p, int n_layers, char text[SKIP_TEXT])
{
	int n = 0;

	for (int i = 0; i < 2 * n_layers; i++)
		if (plan_has(i % 2 ? p->skip_mlp : p->skip_attn, i / 2))
			n += snprintf(text + n, (size_t)(SKIP_TEXT - n), "%s%c%d", n ? "," : "",
				      i % 2 ? 'm' : 'a', i / 2);
	if (!n)
		snprintf(text, SKIP_TEXT, "0:0");
	return text;
}

/* 0..n-1 (splitmix64). */
static int draw(struct skip *k, int n)
{
	k->rng += 0x9e3779b97f4a7c15u;
	return (int)(mix64(k->rng) % (uint64_t)n);
}

/* Exchanges one sub-layer that is left out for one that is not. */
static void swap(struct skip *k, struct plan *p)
{
	int n = 2 * (k->n_layers - 2), i, j;

	do
		i = draw(k, n);
	while (!has(p, i));
	do
		j = draw(k, n);
	while (has(p, j));
	flip(p, i);
	flip(p, j);
}

void skip_next(struct skip *k)
{
	struct plan next = k->now.plan;
	int swaps = 1 + draw(k, SWAPS);

	if (draw(k, ANEW) == 0)
		swaps = 4 * k->n_layers;        /* nothing is left of it */
	while (swaps--)
		swap(k, &next);
	skip_use(k, &k->trial, &next);
}

double skip_gain(const struct skip *k, const struct plan *p, double share)
{
	double whole = k->rest + k->n_layers * (k->attn + k->mlp), kept = whole, best = 0;
	double all = 1, tokens = 1;

	for (int l = 0; l < k->n_layers; l++)
		kept -= plan_has(p->skip_attn, l) * k->attn + plan_has(p->skip_mlp, l) * k->mlp;
	for (int n = 1; n <= DRAFT_MAX; n++) {
		double gain;

		all *= share;
		tokens += all;
		gain = tokens / (1 + n * (kept / whole + COST_ROW_PART));
		best = gain > best ? gain : best;
	}
	return best;
}
