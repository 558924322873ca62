/* tok_merge.c - see tok_merge.h. */
#include "engine/text/tok_merge.h"

void ids_put(struct ids *out, int id)
{
	if (out->n < out->cap)
		out->v[out->n] = id;
	out->n++;
}

void merger_free(struct merger *m)
{
	mem_free(m->sym);
	mem_free(m->heap);
	*m = (struct merger){ 0 };
}

int merger_start(struct merger *m, size_t n, char err[ERR_MAX])
{
	m->n = 0;
	m->n_heap = 0;
	if (n <= m->room)
		return 0;
	size_t room = n < 256 ? 256 : n + n / 2;
	merger_free(m);
	m->sym = mem_new(room, sizeof *m->sym, err);
	m->heap = m->sym ? mem_new(2 * room, sizeof *m->heap, err) : NULL;
	if (!m->heap)
		return -1;
	m->room = room;
	return 0;
}

void merger_put(struct merger *m, int id, size_t at, size_t n)
{
	int i = m->n++;
	m->sym[i] = (struct symbol){ id, i - 1, -1, (uint32_t)at, (uint32_t)n };
	if (i)
		m->sym[i - 1].next = i;
}

static void heap_push(struct merger *m, uint64_t key)
{
	size_t i = m->n_heap++;
	for (; i && m->heap[(i - 1) / 2] > key; i = (i - 1) / 2)
		m->heap[i] = m->heap[(i - 1) / 2];
	m->heap[i] = key;
}

static uint64_t heap_pop(struct merger *m)
{
	uint64_t top = m->heap[0], key = m->heap[--m->n_heap];
	size_t i = 0;
	for (size_t c; (c = 2 * i + 1) < m->n_heap; i = c) {
		c += c + 1 < m->n_heap && m->heap[c + 1] < m->heap[c];
		if (m->heap[c] >= key)
			break;
		m->heap[i] = m->heap[c];
	}
	m->heap[i] = key;
	return top;
}

/* Symbol i and the one behind it: the key of their proposal, or false. */
static bool look(const struct merger *m, int i, merge_join *join, const void *ctx, uint64_t *key,
		 int *id)
{
	uint32_t rank;
	if (i < 0 || m->sym[i].n == 0 || m->sym[i].next < 0 ||
	    !join(ctx, &m->sym[i], &m->sym[m->sym[i].next], &rank, id))
		return false;
	*key = (uint64_t)rank << 32 | (uint32_t)i;
	return true;
}

static void propose(struct merger *m, int i, merge_join *join, const void *ctx)
{
	uint64_t key;
	int id;
	if (look(m, i, join, ctx, &key, &id))
		heap_push(m, key);
}

/* A proposal counts if it is what its symbols would propose now; others are stale.  Every merge
 * takes one proposal out and puts two in at most, so 2 * room is enough. */
void merger_run(struct merger *m, merge_join *join, const void *ctx)
{
	for (int i = 0; i < m->n; i++)
		propose(m, i, join, ctx);
	while (m->n_heap) {
		uint64_t top = heap_pop(m), now;
		int i = (int)(uint32_t)top, id;
		if (!look(m, i, join, ctx, &now, &id) || now != top)
			continue;
		struct symbol *l = &m->sym[i], *r = &m->sym[l->next];
		l->id = id;
		l->n += r->n;
		l->next = r->next;
		r->n = 0;
		if (l->next >= 0)
			m->sym[l->next].prev = i;
		propose(m, l->prev, join, ctx);
		propose(m, i, join, ctx);
	}
}
