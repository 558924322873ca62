/* engine_sidecar.h - for engine.c: the part of an engine that a sidecar is.
 *
 * Invariant: strat.bridged is set exactly while device and cache are ready for the sidecar's
 * bridge. */
#ifndef S3D_ENGINE_SIDECAR_H
#define S3D_ENGINE_SIDECAR_H
#include "engine/engine.h"

/* Bytes that it will take where the backend computes; 0: there is none. */
size_t engine_sidecar_weights(const struct engine *);
size_t engine_sidecar_kept(const struct engine *);
/* With device, session and strat open; when it fails sidecar_err says why, and all goes on
 * without. */
void engine_sidecar_attach(struct engine *);
void engine_sidecar_detach(struct engine *);
/* Its drafts run in the groups of draft_group. */
void engine_sidecar_group(struct engine *);
#endif
