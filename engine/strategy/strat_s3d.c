/* strat_s3d.c - the model drafts for itself over a bridge, several tokens in one pass (S3D, Zhong &
 * Bharadwaj 2024, arXiv 2405.20314, with a linear bridge in place of the skipped layers).
 *
 * Where the text has gone on like this before, and what followed then promises more than the
 * bridge gave of late, that is drafted instead (strat_ngram.c).  A draft is verified where it pays,
 * or down to opt.draft_p_min.
 * Invariant: the copying strategy has the settings of this one in every step. */
#include "engine/strategy/guess.h"
#include "engine/strategy/strategies.h"
#include <string.h>

static void s3d_close(struct strat *s)
{
	struct strat *copies = s->priv;

	if (copies)
		strategy_close(copies);
	mem_free(copies);
	s->priv = NULL;
}

static int s3d_open(struct strat *s, char err[ERR_MAX])
{
	struct strat *copies = mem_new(1, sizeof(*copies), err);

	s->priv = copies;
	if (!copies)
		return -1;
	*copies = (struct strat){ .ops = &strategy_ngram, .target = s->target, .smp = s->smp,
				  .tok = s->tok, .cost = s->cost };
	if (strategy_open(copies, err) == 0)
		return 0;
	s3d_close(s);
	return -1;
}

/* Whether copying promises more than plain, and than the bridge gives. */
static bool copying(struct strat *s, struct strat *copies)
{
	struct cost *p = s->cost;
	struct cost_hope hope;
	double promise;

	if (s->begins)
		cost_doubt(&p->bridged);
	if (p->first_s == 0)
		return false;
	copies->law = s->law;
	copies->opt = s->opt;
	copies->begins = s->begins;
	memset(&copies->stats, 0, sizeof(copies->stats));
	promise = copies->ops->promise(copies) * p->first_s;
	hope = s->ops->hope(s);
	return promise > 1 && promise > cost_gain(&p->bridged, &hope);
}

static int s3d_step(struct strat *s, struct emit *out, char err[ERR_MAX])
{
	double start = clock_now();
	struct strat *copies = s->priv;
	int n;

	if (s->cost && copying(s, copies)) {
		n = copies->ops->step(copies, out, err);
		strategy_add(&s->stats, &copies->stats);
		return n;
	}
	n = strategy_try(s, strategy_guess_bridged, s->cost ? &s->cost->bridge : NULL, out, err);
	if (n > 0 && s->cost)
		cost_try(s->cost, &s->cost->bridged, n, clock_now() - start);
	return n;
}

static struct cost_hope s3d_hope(const struct strat *s)
{
	return strategy_hope(s, true, s->opt.draft_max);
}

const struct strategy strategy_s3d = {
	.name = "s3d", .help = "the model drafts for itself, its middle layers left out",
	.exact = true, .needs = NEED_BRIDGE,
	.open = s3d_open, .hope = s3d_hope, .step = s3d_step, .close = s3d_close,
};
