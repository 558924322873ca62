/* importance.h - how large the activations are that each matrix is multiplied by: the mean square
 * of every input, for which an error in its column counts.
 *
 * Measured by running a text through the model, or read from a file as llama-imatrix writes it
 * (GGUF, or the older .dat), which is hostile input.  struct importance owns its numbers.
 * Invariant: every number is finite and not negative. */
#ifndef S3D_IMPORTANCE_H
#define S3D_IMPORTANCE_H
#include "base/util.h"
#include "engine/engine.h"

struct importance;

struct importance *importance_read(const char *path, char err[ERR_MAX]);
/* engine: of the model; text: a file, of which at most `tokens` are run, from an empty cache every
 * 512.  Asked to stop it returns NULL with err "". */
struct importance_job {
	struct engine_opt engine;
	const char *text;
	int tokens;
	void (*progress)(void *ctx, double done);
	bool (*stop)(void *ctx);
	void *ctx;
};
struct importance *importance_measure(const struct importance_job *, char err[ERR_MAX]);
void importance_free(struct importance *);

int importance_n(const struct importance *);            /* matrices that it knows */
/* Of a matrix by its name, n columns; NULL: not known, or not of so many columns. */
const float *importance_of(const struct importance *, struct gguf_str name, int64_t n);
#endif
