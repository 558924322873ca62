/* tok_merge.h - joining neighbours: what byte-level BPE and SentencePiece have in common.
 *
 * struct merger owns scratch that grows with the longest text; zeroed it is empty.  Invariant:
 * every pair of neighbours that can be joined is on the heap, so the least rank is found first
 * and, among equals, the leftmost.  n symbols take O(n log n). */
#ifndef S3D_TOK_MERGE_H
#define S3D_TOK_MERGE_H
#include "base/util.h"

struct ids {            /* counts all, keeps what there is room for */
	int *v;
	int cap, n;
};
void ids_put(struct ids *, int id);

struct symbol {
	int id;                 /* token, -1: none has this text */
	int prev, next;         /* -1: the first, the last */
	uint32_t at, n;         /* the caller's text; joined symbols lie side by side */
};

/* Whether l and the symbol behind it can be joined; then their rank and what they become. */
typedef bool merge_join(const void *ctx, const struct symbol *l, const struct symbol *r,
			uint32_t *rank, int *id);

struct merger {
	struct symbol *sym;     /* (room) */
	uint64_t *heap;         /* (2 * room) rank << 32 | symbol, least on top */
	size_t room, n_heap;
	int n;                  /* symbols of this text so far */
};

void merger_free(struct merger *);
/* Empties m and makes room for n symbols; -1 with err set. */
int merger_start(struct merger *m, size_t n, char err[ERR_MAX]);
/* One more symbol behind the last. */
void merger_put(struct merger *m, int id, size_t at, size_t n);
/* Joins what can be joined.  The result begins at sym[0] (if m->n > 0) and goes on by next. */
void merger_run(struct merger *m, merge_join *join, const void *ctx);
#endif
