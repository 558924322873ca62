/* pack.h - the shape of a packed unit, for pack.c and the kernels that read it (see pack.c).
 *
 * Everything follows from the row of the type, and folds away where the compiler knows the type. */
#ifndef S3D_PACK_H
#define S3D_PACK_H
#include "engine/gguf/quant.h"

struct pack_shape {
	int bits;               /* of a code: 2 to 6, or 8 */
	int super_bytes;        /* in front of every eighth block, where scales have scales */
	int bytes;              /* of a block: planes, and the scales behind them */
};

static inline __attribute__((always_inline)) struct pack_shape pack_shape(struct type_facts f)
{
	int scales = f.flags & TYPE_MIN ? 2 : 1, super = f.block == TYPE_SUPER;

	return (struct pack_shape){ f.bits, super ? scales * 32 : 0,
				    f.bits * 64 + (super ? 32 : scales * 32) };
}
#endif
