/* slots.c - see slots.h. */
#include "kernels/columns/slots.h"
#include "kernels/topk.h"
#include <float.h>
#include <math.h>
#include <string.h>

int slots_open(struct slots *s, int n, int most, enum slot_policy policy, char err[ERR_MAX])
{
	*s = (struct slots){ .n = n, .most = most < n ? most : n, .policy = policy };
	s->slot = mem_new((size_t)n, sizeof(*s->slot), err);
	s->score = mem_new((size_t)n, sizeof(*s->score), err);
	s->rank = mem_new((size_t)n, sizeof(*s->rank), err);
	s->vacant = mem_new((size_t)n, sizeof(*s->vacant), err);
	if (!s->slot || !s->score || !s->rank || !s->vacant) {
		slots_close(s);
		return -1;
	}
	slots_clear(s);
	return 0;
}

void slots_close(struct slots *s)
{
	mem_free(s->slot);
	mem_free(s->score);
	mem_free(s->rank);
	mem_free(s->vacant);
	*s = (struct slots){ 0 };
}

size_t slots_bytes(const struct slots *s)
{
	return (size_t)s->n * (2 * sizeof(int) + 2 * sizeof(float));
}

void slots_clear(struct slots *s)
{
	s->taken = 0;
	s->rows = 0;
	for (int i = 0; i < s->n; i++) {
		s->slot[i] = -1;
		s->score[i] = 0;
	}
}

void slots_copy(struct slots *s, const struct slots *from)
{
	s->taken = from->taken;
	s->rows = from->rows;
	memcpy(s->slot, from->slot, sizeof(*s->slot) * (size_t)s->n);
	memcpy(s->score, from->score, sizeof(*s->score) * (size_t)s->n);
}

void slots_weigh(const struct slots *s, const float *norm, float gamma, float *weight)
{
	for (int i = 0; i < s->n; i++)
		weight[i] = (norm ? norm[i] : 1) * (s->slot[i] < 0 ? gamma : 1);
}

/* Those stay that are largest: what the row reads and is there, what else it reads, the others by
 * their score, which is above 0 for what ever had a slot. */
static void rank(struct slots *s, const uint64_t *set)
{
	for (int i = 0; i < s->n; i++)
		if (slots_has(set, i))
			s->rank[i] = s->slot[i] < 0 ? FLT_MAX : INFINITY;
		else
			s->rank[i] = s->slot[i] < 0 ? 0 : s->score[i];
	topk_keep(s->rank, NULL, s->n, s->most);
}

/* A column leaves only where another one comes, so no slot stays empty between others. */
static void admit(struct slots *s, const uint64_t *set)
{
	int vacant = 0;

	rank(s, set);
	for (int i = 0; i < s->n; i++)
		if (s->slot[i] >= 0 && s->rank[i] == 0) {
			s->vacant[vacant++] = s->slot[i];
			s->slot[i] = -1;
		}
	for (int i = 0; i < s->n; i++)
		if (s->slot[i] < 0 && s->rank[i] > 0)
			s->slot[i] = vacant ? s->vacant[--vacant] : s->taken++;
}

int slots_use(struct slots *s, const uint64_t *set)
{
	int hits = 0, misses = 0;

	s->rows++;
	for (int i = 0; i < s->n; i++) {
		if (!slots_has(set, i))
			continue;
		s->score[i] = s->policy == SLOTS_LRU ? (float)s->rows : s->score[i] + 1;
		hits += s->slot[i] >= 0;
		misses += s->slot[i] < 0;
	}
	if (misses && s->most)
		admit(s, set);
	return hits;
}
