/* load.c - see load.h.
 *
 * Packing copies a tensor 16 rows at a time and lets its mapped pages go, so that the peak of
 * memory is little more than the file.  No state. */
#include "kernels/cpu/load.h"

enum { PACK_SLICE = 4 << 20 };   /* bytes of the file packed at once */

/* Thread-parallel packing of a slice of one matrix. */
struct pack_job {
	struct dev *d;
	const struct gguf_tensor *t;
	struct mat *m;
	int u0, u1;             /* units to pack */
};

static void pack_share(void *arg, int t)
{
	struct pack_job *j = arg;
	int from, to;

	pool_share(j->d->pool, t, j->u1 - j->u0, &from, &to);
	for (int u = j->u0 + from; u < j->u0 + to; u++)
		pack_unit(j->m->type, j->t->data, j->m->rows, j->m->cols, u,
			  (uint8_t *)j->m->data + (size_t)u * j->m->unit_bytes);
}

bool mat_packs(const struct dev *d, const struct gguf_tensor *t)
{
	return !d->floats && d->k->packed(t->type) && pack_can(t->type);
}

size_t mat_packed(const struct dev *d, const struct gguf_tensor *t)
{
	size_t units = ((size_t)t->dim[1] + UNIT - 1) / UNIT;

	if (!mat_packs(d, t))
		return 0;
	return (units * pack_unit_bytes(t->type, (int)t->dim[0]) + 63) & ~(size_t)63;
}

/* A slice at a time, so that little of the tensor is in memory twice. */
static void pack_mat(struct dev *d, struct mat *m, const struct gguf_tensor *t,
		     const struct gguf *file)
{
	size_t file_bytes = UNIT * quant_bytes(quant_info(m->type), m->cols);
	int units = (m->rows + UNIT - 1) / UNIT, slice = (int)(PACK_SLICE / file_bytes) + 1;

	for (int u = 0; u < units; u += slice) {
		int end = units - u < slice ? units : u + slice;
		size_t from = (size_t)u * file_bytes, to = (size_t)end * file_bytes;

		pool_run(d->pool, pack_share, &(struct pack_job){ d, t, m, u, end });
		if (file)
			gguf_drop(file, (const uint8_t *)t->data + from,
				  (to < t->bytes ? to : t->bytes) - from);
	}
}

void mat_load(struct dev *d, struct mat *m, const struct gguf_tensor *t, const struct gguf *file,
	      uint8_t **at)
{
	*m = (struct mat){ .type = t->type, .rows = (int)t->dim[1], .cols = (int)t->dim[0],
			   .data = t->data, .takes = ACT_FLOATS, .mul = d->k->floats };
	if (!mat_packs(d, t))
		return;
	m->packed = true;
	m->takes = ACT_INT8;
	m->mul = d->k->packed(t->type);
	m->unit_bytes = pack_unit_bytes(t->type, m->cols);
	m->data = *at;
	*at += mat_packed(d, t);
	pack_mat(d, m, t, file);
}
