/* load.c - see load.h.
 *
 * Packing copies a tensor 16 rows at a time and lets its mapped pages go, so that the peak of
 * memory is little more than the file.  No state. */
#include "kernels/cpu/columns.h"
#include "kernels/cpu/load.h"

enum { PACK_SLICE = 4 << 20 };   /* bytes of the file packed at once */

/* Thread-parallel packing of a slice of one matrix. */
struct pack_job {
	struct dev *d;
	const struct gguf_tensor *t;
	struct mat *m;
	int from, to;           /* units to pack, or slabs */
};

static void pack_share(void *arg, int t)
{
	const struct pack_job *j = arg;
	const struct mat *m = j->m;
	uint8_t *data = (uint8_t *)(uintptr_t)m->data;
	int from, to;

	pool_share(j->d->pool, t, j->to - j->from, &from, &to);
	for (int i = j->from + from; i < j->from + to; i++)
		if (m->slabs)
			columns_pack(m->type, j->t->data, m->rows, m->cols, m->slabs, i, data);
		else
			pack_unit(m->type, j->t->data, m->rows, m->cols, i,
				  data + (size_t)i * m->unit_bytes);
}

bool mat_packs(const struct dev *d, const struct gguf_tensor *t)
{
	return !d->floats && d->k->packed(t->type) && pack_can(t->type);
}

static bool lies_by_columns(const struct dev *d, const struct gguf_tensor *t, enum lie lie)
{
	return lie == BY_COLUMNS && mat_packs(d, t) && columns_can(t->type) &&
	       d->k->columns(t->type);
}

size_t mat_packed(const struct dev *d, const struct gguf_tensor *t, enum lie lie)
{
	size_t units = ((size_t)t->dim[1] + UNIT - 1) / UNIT, bytes;

	if (!mat_packs(d, t))
		return 0;
	bytes = lies_by_columns(d, t, lie) ?
		columns_bytes(t->type, (int)t->dim[1], (int)t->dim[0]) :
		units * pack_unit_bytes(t->type, (int)t->dim[0]);
	return (bytes + 63) & ~(size_t)63;
}

/* A slice at a time, so that little of the tensor is in memory twice. */
static void pack_mat(struct dev *d, struct mat *m, const struct gguf_tensor *t,
		     const struct gguf *file)
{
	int each = m->slabs ? SLAB : UNIT, all = (m->rows + each - 1) / each;
	size_t file_bytes = (size_t)each * quant_bytes(quant_info(m->type), m->cols);
	int slice = (int)(PACK_SLICE / file_bytes) + 1;

	for (int i = 0; i < all; i += slice) {
		int end = all - i < slice ? all : i + slice;
		size_t from = (size_t)i * file_bytes, to = (size_t)end * file_bytes;

		pool_run(d->pool, pack_share, &(struct pack_job){ d, t, m, i, end });
		if (file)
			gguf_drop(file, (const uint8_t *)t->data + from,
				  (to < t->bytes ? to : t->bytes) - from);
	}
}

/* Slabs of a group: what a thread has of a matrix, so that its columns lie next to each other. */
static int group_slabs(const struct dev *d, int rows)
{
	int all = column_slabs(rows), each = (all + d->n_threads - 1) / d->n_threads;

	return each < COLUMN_SLABS ? each : COLUMN_SLABS;
}

/* A matrix of which all but the layout is known. */
static void lay(struct dev *d, struct mat *m, const struct gguf_tensor *t, const struct gguf *file,
		enum lie lie)
{
	bool columns = lies_by_columns(d, t, lie);

	m->slabs = columns ? group_slabs(d, m->rows) : 0;
	m->mul = columns ? d->k->columns(t->type) : d->k->packed(t->type);
	pack_mat(d, m, t, file);
}

void mat_lay(struct dev *d, struct mat *m, const struct gguf_tensor *t, const struct gguf *file,
	     enum lie lie, size_t most)
{
	if (m->packed && mat_packed(d, t, lie) <= most &&
	    lies_by_columns(d, t, lie) != (m->slabs > 0))
		lay(d, m, t, file, lie);
}

void mat_load(struct dev *d, struct mat *m, const struct gguf_tensor *t, const struct gguf *file,
	      enum lie lie, uint8_t **at)
{
	*m = (struct mat){ .type = t->type, .rows = (int)t->dim[1], .cols = (int)t->dim[0],
			   .data = t->data, .takes = ACT_FLOATS, .mul = d->k->floats };
	if (!mat_packs(d, t))
		return;
	m->packed = true;
	m->takes = ACT_INT8;
	m->unit_bytes = pack_unit_bytes(t->type, m->cols);
	m->data = *at;
	*at += mat_packed(d, t, lie);
	lay(d, m, t, file, lie);
}
