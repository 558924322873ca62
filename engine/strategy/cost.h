/* cost.h - what runs and drafts cost and how often drafts hold, measured while decoding; from that,
 * whether one more draft pays.
 *
 * A round of drafts that hold with chances a_1, a_2, ... emits 1 + a_1 + a_1 a_2 + ... tokens in
 * the mean (Leviathan et al. 2023 with measured chances).  A further draft pays while the chance
 * that it and all before it hold is larger than what its row costs, in tokens at the rate of late.
 * Plain data, all zero at first.  Invariant: nothing here changes what an exact strategy writes. */
#ifndef S3D_COST_H
#define S3D_COST_H
#include <stdbool.h>

#define COST_ROW_PART 0.1       /* of a run a row more costs until something is measured */
enum { COST_CLASSES = 16, COST_DRAFTS = 16, COST_TRIALS = 8, COST_PARTS = COST_DRAFTS + 2 };

/* How often a drafter's tokens held, by how sure it was; older ones count less. */
struct cost_odds {
	double tested[COST_CLASSES], held[COST_CLASSES];
	double all_tested, all_held;
	int sure[COST_DRAFTS];          /* class of each draft of the round at hand */
};

/* What rounds of drafts gave of late; older ones count less. */
struct cost_trial {
	double rounds, tokens;
	double plain;                   /* tokens that plain gives in the time they took */
	long last;                      /* cost.chosen when one ran */
};

/* What one round is likely to give and to cost, before any was made; as in a trial. */
struct cost_hope {
	double tokens, plain;
};

struct cost {
	double first_s;                 /* a run without drafts behind another run; 0: unknown */
	/* What each draft adds to a run, and what a run costs more behind the little model, whose
	 * weights have taken the big one's place in the cache; 0: not measured yet. */
	double row_s[COST_DRAFTS], cold_s;
	double var[COST_PARTS][COST_PARTS];     /* covariances of what is known of these */
	bool cooled;                    /* the next run comes behind the little model */
	/* A token of a prompt, many in a run, of the big and of the little model; 0: unknown. */
	double read_s, little_read_s;
	/* The little model's seconds for the first guess of a round (its weights have left the
	 * cache, it catches up) and for each more. */
	double begin_s, step_s;
	double bridge_s;                /* a pass over the bridge */
	double tokens, seconds;         /* of recent rounds */
	double self_s;                  /* a guess of the model for itself, strategy self */
	struct cost_odds little, ngram, bridge, self;
	struct cost_trial bridged;      /* rounds of drafts over the bridge */
	struct cost_trial trial[COST_TRIALS];   /* by place among auto's strategies */
	long chosen;                    /* rounds that auto chose, in all */
	double spare;                   /* tokens of plain that its probes may cost now */
	struct cost_trial running;      /* all rounds of the strategy that runs */
	bool slower;                    /* it is slower than plain, as far as rounds can prove it */
};

/* A round: run_s seconds in the big model with k drafts, n tokens came out in all_s seconds. */
void cost_round(struct cost *, int k, double run_s, int n, double all_s);
/* Another strategy runs from now on. */
void cost_anew(struct cost *);
/* A run read n tokens of a prompt in so many seconds; each: whose. */
void cost_read(double *each, int n, double seconds);
/* The little model made n guesses in so many seconds, the first of them in first. */
void cost_steps(struct cost *, int n, double first, double seconds);
/* A pass over the bridge, a guess of the model for itself took so many seconds. */
void cost_bridge(struct cost *, double seconds);
void cost_self(struct cost *, double seconds);
/* Takes a round of n tokens in so many seconds into the trial. */
void cost_try(struct cost *, struct cost_trial *, int n, double seconds);
/* Another text begins: what was learnt in the last one counts as a few rounds only. */
void cost_doubt(struct cost_trial *);
/* What a round of drafts that cost begin and, each but the first, step seconds should give: of the
 * number of drafts, most or fewer, that promises most by how such drafts held. */
struct cost_hope cost_hope(const struct cost *, const struct cost_odds *, double begin,
			   double step, int most);
/* How much faster than plain rounds are that were tried so and give such hope; how far off, likely,
 * that is. */
double cost_gain(const struct cost_trial *, const struct cost_hope *);
double cost_doubtful(const struct cost_trial *);
/* The first held of the round's k drafts held. */
void cost_tested(struct cost_odds *, int k, int held);
/* Chance that a draft of this class holds if those before it do. */
double cost_chance(const struct cost_odds *, int sure);
/* Tokens a second that must be beaten: what came out of late, or plain decoding if that is more. */
double cost_rate(const struct cost *);
/* How many of the k drafts whose classes are in odds->sure pay; *expected: tokens of the round. */
int cost_cut(const struct cost *, const struct cost_odds *, int k, double *expected);
/* Seconds of a run with k drafts. */
double cost_run(const struct cost *, int k);
/* Whether draft k (0, 1, ...) pays that is made, if it and all before it hold with chance all;
 * further: that would still have to be made, if all before it do.  Not yet where the row before
 * its was never run. */
bool cost_pays(const struct cost *, int k, double all);
bool cost_further_pays(const struct cost *, const struct cost_odds *, int k, double all);
#endif
