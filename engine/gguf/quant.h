/* quant.h - the tensor types of GGUF and what their blocks mean.
 *
 * quant_row is the specification of every block layout: kernels are tested against it, and it is
 * tested against recorded values of the Python gguf package.  No state, no ownership. */
#ifndef S3D_QUANT_H
#define S3D_QUANT_H
#include "base/util.h"
#include "engine/gguf/types.h"
#include <stdint.h>
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

struct quant_info {
	enum quant_type type;
	const char *name;       /* "Q4_1" */
	int block;              /* elements in a block */
	int bytes;              /* bytes in a block */
};

const struct quant_info *quant_info(int type);          /* NULL: not supported */
const struct quant_info *quant_find(const char *name);  /* case-insensitive, or NULL */
const char *quant_supported(void);                      /* "F32 F16 ..." for error messages */
const char *quant_name(uint32_t number);                /* of any type in a file; or "unknown" */
/* What the sixteen codes of IQ4_NL and IQ4_XS stand for. */
static const int8_t quant_iq4[16] = { -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53,
				      69, 89, 113 };
int quant_iq4_scale(const uint8_t *block, int g);       /* of group g of IQ4_XS: 0..63 */
int quant_q3_scale(const uint8_t *scales, int g);       /* of group g of Q3_K: 0..63 */
size_t quant_bytes(const struct quant_info *, int64_t n);  /* n elements, a multiple of block */

/* Of a matrix of cols columns and so many bytes: those without the codes of all but `keep` columns.
 * All scales count, and all of a matrix whose columns cannot be told apart in memory. */
size_t quant_columns(int type, size_t bytes, int64_t keep, int64_t cols);

/* *q8: the type that is asked for keys or values is q8_0; else it must be f16, or NULL. */
int quant_cache(const struct quant_info *, bool *q8, char err[ERR_MAX]);

/* dst[0..n-1] = the values of n elements (a multiple of the block) at src. */
void quant_row(enum quant_type, const void *src, float *dst, int64_t n);

float quant_f16_to_f32(uint16_t h);
uint16_t quant_f32_to_f16(float f);      /* round to nearest even */
float quant_bf16_to_f32(uint16_t h);

#ifdef __cplusplus
}
#endif
#endif
