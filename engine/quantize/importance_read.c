/* importance_read.c - what llama-imatrix wrote.
 *
 * GGUF: of each matrix NAME the sums of squares NAME.in_sum2 and how many rows these are of,
 * NAME.counts.  The older form, numbers of four bytes: how many matrices, and of each the length of
 * its name, the name, how many chunks, how many columns, and the sums over chunks. */
#include "base/file.h"
#include "engine/quantize/importance_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SUMS ".in_sum2"
#define COUNTS ".counts"
enum { NAME_LONGEST = 255, MATRICES_MOST = 1 << 20 };

/* sums / count; a matrix that saw nothing is left out by the caller. */
static int add_mean(struct importance *m, struct gguf_str name, const uint8_t *sums, int64_t n,
		    float count, const char *path, char err[ERR_MAX])
{
	float *mean = importance_add(m, name, n, err);

	for (int64_t i = 0; mean && i < n; i++) {
		float v;

		memcpy(&v, sums + 4 * i, sizeof(v));
		mean[i] = v / count;
		if (!(mean[i] >= 0) || isinf(mean[i]))
			return fail(err, "%s: %.*s: the sum of column %lld is no number of at "
				    "least 0", path, (int)(name.n > 64 ? 64 : name.n), name.s,
				    (long long)i);
	}
	return mean ? 0 : -1;
}

static int add_tensor(struct importance *m, const struct gguf *g, const struct gguf_tensor *t,
		      char err[ERR_MAX])
{
	size_t end = sizeof(SUMS) - 1;
	char name[NAME_LONGEST + sizeof(COUNTS)];
	const struct gguf_tensor *counts;
	float count;

	if (t->name.n <= end || t->name.n > NAME_LONGEST ||
	    memcmp(t->name.s + t->name.n - end, SUMS, end))
		return 0;
	snprintf(name, sizeof(name), "%.*s%s", (int)(t->name.n - end), t->name.s, COUNTS);
	counts = gguf_tensor_find(g, name);
	if (!counts || t->type != QUANT_F32 || counts->type != QUANT_F32)
		return fail(err, "%s: no float32 tensors %.*s and %s, which belong together",
			    gguf_path(g), (int)t->name.n, t->name.s, name);
	memcpy(&count, counts->data, sizeof(count));
	if (!(count > 0) || t->dim[1] != 1)     /* nothing seen; experts have a row each */
		return 0;
	return add_mean(m, (struct gguf_str){ t->name.s, t->name.n - end }, t->data, t->dim[0],
			count, gguf_path(g), err);
}

static int read_gguf(struct importance *m, const char *path, char err[ERR_MAX])
{
	struct gguf *g = gguf_open(path, err);
	int rc = g ? 0 : -1;

	for (int64_t i = 0; !rc && i < gguf_n_tensors(g); i++)
		rc = add_tensor(m, g, gguf_tensor_at(g, i), err);
	gguf_close(g);
	return rc;
}

struct cursor {                 /* what is left of the older form */
	const uint8_t *p;
	size_t left;
};

static const uint8_t *take(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (n > c->left)
		return NULL;
	c->p += n;
	c->left -= n;
	return p;
}

static bool take_number(struct cursor *c, int32_t least, int32_t most, int32_t *v)
{
	const uint8_t *p = take(c, sizeof(*v));

	if (!p)
		return false;
	memcpy(v, p, sizeof(*v));
	return *v >= least && *v <= most;
}

static int add_entry(struct importance *m, struct cursor *c, const char *path, char err[ERR_MAX])
{
	int32_t n_name, calls, n;
	const uint8_t *name, *sums;

	if (!take_number(c, 1, NAME_LONGEST, &n_name) || !(name = take(c, (size_t)n_name)) ||
	    !take_number(c, 0, INT32_MAX, &calls) || !take_number(c, 1, 1 << 28, &n) ||
	    !(sums = take(c, (size_t)n * 4)))
		return fail(err, "%s: not a file of llama-imatrix, or cut off: matrix %d of it "
			    "cannot be read", path, importance_n(m) + 1);
	return add_mean(m, (struct gguf_str){ (const char *)name, (size_t)n_name }, sums, n,
			calls ? (float)calls : 1, path, err);
}

static int read_dat(struct importance *m, const char *path, char err[ERR_MAX])
{
	size_t size;
	char *bytes = file_read(path, FILE_ORDINARY, (size_t)1 << 31, &size, err);
	struct cursor c = { (const uint8_t *)bytes, bytes ? size : 0 };
	int32_t n = 0;
	int rc = bytes ? 0 : -1;

	if (!rc && !take_number(&c, 1, MATRICES_MOST, &n))
		rc = fail(err, "%s: not a file of llama-imatrix", path);
	for (int32_t i = 0; !rc && i < n; i++)
		rc = add_entry(m, &c, path, err);
	free(bytes);
	return rc;
}

/* A file that is not GGUF is taken for the older form. */
static bool is_gguf(const char *path)
{
	char magic[4] = "";
	FILE *f = fopen(path, "re");
	bool is = f && fread(magic, 1, 4, f) == 4 && !memcmp(magic, "GGUF", 4);

	if (f)
		fclose(f);
	return is;
}

struct importance *importance_read(const char *path, char err[ERR_MAX])
{
	struct importance *m = importance_new(err);
	int rc = !m ? -1 : is_gguf(path) ? read_gguf(m, path, err) : read_dat(m, path, err);

	if (!rc && !importance_n(m))
		rc = fail(err, "%s: no matrix of it has been measured (tensors named NAME%s)",
			  path, SUMS);
	if (rc) {
		importance_free(m);
		return NULL;
	}
	return m;
}
