/* amx_emulated.c - see amx_emulated.h.
 *
 * Stricter than the processor in two things: the tiles must have been released before they are
 * configured again, and multiplied with before they are released. */
#define AMX_EMULATED
#include "kernels/cpu/amx.h"
#undef NDEBUG
#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum { TILES = 8, TILE_ROWS = 16, TILE_ROW_BYTES = 64 };        /* palette 1 */

static _Thread_local struct {
	bool configured, multiplied;
	struct { int rows, bytes; int8_t v[TILE_ROWS][TILE_ROW_BYTES]; } tile[TILES];
} unit;

void tile_configure(const struct tile_config *c)
{
	assert(!unit.configured);
	assert(c->palette == 1 && c->start_row == 0);
	for (int i = 0; i < 14; i++)
		assert(c->zero[i] == 0);
	memset(&unit, 0, sizeof(unit));
	for (int t = 0; t < 16; t++) {
		assert(t < TILES || (c->rows[t] == 0 && c->row_bytes[t] == 0));
		if (t >= TILES)
			continue;
		assert(c->rows[t] <= TILE_ROWS && c->row_bytes[t] <= TILE_ROW_BYTES);
		assert((c->rows[t] == 0) == (c->row_bytes[t] == 0));
		unit.tile[t].rows = c->rows[t];
		unit.tile[t].bytes = c->row_bytes[t];
	}
	unit.configured = true;
}

void tile_release(void)
{
	assert(unit.configured && unit.multiplied);
	memset(&unit, 0, sizeof(unit));
}

static void check(int t)
{
	assert(unit.configured);
	assert(t >= 0 && t < TILES && unit.tile[t].rows > 0);
}

void tile_zero(int t)
{
	check(t);
	memset(unit.tile[t].v, 0, sizeof(unit.tile[t].v));
}

void tile_load(int t, const void *p, long stride)
{
	tile_zero(t);
	for (int r = 0; r < unit.tile[t].rows; r++)
		memcpy(unit.tile[t].v[r], (const uint8_t *)p + r * stride,
		       (size_t)unit.tile[t].bytes);
}

void tile_store(int t, void *p, long stride)
{
	check(t);
	for (int r = 0; r < unit.tile[t].rows; r++)
		memcpy((uint8_t *)p + r * stride, unit.tile[t].v[r], (size_t)unit.tile[t].bytes);
}

/* Row m of sum: columns n (of 32 bits), j over the bytes of one; x: 4 bytes of row m of a. */
static void add_four(int32_t *sum, int columns, const int8_t *x, const int8_t *b)
{
	for (int n = 0; n < columns; n++)
		for (int j = 0; j < 4; j++)
			sum[n] += x[j] * b[4 * n + j];
}

/* For row m of sum, k over the columns of a (of 32 bits), which are the rows of b. */
void tile_dot(int sum, int a, int b)
{
	int32_t total[TILE_ROW_BYTES / 4];

	check(sum);
	check(a);
	check(b);
	assert(sum != a && sum != b && a != b);
	assert(unit.tile[a].bytes % 4 == 0 && unit.tile[sum].bytes % 4 == 0);
	assert(unit.tile[sum].rows == unit.tile[a].rows);
	assert(unit.tile[sum].bytes == unit.tile[b].bytes);
	assert(unit.tile[a].bytes / 4 == unit.tile[b].rows);
	for (int m = 0; m < unit.tile[sum].rows; m++) {
		memcpy(total, unit.tile[sum].v[m], sizeof(total));
		for (int k = 0; k < unit.tile[b].rows; k++)
			add_four(total, unit.tile[sum].bytes / 4, &unit.tile[a].v[m][4 * k],
				 unit.tile[b].v[k]);
		memcpy(unit.tile[sum].v[m], total, (size_t)unit.tile[sum].bytes);
	}
	unit.multiplied = true;
}
