/* figures.c - see figures.h. */
#include "ui/pane/figures.h"

#include <math.h>
#include <stdio.h>

#define FIGURE_ROW(id, ...) { __VA_ARGS__ },
const struct figure_row figure_rows[FIGURE_N] = { FIGURES(FIGURE_ROW) };
#undef FIGURE_ROW

/* Every figure is part / whole; whole 0: it is not known. */
struct ratio {
	double part, whole;
};

/* Of a number that is negative when it is not known. */
static struct ratio plain(double x)
{
	return (struct ratio){ x, x >= 0 };
}

static struct ratio of_time(const struct stats *s, double seconds)
{
	return (struct ratio){ seconds, s->draft_s + s->verify_s + s->choose_s };
}

/* Of what a cache of columns counts, where there is one. */
static struct ratio of_columns(const struct stats *s, double x, double whole)
{
	return s->columns > 0 ? (struct ratio){ x, whole } : plain(-1);
}

static struct ratio look(const struct stats *s, enum figure f)
{
	if (s->n_tokens < 0)
		return plain(-1);
	switch (f) {
	case FIGURE_TOKENS: return plain((double)s->n_tokens);
	case FIGURE_RATE_NOW: return plain(s->rate_now);
	case FIGURE_RATE: return plain(s->rate);
	case FIGURE_FIRST: return plain(s->first_s);
	case FIGURE_PROMPT: return plain((double)s->n_prompt);
	case FIGURE_PROMPT_RATE: return plain(s->prompt_rate);
	case FIGURE_ROUNDS: return plain((double)s->rounds);
	case FIGURE_DRAFTED: return plain((double)s->drafted);
	case FIGURE_TESTED: return plain((double)s->tested);
	case FIGURE_ACCEPTED: return plain((double)s->accepted);
	case FIGURE_ACCEPTANCE:
		return (struct ratio){ (double)s->accepted, (double)s->tested };
	case FIGURE_PER_ROUND:
		return (struct ratio){ (double)s->n_tokens, (double)s->rounds };
	case FIGURE_DRAFTING:   /* a strategy that makes no drafts has no such share */
		return s->drafted || s->draft_s > 0 ? of_time(s, s->draft_s) : plain(-1);
	case FIGURE_VERIFYING: return of_time(s, s->verify_s);
	case FIGURE_CHOOSING: return of_time(s, s->choose_s);
	case FIGURE_CTX_USED: return plain(s->ctx_used);
	case FIGURE_HIT_RATE:
		return of_columns(s, (double)s->cached, (double)s->columns);
	case FIGURE_FAST_BYTES: return of_columns(s, s->fast_bytes, (double)s->n_tokens);
	case FIGURE_SLOW_BYTES: return of_columns(s, s->slow_bytes, (double)s->n_tokens);
	case FIGURE_N: break;
	}
	return plain(-1);
}

static double value(struct ratio r, double times)
{
	return r.whole > 0 ? times * r.part / r.whole : NAN;
}

double figure_value(const struct stats *s, enum figure f)
{
	return value(look(s, f), 1);
}

void figure_text(const struct stats *s, enum figure f, bool brief, char out[FIGURE_TEXT])
{
	const struct figure_row *r = &figure_rows[f];

	figure_put(out, brief ? r->brief : r->full, value(look(s, f), r->times));
}

int figure_positions(const struct stats *s, double times, double share[STATS_DRAFTS])
{
	int n = s->n_tokens < 0 ? 0 : STATS_DRAFTS;

	while (n && !s->pos_tested[n - 1])
		n--;
	for (int i = 0; i < n; i++)
		share[i] = value((struct ratio){ (double)s->pos_accepted[i],
						 (double)s->pos_tested[i] }, times);
	return n;
}

void figure_put(char out[FIGURE_TEXT], const char *format, double x)
{
	if (isnan(x))
		snprintf(out, FIGURE_TEXT, "-");
	else
		snprintf(out, FIGURE_TEXT, format, x);
}
