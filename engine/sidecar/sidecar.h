/* sidecar.h - a file that adds to a model without changing it: the bridge over which the model
 * drafts for itself, and the adapters behind it.
 *
 * A GGUF of architecture s3d-sidecar.  It names the model that it was made for by a hash and is
 * refused for any other.  struct sidecar owns the mapped file, into which its bridge points.
 * Invariant: the bridge of an open sidecar fits the model (bridge_fits). */
#ifndef S3D_SIDECAR_H
#define S3D_SIDECAR_H
#include "kernels/backend_draft.h"

extern const char *const sidecar_part[ADAPTS];   /* in names of tensors: blk.18.qkv.down */

struct sidecar {
	struct gguf *file;
	struct bridge bridge;
	/* Held-out chance that the first 1, 2, ... k drafts all hold; 0: not said. */
	double expected[BRIDGE_ROWS];
	int *vocab;
	struct adapter (*adapt)[ADAPTS];
};

/* NULL with the reason: there is none at path, it is damaged, or for another model. */
struct sidecar *sidecar_open(const char *path, const struct model *base, char err[ERR_MAX]);
void sidecar_close(struct sidecar *);
/* maker: what made it.  In one step: on failure nothing of the new file stays, and an old one is as
 * it was. */
int sidecar_write(const char *path, const struct model *base, const struct bridge *,
		  const double expected[BRIDGE_ROWS], const char *maker, char err[ERR_MAX]);
/* n floats, a multiple of 32, to Q8_0. */
void sidecar_q8(const float *x, void *blocks, int64_t n);
/* What names a model: SHA-256, in hexadecimal, over its tensors' names, types, shapes and the first
 * and last bytes of each. */
void sidecar_base(const struct model *, char hex[65]);
#endif
