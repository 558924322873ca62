/* side.h - for engine.c: the part of an engine that a sidecar is.
 *
 * Invariant: strat.bridged is set exactly while device and cache are ready for the sidecar's
 * bridge. */
#ifndef S3D_SIDE_H
#define S3D_SIDE_H
#include "engine/engine.h"

/* Bytes that it will take where the backend computes; 0: there is none. */
size_t side_weights(const struct engine *);
size_t side_kept(const struct engine *);
/* With device, session and strat open; when it fails side_err says why, and all goes on without. */
void side_attach(struct engine *);
void side_detach(struct engine *);
#endif
