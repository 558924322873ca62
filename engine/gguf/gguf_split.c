/* gguf_split.c - a model in several files, as gguf-split of llama.cpp makes them:
 * NAME-00001-of-00003.gguf has the keys and the first tensors, the others have the rest.
 *
 * The struct gguf of the first file owns the others and has one table of all tensors.  Invariant:
 * every part says itself that it is the one its name says; what a part says is checked before it
 * is used for anything. */
#include "engine/gguf/gguf_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO "split.no"
#define COUNT "split.count"
#define TENSORS "split.tensors.count"
enum { PARTS_MAX = 99999 };     /* five digits */

size_t gguf_stem(const char *path)
{
	size_t n = strlen(path), k = strlen("-00001-of-00003.gguf");
	const char *p = n > k ? path + n - k : "";

	for (const char *as = "-DDDDD-of-DDDDD.gguf"; *as; as++, p++)
		if (*as == 'D' ? *p < '0' || *p > '9' : *p != *as)
			return 0;
	return n - k;
}

int gguf_parts(const struct gguf *g, int *no, int *count, char err[ERR_MAX])
{
	int64_t of = 1, i = 0;

	*no = 0;
	*count = 1;
	if (!gguf_has(g, COUNT))
		return 0;
	if (!gguf_int(g, COUNT, &of) || of < 0 || of > PARTS_MAX)
		return fail(err, "%s: " COUNT " is no number of files up to %d", g->shown,
			    PARTS_MAX);
	if (of < 2)
		return 0;
	if (!gguf_int(g, NO, &i) || i < 0 || i >= of)
		return fail(err, "%s: " NO " must be a number below the %lld of " COUNT, g->shown,
			    (long long)of);
	*no = (int)i;
	*count = (int)of;
	return 0;
}

/* The path of another part; NULL with err: this one is not named as a part, or no memory. */
static char *part_path(const struct gguf *g, int no, int count, char err[ERR_MAX])
{
	size_t stem = gguf_stem(g->path), room = stem + sizeof("-00001-of-00003.gguf");
	char *path = stem ? mem_new(room, 1, err) : NULL;

	if (path)
		snprintf(path, room, "%.*s-%05d-of-%05d.gguf", (int)stem, g->path, no + 1, count);
	else if (!stem)
		fail(err, "%s: is one of %d parts of a model, so its name must be "
		     "NAME-00001-of-%05d.gguf and those of the others alike", g->shown, count,
		     count);
	return path;
}

struct gguf *gguf_part(const struct gguf *g, int no, int count, char err[ERR_MAX])
{
	char why[ERR_MAX], *path = part_path(g, no, count, err);
	struct gguf *part = path ? gguf_open_one(path, why) : NULL;
	int is, of, rc;

	if (path && !part)
		fail(err, "part %d of %d of the model: %s (all parts must lie in one folder)",
		     no + 1, count, why);
	mem_free(path);
	if (!part)
		return NULL;
	rc = gguf_parts(part, &is, &of, err);
	if (rc == 0 && (is != no || of != count))
		rc = fail(err, "%s: says that it is part %d of %d, its name says %d of %d",
			  part->shown, is + 1, of, no + 1, count);
	if (rc == 0)
		return part;
	gguf_close(part);
	return NULL;
}

static int by_name(const void *a, const void *b)
{
	return gguf_str_cmp(((const struct gguf_name *)a)->name,
			    ((const struct gguf_name *)b)->name);
}

/* The first part's tables become those of all tensors. */
static int merge(struct gguf *g, int64_t n, char err[ERR_MAX])
{
	struct gguf_tensor *all = mem_new((size_t)n + 1, sizeof(*all), err);
	struct gguf_name *name = all ? mem_new((size_t)n + 1, sizeof(*name), err) : NULL;
	int64_t at = g->n_tensors;

	if (!name) {
		mem_free(all);
		return -1;
	}
	memcpy(all, g->tensor, (size_t)at * sizeof(*all));
	for (int i = 0; i < g->n_more; at += g->more[i++]->n_tensors)
		memcpy(all + at, g->more[i]->tensor,
		       (size_t)g->more[i]->n_tensors * sizeof(*all));
	for (int64_t i = 0; i < n; i++)
		name[i] = (struct gguf_name){ all[i].name, i };
	qsort(name, (size_t)n, sizeof(*name), by_name);
	mem_free(g->tensor);
	mem_free(g->tensor_name);
	g->tensor = all;
	g->tensor_name = name;
	g->n_tensors = n;
	for (int64_t i = 1; i < n; i++)
		if (!gguf_str_cmp(name[i - 1].name, name[i].name))
			return fail(err, "%s: tensor '%.*s' is in two parts of the model", g->shown,
				    (int)(name[i].name.n < GGUF_SHOWN ? name[i].name.n :
					  GGUF_SHOWN), name[i].name.s);
	return 0;
}

int gguf_join(struct gguf *g, int count, char err[ERR_MAX])
{
	int64_t n = g->n_tensors, want;

	/* No larger than what is there: a part that is missing ends it. */
	for (int i = 1; i < count; i++) {
		struct gguf **more = realloc(g->more, (size_t)i * sizeof(*more));

		if (!more)
			return fail(err, "%s: out of memory for %d parts", g->shown, count);
		g->more = more;
		g->more[i - 1] = gguf_part(g, i, count, err);
		if (!g->more[i - 1])
			return -1;
		g->n_more = i;
		n += g->more[i - 1]->n_tensors;
	}
	if (gguf_int(g, TENSORS, &want) && want != n)
		return fail(err, "%s: its %d parts have %lld tensors together, " TENSORS
			    " says %lld; one of them is of another model", g->shown, count,
			    (long long)n, (long long)want);
	return merge(g, n, err);
}
