/* strategies.h - all strategies.  A new one is a file strat_NAME.c and a word in STRATEGIES.
 *
 * Invariant: auto is the last, for it chooses among those before it. */
#ifndef S3D_STRATEGIES_H
#define S3D_STRATEGIES_H
#include "engine/strategy/strategy.h"

#define STRATEGY_DEFAULT "auto"
/* What auto may choose; the first is what it falls back to. */
#define STRATEGIES(_) _(plain) _(ngram) _(draft) _(bild) _(s3d) _(self)

#define STRATEGY_EXTERN(name) extern const struct strategy strategy_##name;
STRATEGIES(STRATEGY_EXTERN)
STRATEGY_EXTERN(auto)
#define STRATEGY_ROW(name) &strategy_##name,

extern const struct strategy *const strategies[];       /* NULL-terminated */
/* "": STRATEGY_DEFAULT.  NULL when there is no such one. */
const struct strategy *strategy_find(const char *name, char err[ERR_MAX]);
/* One step of ->ops; now and then one of plain in its place, so that its speed stays known. */
int strategy_step(struct strat *, struct emit *out, char err[ERR_MAX]);
#endif
