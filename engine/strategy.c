/* strategy.c - the table of strategies, and the round that all exact ones share.
 *
 * Invariant: statistics count a draft as tested only when all before it held, and as accepted only
 * when it was emitted. */
#include "engine/strategy.h"
#include "engine/verify.h"
#include <stdio.h>
#include <string.h>

extern const struct strategy strategy_plain, strategy_ngram;
const struct strategy *const strategies[] = { &strategy_plain, &strategy_ngram, NULL };

const struct strategy *strategy_find(const char *name, char err[ERR_MAX])
{
	char names[128] = "";

	for (int i = 0; strategies[i]; i++) {
		size_t at = strlen(names);

		if (!strcmp(strategies[i]->name, name))
			return strategies[i];
		snprintf(names + at, sizeof(names) - at, " %s", strategies[i]->name);
	}
	fail(err, "no strategy '%s'; there are:%s", name, names);
	return NULL;
}

int strategy_room(const struct strat *s)
{
	int left = s->target->n_ctx - s->target->n - 1, max = s->opt.draft_max;

	max = max > DRAFT_MAX ? DRAFT_MAX : max;
	return left < max ? (left > 0 ? left : 0) : max;
}

static void count(struct strategy_stats *st, int k, int emitted)
{
	int tested = emitted <= k ? emitted : k;

	st->rounds++;
	st->emitted += emitted;
	st->drafted += k;
	st->tested += tested;
	st->accepted += emitted - 1;
	for (int i = 0; i < tested; i++)
		st->pos_tested[i]++;
	for (int i = 0; i < emitted - 1; i++)
		st->pos_accepted[i]++;
}

int strategy_round(struct strat *s, const int *drafts, int k, double draft_s, struct emit *out,
		   char err[ERR_MAX])
{
	struct session *t = s->target;
	int y[STEP_MAX], n;
	double start = clock_now(), verified;
	const float *rows = session_extend(t, drafts, k, err);

	if (!rows)
		return -1;
	verified = clock_now();
	n = verify(s->smp, &s->law, rows, t->n_vocab, t->tok, t->n, k, y);
	for (int i = 0; i < n; i++)
		out[i] = (struct emit){ y[i], i < n - 1 ? ORIGIN_ACCEPTED :
					n <= k ? ORIGIN_CORRECTED : ORIGIN_PLAIN };
	session_accept(t, n - 1, y[n - 1]);
	count(&s->stats, k, n);
	s->stats.draft_s += draft_s;
	s->stats.verify_s += verified - start;
	s->stats.choose_s += clock_now() - verified;
	return n;
}
