/* amx.h - the tile instructions of AMX which the kernels use.
 *
 * Assembler of our own: GCC 12's _tile_loadd does not say that it reads memory, and its
 * _tile_loadconfig names 8 of the 64 bytes, so that the stores before them may come too late.  They
 * are macros because a tile's number is part of the instruction; it is a literal or a #define.
 * With AMX_EMULATED the same names are plain C (tests/amx_emulated.c).
 * Invariant: a thread configures before and releases after; nothing else ever pays for tiles. */
#ifndef S3D_AMX_H
#define S3D_AMX_H
#include <stdint.h>

struct tile_config {    /* what ldtilecfg reads */
	uint8_t palette, start_row, zero[14];
	uint16_t row_bytes[16];
	uint8_t rows[16];
};
_Static_assert(sizeof(struct tile_config) == 64, "as the processor reads it");

#if defined(AMX_EMULATED)
#include "tests/amx_emulated.h"
#else
static inline void tile_configure(const struct tile_config *c)
{
	__asm__ volatile("ldtilecfg %0" : : "m"(*c) : "memory");
}
static inline void tile_release(void)
{
	__asm__ volatile("tilerelease" : : : "memory");
}
#define TILE_STRING(x) #x
#define TILE(t) "%%tmm" TILE_STRING(t)
#define tile_zero(t) __asm__ volatile("tilezero " TILE(t) : : : "memory")
/* Rows at p, p + stride, ... */
#define tile_load(t, p, stride) \
	__asm__ volatile("tileloadd (%0,%1,1), " TILE(t) : : "r"(p), "r"((long)(stride)) : "memory")
#define tile_store(t, p, stride) \
	__asm__ volatile("tilestored " TILE(t) ", (%0,%1,1)" \
			 : : "r"(p), "r"((long)(stride)) : "memory")
/* sum(i, r) += over j, a(i, j) * b(j / 4, 4 r + j % 4): int32, of signed bytes. */
#define tile_dot(sum, a, b) \
	__asm__ volatile("tdpbssd " TILE(b) ", " TILE(a) ", " TILE(sum) : : : "memory")
#endif

/* Half a block of a panel and a unit: sums (8 columns x 16 rows of int32), activations (8 columns x
 * 16 bytes), weights (4 planes of 64 bytes).  The second digit is the half. */
#define TILE_SUM_00 0           /* of the first panel */
#define TILE_SUM_01 1
#define TILE_SUM_10 2           /* of the second */
#define TILE_SUM_11 3
#define TILE_ACT_0 4            /* of the first panel, one half after the other */
#define TILE_ACT_1 5            /* of the second */
#define TILE_CODES_0 6
#define TILE_CODES_1 7
static const struct tile_config tile_shapes = {
	.palette = 1,
	.row_bytes = { 64, 64, 64, 64, 16, 16, 64, 64 },
	.rows = { 8, 8, 8, 8, 8, 8, 4, 4 },
};
#endif
