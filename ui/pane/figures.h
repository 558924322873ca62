/* figures.h - the statistics of an answer as numbers and as text, for the pane, /stats and --json.
 *
 * No state.  Invariant: which of them are unknown is decided here alone; unknown is NAN, and as
 * text '-', never 0. */
#ifndef S3D_UI_FIGURES_H
#define S3D_UI_FIGURES_H
#include "ui/pane/shown.h"

/* Name in /stats and in --json (NULL: it is not there), whether it is a count, what the number is
 * multiplied by for a text, and how that is formatted in /stats and, shorter, in the pane. */
#define FIGURES(_) \
_(TOKENS, "tokens", "tokens", true, 1, "%.0f", "%.0f") \
_(RATE_NOW, NULL, NULL, false, 1, "%.1f", "%.1f now") \
_(RATE, "tokens/s", "tokens_per_second", false, 1, "%.1f", "%.1f") \
_(FIRST, "first token", "first_token_seconds", false, 1, "%.3f s", "%.2f s") \
_(PROMPT, "prompt tokens", "prompt_tokens", true, 1, "%.0f", "%.0f") \
_(PROMPT_RATE, "prompt tokens/s", "prompt_tokens_per_second", false, 1, "%.1f", "%.0f") \
_(ROUNDS, NULL, "rounds", true, 1, "%.0f", "%.0f") \
_(DRAFTED, NULL, "drafted", true, 1, "%.0f", "%.0f") \
_(TESTED, NULL, "tested", true, 1, "%.0f", "%.0f") \
_(ACCEPTED, NULL, "accepted", true, 1, "%.0f", "%.0f") \
_(ACCEPTANCE, "acceptance", "acceptance", false, 100, "%.1f %%", "%.0f %%") \
_(PER_ROUND, "tokens per round", "tokens_per_round", false, 1, "%.2f", "%.2f") \
_(DRAFTING, "drafting", "drafting", false, 100, "%.1f %%", "%.0f") \
_(VERIFYING, "verifying", "verifying", false, 100, "%.1f %%", "%.0f") \
_(CHOOSING, "choosing", "choosing", false, 100, "%.1f %%", "%.0f") \
_(CTX_USED, "context used", "context_used", true, 1, "%.0f", "%.0f") \
_(HIT_RATE, "cache hit rate", "cache_hit_rate", false, 100, "%.1f %%", "%.0f %%") \
_(FAST_BYTES, "read from cache", "cache_bytes_per_token", true, 1e-6, "%.2f MB/token", "%.1f") \
_(SLOW_BYTES, "read elsewhere", "missed_bytes_per_token", true, 1e-6, "%.2f MB/token", "%.1f")

#define FIGURE_ID(id, ...) FIGURE_##id,
enum figure { FIGURES(FIGURE_ID) FIGURE_N };
#undef FIGURE_ID

struct figure_row {
	const char *name, *key;
	bool count;
	double times;
	const char *full, *brief;
};
extern const struct figure_row figure_rows[FIGURE_N];

enum { FIGURE_TEXT = 64 };

double figure_value(const struct stats *, enum figure);
void figure_text(const struct stats *, enum figure, bool brief, char out[FIGURE_TEXT]);
/* Shares, times so much, of the drafts that were accepted at each place; returns how many places
 * there are. */
int figure_positions(const struct stats *, double times, double share[STATS_DRAFTS]);
/* Any other number, likewise. */
void figure_put(char out[FIGURE_TEXT], const char *format, double x)
	__attribute__((format(printf, 2, 0)));
#endif
