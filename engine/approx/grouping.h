/* grouping.h - which layers run in groups (CQIL, struct grouping of plan.h), as users write it.
 * engine_group in engine.h changes them.  No state. */
#ifndef S3D_GROUPING_H
#define S3D_GROUPING_H
#include "base/util.h"
#include "kernels/plan.h"
#include "kernels/spread.h"

enum { GROUPING_TEXT = 48 };

/* spec: S:E:P or S:E:P:D, layers S to E-1 of n_layers in groups of P with a bypass of D; or "off"
 * (NULL and "" too).  -1: it is neither, or the model has no such layers. */
int grouping_parse(const char *spec, int n_layers, struct grouping *, char err[ERR_MAX]);
/* As grouping_parse takes it; returns text. */
const char *grouping_text(const struct grouping *, char text[GROUPING_TEXT]);
/* Groups with bypass of which the host, which has n layers of n_layers, and another device have
 * some each: these run in parts. */
int grouping_apart(const struct grouping *, const struct host_spread *, int n_layers, int n);
#endif
