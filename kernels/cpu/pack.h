/* pack.h - the shape of a packed unit, for pack.c and the kernels that read it (see pack.c). */
#ifndef S3D_PACK_H
#define S3D_PACK_H
#include "engine/gguf/quant.h"

struct pack_shape {
	enum quant_type type;
	int bits;       /* of a code: 4, 5, 6 or 8 */
	int n_f16;      /* f16 rows of 16 behind the planes of each block */
	int n_u8;       /* byte rows of 16 behind the planes of each block */
	int n_super;    /* f16 rows of 16 in front of every eighth block */
};

const struct pack_shape *pack_shape(enum quant_type);   /* NULL: this type is not packed */
#endif
