/* columns.h - a matrix by columns, for products that read only the columns which they need.
 *
 * Rows go in groups of mat.slabs slabs of 128 (the last group has what is left); a slab is 8 units.
 * A group is a row of blocks of 32 columns, each of them, in this order:
 *   columns  32 runs, a slab behind the other: 64 bytes of low nibbles (128 of codes, of Q8_0) of
 *            each slab, then 16 bytes of fifth bits, or 32 of fifth and sixth, of each slab
 *   scales   what stands behind a block's planes in each unit, see pack.c
 * and the 256-column types begin every eighth block with what pack.c puts there, of each unit.
 * Within a slab, of row 4l+i of a unit (l, i = 0..3), so that four columns, interleaved byte by
 * byte, are planes of packed units:
 *   nibbles  byte 16l+4j+i: the low one is of unit 2j, the high one of unit 2j+1
 *   bytes    byte 64p+16l+4j+i: of unit 4p+j
 *   high5    byte 4l+i, bit u: of unit u
 *   high6    byte 16p+4l+i, bits 2j..: of unit 4p+j
 * Codes are those of pack.c.  Invariant: as many bytes as packed, with rows up to whole slabs. */
#ifndef S3D_COLUMNS_H
#define S3D_COLUMNS_H
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/pack.h"

enum { SLAB_UNITS = 8, SLAB = SLAB_UNITS * UNIT };

struct column_shape {           /* bytes in a group of some slabs */
	size_t run, high, scales;       /* of a column; where in it high bits begin; of a block */
	size_t super, block;
};

static inline __attribute__((always_inline)) struct column_shape column_shape(struct type_facts f,
									       int slabs)
{
	struct pack_shape p = pack_shape(f);
	size_t n = (size_t)slabs, units = n * SLAB_UNITS;

	return (struct column_shape){ n * (size_t)f.bits * 16, n * 64,
				      units * (size_t)(p.bytes - f.bits * 64),
				      units * (size_t)p.super_bytes, units * (size_t)p.bytes };
}

static inline int column_slabs(int rows)
{
	return (rows + SLAB - 1) / SLAB;
}

/* Slabs of the group that begins with slab s of `all`. */
static inline int column_group(int slabs, int s, int all)
{
	return all - s < slabs ? all - s : slabs;
}
#endif
