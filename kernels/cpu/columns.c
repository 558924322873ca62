/* columns.c - makes a matrix by columns of the rows of a file: see columns.h.
 *
 * No state.  Invariant: the codes and scales are the file's, in another order. */
#include "kernels/cpu/columns.h"
#include <string.h>

struct slab {           /* what one slab has of a block, and where it puts that */
	const struct type_facts *f;
	struct column_shape shape;
	int s;                          /* of its group */
	uint8_t code[BLOCK][SLAB];      /* missing rows are zero */
};

bool columns_can(enum quant_type type)
{
	return pack_can(type) && type_facts(type).bits >= 4;
}

size_t columns_bytes(enum quant_type type, int rows, int cols)
{
	return (size_t)column_slabs(rows) * SLAB_UNITS * pack_unit_bytes(type, cols);
}

/* Row r of unit u. */
static int code_of(const uint8_t *column, int u, int r)
{
	return column[u * UNIT + r];
}

static void put_low(int bits, const uint8_t *column, uint8_t *to)
{
	for (int r = 0; r < UNIT; r++)
		for (int j = 0; j < 4; j++) {
			int at = r / 4 * 16 + 4 * j + r % 4;

			if (bits == 8) {
				to[at] = (uint8_t)code_of(column, j, r);
				to[64 + at] = (uint8_t)code_of(column, 4 + j, r);
			} else {
				to[at] = (uint8_t)((code_of(column, 2 * j, r) & 15) |
						   code_of(column, 2 * j + 1, r) << 4);
			}
		}
}

static void put_high(int bits, const uint8_t *column, uint8_t *to)
{
	memset(to, 0, (size_t)(bits - 4) * UNIT);
	for (int u = 0; u < SLAB_UNITS; u++)
		for (int r = 0; r < UNIT; r++) {
			int high = code_of(column, u, r) >> 4;

			if (bits == 5)
				to[r] |= (uint8_t)(high << u);
			else
				to[u / 4 * UNIT + r] |= (uint8_t)(high << 2 * (u % 4));
		}
}

static void put_columns(const struct slab *s, uint8_t *block)
{
	int bits = s->f->bits;
	size_t low = bits == 8 ? 128 : 64, high = (size_t)(bits - 4) * UNIT;

	for (int i = 0; i < BLOCK; i++) {
		uint8_t *run = block + (size_t)i * s->shape.run;

		put_low(bits, s->code[i], run + (size_t)s->s * low);
		if (bits == 5 || bits == 6)
			put_high(bits, s->code[i], run + s->shape.high + (size_t)s->s * high);
	}
}

/* Row r of the slab, which is one of the matrix's: its columns 32b.. */
static void take_row(struct slab *s, const uint8_t *row, int b, int r, uint8_t *super,
		     uint8_t *scales)
{
	struct pack_shape p = pack_shape(*s->f);
	int u = s->s * SLAB_UNITS + r / UNIT;
	struct pack_block one;

	pack_read(s->f, row, b, &one);
	for (int i = 0; i < BLOCK; i++)
		s->code[i][r] = one.code[i];
	pack_scales(s->f, &one, r % UNIT, scales + u * (p.bytes - s->f->bits * 64));
	if (super)
		pack_super(s->f, &one, r % UNIT, super + u * p.super_bytes);
}

/* The slab's part of `all` bytes that a group has for each of its slabs. */
static void clear_part(uint8_t *at, size_t all, int slabs, int s)
{
	size_t part = all / (size_t)slabs;

	memset(at + part * (size_t)s, 0, part);
}

void columns_pack(enum quant_type type, const uint8_t *src, int rows, int cols, int slabs, int s,
		  uint8_t *data)
{
	const struct type_facts f = type_facts(type);
	size_t row_bytes = (size_t)(cols / f.block) * (size_t)f.bytes;
	int first = s - s % slabs, n = column_group(slabs, first, column_slabs(rows));
	int left = rows - s * SLAB < SLAB ? rows - s * SLAB : SLAB;
	struct slab slab = { .f = &f, .shape = column_shape(f, n), .s = s - first };

	data += columns_bytes(type, first * SLAB, cols);
	src += (size_t)s * SLAB * row_bytes;
	for (int b = 0; b < cols / BLOCK; b++) {
		uint8_t *super = b % 8 == 0 && slab.shape.super ? data : NULL, *scales;

		if (super) {
			clear_part(super, slab.shape.super, n, slab.s);
			data += slab.shape.super;
		}
		scales = data + BLOCK * slab.shape.run;
		clear_part(scales, slab.shape.scales, n, slab.s);
		for (int r = 0; r < left; r++)
			take_row(&slab, src + (size_t)r * row_bytes, b, r, super, scales);
		put_columns(&slab, data);
		data += slab.shape.block;
	}
}
