/* importance.c - see importance.h: a list of matrices by name. */
#include "engine/quantize/importance_parts.h"

#include <stdlib.h>
#include <string.h>

struct entry {
	char *name;             /* malloc'ed */
	int64_t n;
	float *mean;
};

struct importance {
	struct entry *entry;    /* malloc'ed */
	int n, cap;
};

struct importance *importance_new(char err[ERR_MAX])
{
	return mem_new(1, sizeof(struct importance), err);
}

void importance_free(struct importance *m)
{
	for (int i = 0; m && i < m->n; i++) {
		free(m->entry[i].name);
		mem_free(m->entry[i].mean);
	}
	if (m)
		free(m->entry);
	mem_free(m);
}

static bool grow(struct importance *m)
{
	struct entry *more;
	int cap = 2 * m->cap + 64;

	if (m->n < m->cap)
		return true;
	more = realloc(m->entry, (size_t)cap * sizeof(*more));
	if (!more)
		return false;
	m->entry = more;
	m->cap = cap;
	return true;
}

float *importance_add(struct importance *m, struct gguf_str name, int64_t n, char err[ERR_MAX])
{
	struct entry e = { .n = n };

	if (!grow(m) || !(e.name = strndup(name.s, name.n))) {
		fail(err, "no memory for what is known of %d matrices", m->n + 1);
		return NULL;
	}
	e.mean = mem_new((size_t)n, sizeof(float), err);
	if (!e.mean) {
		free(e.name);
		return NULL;
	}
	m->entry[m->n++] = e;
	return e.mean;
}

int importance_n(const struct importance *m)
{
	return m->n;
}

const float *importance_of(const struct importance *m, struct gguf_str name, int64_t n)
{
	for (int i = 0; m && i < m->n; i++) {
		const struct entry *e = &m->entry[i];

		if (gguf_str_is(name, e->name))
			return e->n == n ? e->mean : NULL;
	}
	return NULL;
}
