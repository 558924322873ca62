/* threads.h - a persistent pool: every thread runs the same function, meeting at barriers.
 *
 * The pool owns its threads; the caller of pool_run is thread 0.  Waiting threads spin briefly and
 * then sleep, so an idle pool uses no processor.  Invariant: pool_run returns after all have. */
#ifndef S3D_THREADS_H
#define S3D_THREADS_H
#include "base/util.h"

struct pool;
struct pool *pool_open(int n, char err[ERR_MAX]);
void pool_close(struct pool *);
int pool_size(const struct pool *);
void pool_run(struct pool *, void (*fn)(void *arg, int thread), void *arg);
void pool_sync(struct pool *);          /* barrier; called by every thread from inside fn */
/* The share of thread t in n items: *from..*to-1. */
void pool_share(const struct pool *, int t, int n, int *from, int *to);
#endif
