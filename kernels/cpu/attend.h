/* attend.h - attention of a layer, or of a group of them, on the processor: what stands between
 * the products QKV and Wo.
 *
 * Every thread calls each of these with its own t; a barrier must lie between two of them. */
#ifndef S3D_CPU_ATTEND_H
#define S3D_CPU_ATTEND_H
#include "kernels/cpu/dev.h"

struct step {           /* one forward pass, as one thread sees it */
	struct dev *d;
	struct kv *kv;
	const struct batch *b;
	int n;                  /* rows now: the batch's, behind a bridge the bridge's */
	int apart;              /* rows from a layer of a group to the next: whole panels */
};

static inline void step_rows(struct step *s, int n)
{
	s->n = n;
	s->apart = (n + PANEL - 1) / PANEL * PANEL;
}

/* Where the rows (of width) of the i-th layer of a group begin. */
static inline float *step_at(const struct step *s, float *rows, int i, int width)
{
	return rows + (size_t)i * (size_t)s->apart * (size_t)width;
}

static inline struct lane step_lane(const struct step *s, int row)
{
	return s->b->lanes ? s->b->lanes[row] : (struct lane){ s->kv, s->b->pos + row };
}

/* Whether the pass is to end early.  From then on threads leave out what they would compute, but
 * still meet at all barriers: so they need not agree on where that begins. */
static inline bool step_halted(const struct step *s)
{
	struct halt *h = s->b->halt;

	if (!h || s->b->n_out)
		return false;
	if (__atomic_load_n(&h->seen, __ATOMIC_RELAXED))
		return true;
	if (!h->asked(h->ctx))
		return false;
	__atomic_store_n(&h->seen, true, __ATOMIC_RELAXED);
	return true;
}

/* Biases, norms, RoPE on queries and keys (and a rotation of both where keys become q8_0), keys and
 * values into the cache. */
void attend_store(const struct step *, int t, const struct op *);
/* The queries of qkv against the cache, into the slots of part. */
void attend_all(const struct step *, int t, const struct op *);
/* The pieces of each (row, head) put together, into attn. */
void attend_join(const struct step *, int t, const struct op *);
#endif
