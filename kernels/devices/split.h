/* split.h - a backend whose devices are made of two: the cpu computes some layers of a model, the
 * first ones or of each group some (spread.h), another backend the rest, and rows of the residual
 * stream go from one to the other: once a pass, or there and back for each group.
 *
 * Its tables stay until the process ends.  A device that is opened without backend_opt.split, or
 * whose layers all fit, is the other backend's alone. */
#ifndef S3D_SPLIT_H
#define S3D_SPLIT_H
#include "kernels/backend.h"

/* Over a backend with memory of its own, whose name it has; over one at a time. */
const struct backend *backend_split(const struct backend *over);
#endif
