/* strategy.h - how the next tokens are found.
 *
 * A strategy proposes; verify decides.  struct strat borrows sessions and sampler and owns priv.
 * Invariant: on return from step exactly the last emitted token is pending in the target. */
#ifndef S3D_STRATEGY_H
#define S3D_STRATEGY_H
#include "sampler.h"
#include "session.h"

#define DRAFT_MAX 16                    /* drafts in one round at most */
#define STEP_MAX (DRAFT_MAX + 1)        /* tokens out of one step at most */

enum origin { ORIGIN_PLAIN, ORIGIN_ACCEPTED, ORIGIN_CORRECTED };

struct emit {
	int tok;
	enum origin origin;  /* accepted: a draft that held; corrected: replaced a failed draft */
};

struct strategy_opt {           /* may change between two steps */
	int draft_max, draft_min;
	float draft_p_min;      /* stop drafting below this probability */
	float fallback, rollback;
};
#define STRATEGY_DEFAULTS { .draft_max = 8, .fallback = 0.6f, .rollback = 3.0f }

struct strategy_stats {
	long rounds;            /* steps taken */
	long emitted;           /* tokens that came out */
	long drafted;           /* proposed */
	long tested;            /* drafts whose predecessors all held, so that they were compared */
	long accepted;          /* emitted drafts */
	long pos_tested[DRAFT_MAX], pos_accepted[DRAFT_MAX];    /* by draft position */
	double draft_s, verify_s, choose_s;
};

struct strat;
enum { NEED_DRAFT_MODEL = 1 };

struct strategy {
	const char *name, *help;
	bool exact;             /* same text as plain for the same seed */
	unsigned needs;
	int (*open)(struct strat *, char err[ERR_MAX]);
	/* Emits 1..STEP_MAX tokens into out, returns how many, -1 on error. */
	int (*step)(struct strat *, struct emit *out, char err[ERR_MAX]);
	void (*close)(struct strat *);
};

struct strat {
	const struct strategy *ops;
	struct session *target, *draft; /* draft: NULL without a little model */
	struct sampler *smp;
	struct sampler_opt law;
	struct strategy_opt opt;
	struct strategy_stats stats;
	void *priv;
};

extern const struct strategy *const strategies[];       /* NULL-terminated */
const struct strategy *strategy_find(const char *name, char err[ERR_MAX]);
/* For strategies: verify drafts[0..k-1] in one target pass, emit, accept, count. */
int strategy_round(struct strat *, const int *drafts, int k, double draft_s, struct emit *out,
		   char err[ERR_MAX]);
/* Drafts allowed now: draft_max, less what the context has no room for. */
int strategy_room(const struct strat *);
#endif
