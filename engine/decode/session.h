/* session.h - one token timeline on one model.
 *
 * Owns its token list and its KV cache; borrows the device.
 * Invariant: cache rows 0..n_kv-1 hold tok[0..n_kv-1].  Between decode steps n_kv == n-1: exactly
 * one token, the last, is pending. */
#ifndef S3D_SESSION_H
#define S3D_SESSION_H
#include "kernels/backend.h"
#include "kernels/schedule.h"

struct guess_batch;

struct session {
	const struct backend *be;
	struct dev *dev;
	struct kv *kv;
	struct schedule base;   /* the target, as its user wants it: what all of the text went
				 * through that is not a draft */
	struct schedule prompt; /* of tokens that are given, but the pending one; or as base */
	int *tok;               /* (n_ctx + SESSION_SPARE) */
	int n, n_kv, n_ctx;
	int n_batch;            /* rows of a pass under `base` */
	int n_rows;             /* of the device, see schedule_rows */
	int n_vocab, n_out;     /* token ids it takes; logits in a row */
	int n_best;             /* see struct batch; whoever sets it sets it back to 0 */
	bool failed;            /* a pass of it has */
	struct halt *halt;      /* of session_prefill; NULL: nothing ends it early */
};

#define SESSION_SPARE 64        /* room for drafts behind the last token */

int session_open(struct session *, const struct backend *, struct dev *,
		 const struct model *, int n_ctx, int n_batch, char err[ERR_MAX]);
void session_close(struct session *);
/* Another target, for what is written and what is read, of the same groups.  What another one wrote
 * into the cache is written again.  -1: then a pass would have room for fewer than n rows. */
int session_target(struct session *, const struct model *, const struct plan *text,
		   const struct plan *prompt, int n, char err[ERR_MAX]);
/* The timeline becomes tok[0..n-1] (n >= 1); the common prefix stays in the cache.  No forward. */
int session_set(struct session *, const int *tok, int n, char err[ERR_MAX]);
/* Rollback: lengths only (but see kv_back: of a long way back the cache keeps nothing). */
void session_truncate(struct session *, int n);
/* Runs at most n_batch of the tokens that are not in the cache, the pending one excepted.
 * Returns how many are still to run (0: ready to decode), -1 on error.  With halt->seen the rows of
 * this piece are still to run. */
int session_prefill(struct session *, char err[ERR_MAX]);
/* Runs the pending token and draft[0..k-1] (copied behind the timeline, not part of it yet) under
 * the base schedule; returns k+1 rows of logits, or NULL. */
const float *session_extend(struct session *, const int *draft, int k, char err[ERR_MAX]);
/* Guesses behind the pending token, at most b->n of them, by a backend that makes them itself;
 * b->law is the caller's.  Returns how many, -1 on error.  The timeline stays as it is. */
int session_guess(struct session *, struct guess_batch *b, char err[ERR_MAX]);
/* Runs the pending token over a schedule's bridge: n rows of logits, what may follow it and its
 * successors; NULL on error.  The timeline stays as it is. */
const float *session_bridge(struct session *, const struct schedule *, int n, char err[ERR_MAX]);
/* A look at what a schedule makes of tok[at..at+n-1], which may lie behind the timeline (the caller
 * has put them there): n rows of logits, or NULL.  Cache rows from `at` on are scratch then, and
 * n_kv is not beyond it. */
const float *session_peek(struct session *, const struct schedule *, int at, int n,
			  char err[ERR_MAX]);
/* Rows at..at+n-1 are run again by the base schedule, after a peek at them between decode steps; so
 * the cache holds again all but the pending token.  -1 on error. */
int session_mend(struct session *, int at, int n, char err[ERR_MAX]);
/* After session_extend, or with next from session_guess: the first n_kept drafts stay, next becomes
 * the pending token. */
void session_accept(struct session *, int n_kept, int next);
#endif
