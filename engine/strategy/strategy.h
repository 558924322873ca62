/* strategy.h - how the next tokens are found.
 *
 * A strategy proposes; verify decides.  struct strat borrows sessions and sampler and owns priv.
 * Invariant: on return from step exactly the last emitted token is pending in the target. */
#ifndef S3D_STRATEGY_H
#define S3D_STRATEGY_H
#include "engine/strategy/cost.h"
#include "engine/decode/sampler.h"
#include "engine/decode/session.h"
#include "engine/strategy/skip.h"
#include "engine/text/tokenizer.h"

#define DRAFT_MAX 16                    /* drafts in one round at most */
#define STEP_MAX (DRAFT_MAX + 1)        /* tokens out of one step at most */

/* Best measured weight of the noise for a drafter whose distribution only resembles the big one. */
#define STRATEGY_LAMBDA 0.6f

enum origin { ORIGIN_PLAIN, ORIGIN_ACCEPTED, ORIGIN_CORRECTED };

struct emit {
	int tok;
	enum origin origin;     /* accepted: a draft that held; corrected: replaced a failed one */
};

struct strategy_opt {           /* may change between two steps */
	int draft_max, draft_min;
	float draft_p_min;      /* the little model stops below this probability; < 0: where one
				 * more draft would not pay */
	float fallback;         /* bild: the little model hands over below this probability */
	float rollback;         /* bild: the big model keeps a draft up to this -log p */
	bool rollback_exact;    /* bild: keeps only what it would have chosen itself */
	int bild_max;           /* bild: tokens of the little model in a row at most */
	bool auto_approximate;  /* auto may choose strategies that are not exact */
	bool bild_paper;        /* bild: the control flow that was published, see strat_bild.c */
};
#define STRATEGY_DEFAULTS { .draft_max = DRAFT_MAX, .draft_p_min = -1, .fallback = 0.6f, \
	.rollback = 3.0f, .bild_max = 10 }

struct strategy_stats {
	long rounds;            /* steps taken */
	long emitted;           /* tokens that came out */
	long drafted;           /* proposed */
	long tested;            /* drafts whose predecessors all held, so that they were compared,
				 * and came out or had what came out put in their place */
	long accepted;          /* emitted drafts */
	long pos_tested[DRAFT_MAX], pos_accepted[DRAFT_MAX];    /* by draft position */
	double draft_s, verify_s, choose_s;
	/* Steps that tried no draft and came behind another run of the big model, which the little
	 * one's would have made slower; their seconds in the big model. */
	long plain_n;
	double plain_s;
};

struct strat;
/* May: uses one that is there; a bridge is as good as a little model then. */
enum { NEED_DRAFT_MODEL = 1, MAY_DRAFT_MODEL = 2, NEED_BRIDGE = 4, MAY_BRIDGE = 8 };

struct strategy {
	const char *name, *help;
	bool exact;             /* same text as plain for the same seed */
	bool can_be_exact;      /* also, when opt.rollback_exact is set */
	bool chooses;           /* runs others: exact ones only, unless opt.auto_approximate */
	bool apart;             /* auto never chooses it */
	unsigned needs;
	int (*open)(struct strat *, char err[ERR_MAX]);         /* NULL: nothing to do */
	/* Tokens a second that a step now may be expected to give, by strat.cost; 0: no idea.
	 * NULL: only trying tells. */
	double (*promise)(struct strat *);
	/* Without a promise, unless it is apart: what a step is likely to give and to cost by what
	 * is measured of its parts, before any was tried; the model's own time is known. */
	struct cost_hope (*hope)(const struct strat *);
	/* Emits 1..STEP_MAX tokens into out, returns how many, -1 on error. */
	int (*step)(struct strat *, struct emit *out, char err[ERR_MAX]);
	/* A small piece of work between answers, after which all is as before but what it learnt:
	 * 1: there is more, 0: there is none, -1: error.  NULL: there never is. */
	int (*idle)(struct strat *, char err[ERR_MAX]);
	void (*close)(struct strat *);  /* likewise; accepts what a failed open left */
};

struct strat {
	const struct strategy *ops;
	struct session *target, *draft; /* draft: NULL without a little model */
	const struct schedule *bridged;     /* over a sidecar's bridge; NULL: there is none */
	/* One for each vocabulary, of the target, the little model and behind the bridge. */
	struct sampler *smp, *draft_smp, *bridge_smp;
	const struct tokenizer *tok;            /* knows which tokens end an answer; may be NULL */
	struct skip *skip;      /* what self leaves out; may be NULL except for self */
	bool begins;            /* nothing of the answer is written yet */
	int from;               /* where in the target's text it begins */
	struct sampler_opt law;
	struct strategy_opt opt;
	struct strategy_stats stats;
	struct cost *cost;      /* the engine's measurements; may be NULL except for auto */
	void *priv;
};

/* Which of its NEEDs is not met; 0: it can be used. */
unsigned strategy_lacks(const struct strat *, const struct strategy *);
/* It asks the little model, which is there. */
bool strategy_asks_little(const struct strat *, const struct strategy *);
/* The strategy of ->ops takes up its work on ->target, or leaves it. */
int strategy_open(struct strat *, char err[ERR_MAX]);
void strategy_close(struct strat *);
bool strategy_exact(const struct strat *);      /* as the options are now */
bool strategy_exact_with(const struct strategy *, bool rollback_exact, bool auto_approximate);
/* The little model reads on in the target's text, at most a batch.  Returns how many tokens are
 * still to read, 0 also if it cannot read this text, -1 on error. */
int strategy_read(struct strat *, char err[ERR_MAX]);
/* Tokens of the target's text that the little model has not read. */
int strategy_unread(const struct strat *);
bool strategy_ends(const struct strat *, int tok);      /* tok ends an answer */
#endif
