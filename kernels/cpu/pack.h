/* pack.h - the shape of a packed unit, for pack.c, columns.c and the kernels that read what these
 * make; the blocks of a file's rows, taken apart.
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

struct pack_block {     /* 32 columns of one row, taken apart */
	uint8_t code[32];
	uint8_t scale[2], min;
	const uint8_t *d, *m;   /* f16 each, in the file; m only of types that have one */
};
/* Columns 32b.. of a row. */
void pack_read(const struct type_facts *, const uint8_t *row, int b, struct pack_block *);
/* Puts the scales of row r of a unit where they lie behind the planes of a block, or, super, in
 * front of every eighth block. */
void pack_scales(const struct type_facts *, const struct pack_block *, int r, uint8_t *after);
void pack_super(const struct type_facts *, const struct pack_block *, int r, uint8_t *super);
#endif
