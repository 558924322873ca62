/* info.h - what an open engine says of itself: where it computes, and what it takes there.
 * No state. */
#ifndef S3D_INFO_H
#define S3D_INFO_H
#include "engine/engine.h"

const char *engine_backend(const struct engine *);      /* "cpu", "cuda" */
const char *engine_device(const struct engine *);       /* "avx512, 2 threads" */
bool engine_calibrates(const struct engine *);          /* a sidecar can be made, and used, here */
struct engine_memory {          /* bytes that are taken where it computes */
	size_t weights, work, kv;
	size_t little;          /* all of the little model; 0: none */
};
struct engine_memory engine_memory(const struct engine *);
/* What the process takes of a device's own memory now; 0: unknown, or it has none. */
size_t engine_used(const struct engine *);
/* Bytes of weights that a pass for one token needs, in the file's types; see struct op. */
size_t engine_token_bytes(const struct engine *);
/* What the cache of columns has done since the text began, or was set; 0: there is none. */
struct column_counts engine_columns(const struct engine *);
/* err, of a pass that failed, with the backend's name before it and what to do behind it; -1. */
int engine_fail(const struct engine *, const char *then, char err[ERR_MAX]);
#endif
