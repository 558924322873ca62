/* importance_parts.h - private to engine/quantize: how importance.c keeps what
 * importance_read.c and importance_measure.c find. */
#ifndef S3D_IMPORTANCE_PARTS_H
#define S3D_IMPORTANCE_PARTS_H
#include "engine/quantize/importance.h"

struct importance *importance_new(char err[ERR_MAX]);
/* A matrix of n columns: room for its numbers, all 0; NULL with err. */
float *importance_add(struct importance *, struct gguf_str name, int64_t n, char err[ERR_MAX]);
#endif
