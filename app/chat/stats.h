/* stats.h - the statistics of an answer (struct stats) as they grow, and in a saved chat.
 *
 * No state.  Invariant: see shown.h. */
#ifndef S3D_APP_STATS_H
#define S3D_APP_STATS_H
#include "ui/pane/shown.h"
#include <jansson.h>

/* A strategy has written something.  true: that is news. */
bool stats_helped(struct stats *, const char *strategy, bool exact);
/* As members of a turn in a saved chat; what is not known is left out, and unknown again when it is
 * read.  Nothing that is read is believed to be fit for more than being shown. */
void stats_put(json_t *, const struct stats *);
struct stats stats_get(const json_t *);
#endif
