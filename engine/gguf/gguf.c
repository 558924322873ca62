/* gguf.c - a GGUF file as a read-only mapping, and questions about its keys and tensors.
 *
 * struct gguf owns mapping, tables and the copy of its path; gguf_close accepts a half-built one.
 * Invariant: nothing here writes to the file or trusts a length that gguf_parse.c did not check. */
#include "engine/gguf/gguf_in.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static struct gguf *gguf_new(const char *path, char err[ERR_MAX])
{
	size_t len = strlen(path);
	struct gguf *g = mem_new(1, sizeof(*g), err);

	if (!g)
		return NULL;
	g->path = mem_new(len + 1, 1, err);
	if (!g->path) {
		mem_free(g);
		return NULL;
	}
	memcpy(g->path, path, len + 1);
	if (len < sizeof(g->shown))
		memcpy(g->shown, path, len + 1);
	else
		snprintf(g->shown, sizeof(g->shown), "...%s", path + len - sizeof(g->shown) + 4);
	return g;
}

static int map_fd(struct gguf *g, int fd, char err[ERR_MAX])
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return fail(err, "%s: %s", g->shown, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return fail(err, "%s: is a directory; name the .gguf file inside it", g->shown);
	if (!S_ISREG(st.st_mode))
		return fail(err, "%s: is not a regular file; copy the model to a file first",
			    g->shown);
	if (st.st_size == 0)
		return fail(err, "%s: the file is empty; download it again", g->shown);
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return fail(err, "%s: cannot map %lld MiB: %s", g->shown,
			    (long long)(st.st_size >> 20), strerror(errno));
	g->p = p;
	g->n = (size_t)st.st_size;
	g->mapped = true;
	return 0;
}

static int map_path(struct gguf *g, char err[ERR_MAX])
{
	int fd = open(g->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);      /* a pipe must not block */

	if (fd < 0)
		return fail(err, "%s: cannot open: %s", g->shown, strerror(errno));
	int rc = map_fd(g, fd, err);
	close(fd);
	return rc;
}

struct gguf *gguf_open_one(const char *path, char err[ERR_MAX])
{
	struct gguf *g = gguf_new(path, err);

	if (g && (map_path(g, err) < 0 || gguf_read(g, err) < 0)) {
		gguf_close(g);
		return NULL;
	}
	return g;
}

struct gguf *gguf_open(const char *path, char err[ERR_MAX])
{
	struct gguf *g = gguf_open_one(path, err), *first;
	int no, count, rc = g ? gguf_parts(g, &no, &count, err) : -1;

	if (rc == 0 && no > 0) {        /* any part stands for the whole */
		first = gguf_part(g, 0, count, err);
		gguf_close(g);
		g = first;
		rc = g ? 0 : -1;
	}
	if (rc == 0 && count > 1)
		rc = gguf_join(g, count, err);
	if (rc == 0)
		return g;
	gguf_close(g);
	return NULL;
}

struct gguf *gguf_parse(const void *bytes, size_t n, const char *name, char err[ERR_MAX])
{
	struct gguf *g = gguf_new(name, err);

	if (!g)
		return NULL;
	g->p = bytes;
	g->n = n;
	if (gguf_read(g, err) < 0) {
		gguf_close(g);
		return NULL;
	}
	return g;
}

void gguf_close(struct gguf *g)
{
	if (!g)
		return;
	for (int64_t i = 0; g->kv && i < g->n_kv; i++)
		mem_free(g->kv[i].str);
	mem_free(g->kv);
	mem_free(g->kv_name);
	mem_free(g->tensor);
	mem_free(g->tensor_name);
	for (int i = 0; i < g->n_more; i++)
		gguf_close(g->more[i]);
	free(g->more);
	if (g->mapped)
		munmap((void *)(uintptr_t)g->p, g->n);
	mem_free(g->path);
	mem_free(g);
}

const char *gguf_path(const struct gguf *g)
{
	return g->path;
}

size_t gguf_size(const struct gguf *g)
{
	size_t n = g->n;

	for (int i = 0; i < g->n_more; i++)
		n += g->more[i]->n;
	return n;
}

static int by_name(const void *name, const void *entry)
{
	return gguf_str_cmp(*(const struct gguf_str *)name,
			    ((const struct gguf_name *)entry)->name);
}

/* Index of name in a sorted table of n entries, or -1. */
static int64_t find(const struct gguf_name *table, int64_t n, const char *name)
{
	struct gguf_str s = { name, strlen(name) };
	const struct gguf_name *hit = n ? bsearch(&s, table, (size_t)n, sizeof(*table), by_name) :
				      NULL;

	return hit ? hit->i : -1;
}

static const struct gguf_kv *kv_find(const struct gguf *g, const char *key)
{
	int64_t i = find(g->kv_name, g->n_kv, key);

	return i < 0 ? NULL : &g->kv[i];
}

/* An integer of any width at p; false: another type, or beyond int64_t. */
static bool load_int(enum gguf_type type, const uint8_t *p, int64_t *out)
{
	uint64_t v = 0;
	size_t size = gguf_value_size(type);

	if (type == GGUF_F32 || type == GGUF_F64 || type == GGUF_BOOL || size == 0)
		return false;
	memcpy(&v, p, size);
	if (type == GGUF_I8 || type == GGUF_I16 || type == GGUF_I32) {
		int unused = 64 - 8 * (int)size;

		*out = (int64_t)(v << unused) >> unused;
		return true;
	}
	if (type == GGUF_U64 && v > INT64_MAX)
		return false;
	*out = (int64_t)v;
	return true;
}

static bool load_float(enum gguf_type type, const uint8_t *p, double *out)
{
	float f;

	if (type == GGUF_F64) {
		memcpy(out, p, sizeof(*out));
		return true;
	}
	if (type != GGUF_F32)
		return false;
	memcpy(&f, p, sizeof(f));
	*out = (double)f;
	return true;
}

int64_t gguf_n_keys(const struct gguf *g)
{
	return g->n_kv;
}

struct gguf_str gguf_key_at(const struct gguf *g, int64_t i)
{
	return g->kv[i].key;
}

bool gguf_has(const struct gguf *g, const char *key)
{
	return kv_find(g, key) != NULL;
}

bool gguf_int(const struct gguf *g, const char *key, int64_t *out)
{
	const struct gguf_kv *kv = kv_find(g, key);

	return kv && load_int(kv->type, kv->at, out);
}

bool gguf_float(const struct gguf *g, const char *key, double *out)
{
	const struct gguf_kv *kv = kv_find(g, key);

	return kv && load_float(kv->type, kv->at, out);
}

bool gguf_bool(const struct gguf *g, const char *key, bool *out)
{
	const struct gguf_kv *kv = kv_find(g, key);

	if (!kv || kv->type != GGUF_BOOL)
		return false;
	*out = *kv->at != 0;
	return true;
}

bool gguf_string(const struct gguf *g, const char *key, struct gguf_str *out)
{
	const struct gguf_kv *kv = kv_find(g, key);

	if (!kv || kv->type != GGUF_STRING)
		return false;
	*out = kv->text;
	return true;
}

bool gguf_array(const struct gguf *g, const char *key, enum gguf_type *type, int64_t *n)
{
	const struct gguf_kv *kv = kv_find(g, key);

	if (!kv || kv->type != GGUF_ARRAY || kv->elem == GGUF_ARRAY)
		return false;
	*type = kv->elem;
	*n = kv->n;
	return true;
}

struct gguf_str gguf_array_string(const struct gguf *g, const char *key, int64_t i)
{
	const struct gguf_kv *kv = kv_find(g, key);

	if (!kv || !kv->str || i < 0 || i >= kv->n)
		return (struct gguf_str){ "", 0 };
	return kv->str[i];
}

/* Element i of an array of numbers, NULL when there is no such thing. */
static const uint8_t *element(const struct gguf *g, const char *key, int64_t i,
			      enum gguf_type *type)
{
	const struct gguf_kv *kv = kv_find(g, key);
	size_t size = kv && kv->type == GGUF_ARRAY ? gguf_value_size(kv->elem) : 0;

	if (!size || i < 0 || i >= kv->n)
		return NULL;
	*type = kv->elem;
	return kv->at + (size_t)i * size;
}

int64_t gguf_array_int(const struct gguf *g, const char *key, int64_t i)
{
	enum gguf_type type;
	int64_t v = 0;
	const uint8_t *p = element(g, key, i, &type);

	if (p && type == GGUF_BOOL)
		return *p != 0;
	return p && load_int(type, p, &v) ? v : 0;
}

double gguf_array_float(const struct gguf *g, const char *key, int64_t i)
{
	enum gguf_type type;
	double v = 0;
	const uint8_t *p = element(g, key, i, &type);

	return p && load_float(type, p, &v) ? v : 0;
}

int64_t gguf_n_tensors(const struct gguf *g)
{
	return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor_at(const struct gguf *g, int64_t i)
{
	return &g->tensor[i];
}

const struct gguf_tensor *gguf_tensor_find(const struct gguf *g, const char *name)
{
	int64_t i = find(g->tensor_name, g->n_tensors, name);

	return i < 0 ? NULL : &g->tensor[i];
}

void gguf_drop(const struct gguf *g, const void *data, size_t bytes)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t first = ((uintptr_t)data + page - 1) & ~(page - 1);
	uintptr_t last = ((uintptr_t)data + bytes) & ~(page - 1);

	if (g->mapped && first < last)          /* on memory of others it would lose the bytes */
		madvise((void *)first, last - first, MADV_DONTNEED);
}

/* The tensors of g whose bytes lie in one of its files, which may be g itself. */
static void drop_file(const struct gguf *g, const struct gguf *file)
{
	const uint8_t *from = NULL, *to = NULL;

	for (int64_t i = 0; i < g->n_tensors; i++) {
		const uint8_t *data = g->tensor[i].data, *end = data + g->tensor[i].bytes;

		if (data < file->p || data >= file->p + file->n)
			continue;
		from = !from || data < from ? data : from;
		to = !to || end > to ? end : to;
	}
	gguf_drop(g, from, (size_t)(to - from));
}

void gguf_drop_all(const struct gguf *g)
{
	drop_file(g, g);
	for (int i = 0; i < g->n_more; i++)
		drop_file(g, g->more[i]);
}
