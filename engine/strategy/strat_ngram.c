/* strat_ngram.c - drafts copied from the longest recent match of the last tokens in the text.
 *
 * After "prompt lookup decoding" (A. Saxena 2023), but the longest match wins, then the most recent
 * one, and at least NGRAM_MIN tokens must match.  An index from each pair of tokens to its last
 * occurrence, chained to earlier ones, makes a search cost as much as there are candidates.
 * Invariant: index covers pairs ending at positions 1..indexed-1 of the timeline. */
#include "engine/strategy/guess.h"

enum { NGRAM_MIN = 2, NGRAM_LONGEST = 32, NGRAM_TRIES = 64, BUCKETS = 1 << 14 };

struct ngram {
	int *prev;              /* (n_ctx) the pair before in the same bucket, or -1 */
	int *tok;               /* (n_ctx) the tokens that are indexed */
	int indexed;
	int head[BUCKETS];      /* last position whose pair falls here, or -1 */
};

static unsigned bucket(int a, int b)
{
	return ((unsigned)a * 2654435761u ^ (unsigned)b * 2246822519u) >> 18;
}

static void ngram_close(struct strat *s)
{
	struct ngram *g = s->priv;

	if (!g)
		return;
	mem_free(g->prev);
	mem_free(g->tok);
	mem_free(g);
	s->priv = NULL;
}

static void forget(struct ngram *g)
{
	for (int i = 0; i < BUCKETS; i++)
		g->head[i] = -1;
	g->indexed = 0;
}

static int ngram_open(struct strat *s, char err[ERR_MAX])
{
	struct ngram *g = mem_new(1, sizeof(*g), err);
	size_t n = (size_t)s->target->n_ctx + SESSION_SPARE;

	s->priv = g;
	if (!g)
		return -1;
	g->prev = mem_new(n, sizeof(*g->prev), err);
	g->tok = mem_new(n, sizeof(*g->tok), err);
	if (!g->prev || !g->tok) {
		ngram_close(s);
		return -1;
	}
	forget(g);
	return 0;
}

/* Takes the pairs of the timeline up to n into the index; starts over if the past changed. */
static void update(struct ngram *g, const int *tok, int n)
{
	bool same = g->indexed <= n;

	for (int i = 0; same && i < g->indexed; i++)
		same = g->tok[i] == tok[i];
	if (!same)
		forget(g);
	for (int i = g->indexed; i < n; i++) {
		g->tok[i] = tok[i];
		g->prev[i] = -1;
		if (i == 0)
			continue;
		unsigned b = bucket(tok[i - 1], tok[i]);
		g->prev[i] = g->head[b];
		g->head[b] = i;
	}
	g->indexed = n;
}

/* How many tokens ending at a and at b are equal. */
static int match(const int *tok, int a, int b)
{
	int n = 0;

	while (n < NGRAM_LONGEST && n <= a && tok[a - n] == tok[b - n])
		n++;
	return n;
}

/* Up to max tokens that followed the best match of the timeline's end; *len: of that match. */
static int propose(const struct ngram *g, int n, int max, int *len, int *draft)
{
	int best = NGRAM_MIN - 1, at = -1, tries = 0, k = 0;

	if (n < NGRAM_MIN)
		return 0;
	for (int i = g->prev[n - 1]; i >= 0 && tries < NGRAM_TRIES; i = g->prev[i], tries++) {
		int m = match(g->tok, i, n - 1);

		if (m > best) {
			best = m;
			at = i;
		}
	}
	for (; at >= 0 && k < max; k++)         /* a match may run into its own continuation */
		draft[k] = at + 1 + k < n ? g->tok[at + 1 + k] : draft[at + 1 + k - n];
	*len = best;
	return k;
}

/* The drafts that pay now.  A match that has gone on counts as so much longer, so its length tells
 * how sure a draft is.  *expected: tokens of the round. */
static int look(struct strat *s, int *draft, double *expected)
{
	struct ngram *g = s->priv;
	int len, k;

	update(g, s->target->tok, s->target->n);
	k = propose(g, s->target->n, strategy_room(s, s->opt.draft_max), &len, draft);
	*expected = 1;
	if (!s->cost)
		return k;
	for (int i = 0; i < k; i++)
		s->cost->ngram.sure[i] = len + i < COST_CLASSES ? len + i : COST_CLASSES - 1;
	return cost_cut(s->cost, &s->cost->ngram, k, expected);
}

static double ngram_promise(struct strat *s)
{
	int draft[DRAFT_MAX], k;
	double expected;

	if (!s->cost || s->cost->first_s == 0)
		return 0;
	k = look(s, draft, &expected);
	return expected / cost_run(s->cost, k);
}

static int ngram_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	double start = clock_now(), expected;
	int draft[DRAFT_MAX], k = look(s, draft, &expected);

	if (k < s->opt.draft_min)
		k = 0;
	return strategy_round(s, draft, k, clock_now() - start,
			      s->cost ? &s->cost->ngram : NULL, out, err);
}

const struct strategy strategy_ngram = {
	.name = "ngram", .help = "drafts copied from the text so far", .exact = true,
	.open = ngram_open, .promise = ngram_promise, .step = ngram_step, .close = ngram_close,
};
