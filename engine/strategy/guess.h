/* guess.h - what strategies are made of: guesses of the target's choices, and the round that checks
 * them.
 *
 * For the files of strategies; who only runs one needs strategy.h.  struct guess is the caller's.
 * Invariant: whatever is guessed, a round emits what the target would have chosen. */
#ifndef S3D_GUESS_H
#define S3D_GUESS_H
#include "engine/strategy/strategy.h"

/* Verifies drafts[0..k-1] in one target pass, emits, accepts, counts.
 * odds: whose drafts these are and what becomes of them goes there; NULL: nowhere. */
int strategy_round(struct strat *, const int *drafts, int k, double draft_s,
		   struct cost_odds *odds, struct emit *out, char err[ERR_MAX]);
/* Guesses of the target's choices. */
struct guess {
	int max;                /* so many at most */
	float stop_below;       /* a guess less sure than this is thrown away and ends them;
				 * < 0: they end where one more would not pay */
	float lambda;           /* weight of the noise */
	struct cost_odds *odds; /* how such guesses fared, to see what pays */
	/* Without odds they end behind the one with which the product of the probabilities of
	 * those less sure than sure_from falls below least. */
	double sure_from, least;
	int tok[DRAFT_MAX];     /* the guesses, and how sure each is: the top probability */
	double sure[DRAFT_MAX];
};
/* Fills tok and sure, ends behind a token that ends an answer.  Returns how many, -1 on error.  By
 * the little model or, where there is none, over the bridge. */
int strategy_guess(struct strat *, struct guess *, char err[ERR_MAX]);
/* Over the bridge: one pass makes them all. */
int strategy_guess_bridged(struct strat *, struct guess *, char err[ERR_MAX]);
/* For strategy.hope: of a round of most such guesses or fewer, as they fared so far, if ever. */
struct cost_hope strategy_hope(const struct strat *, bool bridged, int most);
/* Seconds that the little model will take to read what it has missed. */
double strategy_reading(const struct strat *);
/* A step of an exact strategy whose drafts guess makes, within the options; odds: as in struct
 * guess, or NULL. */
typedef int strategy_guess_fn(struct strat *, struct guess *, char err[ERR_MAX]);
int strategy_try(struct strat *, strategy_guess_fn *guess, struct cost_odds *odds,
		 struct emit *out, char err[ERR_MAX]);
/* For drafters: whether guess k is worth its row in the big model's run; *all: chance that those
 * before it hold, which becomes that of all with it.  Whether it is worth making. */
bool strategy_worth(const struct strat *, struct guess *, int k, double *all);
bool strategy_go_on(const struct strat *, const struct guess *, int k, double all);
/* Counts a round of k drafts of which the first n_kept were emitted, and one token more. */
void strategy_count(struct strat *, int k, int n_kept);
/* Counts what another counted, for a strategy that runs others. */
void strategy_add(struct strategy_stats *to, const struct strategy_stats *from);
/* Where the seconds of a round of k drafts that emitted n tokens went. */
void strategy_took(struct strat *, int k, int n, double draft_s, double verify_s, double choose_s);
/* Drafts allowed now: max, less what the context has no room for. */
int strategy_room(const struct strat *, int max);
#endif
