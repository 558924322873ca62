/* encode.h - numbers into the blocks that quant.h decodes, with the least weighted square error
 * that was found.
 *
 * No state, nothing owned.  Invariant: the scales that are written are those that codes were chosen
 * for, after their own rounding. */
#ifndef S3D_ENCODE_H
#define S3D_ENCODE_H
#include "engine/gguf/quant.h"

bool encode_can(enum quant_type);       /* whether encode_row knows this type */
/* n finite numbers, a multiple of the block, to dst; weight (n): how much the square of an error in
 * each counts, NULL: all alike. */
void encode_row(enum quant_type, const float *x, const float *weight, int64_t n, void *dst);
#endif
