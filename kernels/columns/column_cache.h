/* column_cache.h - the cache of DIP-CA for one text: the slots of all layers, each row's choice of
 * columns by them, and what becomes of the choices of drafts.
 *
 * A row chooses by what the rows before it in the text have left, whether these ran in the same
 * pass or earlier: so a text does not depend on how it was cut into passes.  What a pass does to
 * the slots is held apart until the next one begins: rows before its first position are the text,
 * the others were drafts that did not hold and leave no trace.  Rollback stays a smaller position.
 * Invariant: the slots are a function of the rows of the text since column_cache_anew, alone. */
#ifndef S3D_COLUMN_CACHE_H
#define S3D_COLUMN_CACHE_H
#include "engine/model/model.h"
#include "kernels/columns/slots.h"

int column_count(const struct layer *, enum column_side);
size_t column_bytes(const struct layer *, enum column_side);    /* of one, in all its matrices */
/* Slots that a layer's side gets: the bytes are shared out evenly over the matrices; gate and up
 * have the same columns. */
int column_slots(const struct model *, const struct column_cache_opt *, int layer,
		 enum column_side);

struct column_cache;
/* For passes of at most `rows` rows. */
struct column_cache *column_cache_new(const struct model *, const struct column_cache_opt *,
				      int rows, char err[ERR_MAX]);
void column_cache_free(struct column_cache *);
size_t column_cache_bytes(const struct column_cache *);         /* of its tables */
int column_cache_rows(const struct column_cache *);
/* Another text: no column has a slot. */
void column_cache_anew(struct column_cache *);
/* A pass begins at a position, whose first n rows will choose (0: none of them). */
void column_cache_pass(struct column_cache *, int pos, int n);
/* Row `row` of the pass chooses k of the columns of a layer's side: of x what does not count
 * becomes zero.  norm: see slots_weigh.  Rows in order; sides at the same time by many threads.
 * warm: the first rows choose more freely. */
struct column_choice {
	int layer, k;
	enum column_side side;
	const float *norm;
	float gamma;
	bool warm;
};
void column_cache_choose(struct column_cache *, const struct column_choice *, int row, float *x);
struct column_counts column_cache_counts(const struct column_cache *);
#endif
