/* gguf_parse.c - header, metadata and tensor table of GGUF v2/v3 bytes that nobody vouches for.
 *
 * All reading goes through a cursor that knows where the bytes end; it records the first error
 * with its offset and reads zeros from then on.  Owns nothing: tables go into struct gguf.
 * Invariant: no table is larger than what the bytes present in the file can fill. */
#include "engine/gguf/gguf_in.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENSOR_NAME_MAX 256
#define DEPTH_MAX 8             /* arrays inside arrays */
#define KV_LEAST 14             /* bytes that a key and its value take at least */
#define TENSOR_LEAST 33         /* the same for an entry of the tensor table */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are read in place");

struct cursor {
	const uint8_t *p;
	uint64_t n, at;
	const char *file;       /* for error texts, like the next two */
	const char *kind;
	struct gguf_str name;
	char *err;
	bool bad;
};

static void say(struct cursor *c, uint64_t at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Records the first error: file, offset, what was being read, and the text. */
static void say(struct cursor *c, uint64_t at, const char *fmt, ...)
{
	char text[ERR_MAX];
	int shown = c->name.n > GGUF_SHOWN ? GGUF_SHOWN : (int)c->name.n;
	va_list ap;

	if (c->bad)
		return;
	c->bad = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->name.n)
		fail(c->err, "%s: byte %llu: %s '%.*s'%s: %s", c->file, (unsigned long long)at,
		     c->kind, shown, c->name.s, c->name.n > GGUF_SHOWN ? "..." : "", text);
	else
		fail(c->err, "%s: byte %llu: %s: %s", c->file, (unsigned long long)at, c->kind,
		     text);
}

static void about(struct cursor *c, const char *kind, struct gguf_str name)
{
	c->kind = kind;
	c->name = name;
}

static uint64_t left(const struct cursor *c)
{
	return c->n - c->at;
}

static const uint8_t *take(struct cursor *c, uint64_t n, const char *what)
{
	if (c->bad)
		return NULL;
	if (n > left(c)) {
		say(c, c->at, "%s needs %llu bytes but the file ends after %llu; it is damaged or "
			      "cut short, download it again", what, (unsigned long long)n,
		    (unsigned long long)left(c));
		return NULL;
	}
	c->at += n;
	return c->p + c->at - n;
}

static uint32_t take_u32(struct cursor *c, const char *what)
{
	uint32_t v = 0;
	const uint8_t *p = take(c, sizeof(v), what);

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t take_u64(struct cursor *c, const char *what)
{
	uint64_t v = 0;
	const uint8_t *p = take(c, sizeof(v), what);

	if (p)
		memcpy(&v, p, sizeof(v));
	return v;
}

static struct gguf_str take_string(struct cursor *c, const char *what)
{
	uint64_t n = take_u64(c, what);
	const uint8_t *p = take(c, n, what);

	return p ? (struct gguf_str){ (const char *)p, (size_t)n } : (struct gguf_str){ "", 0 };
}

/* A name of 1..max bytes. */
static struct gguf_str take_name(struct cursor *c, uint64_t max, const char *what)
{
	uint64_t at = c->at;
	struct gguf_str s = take_string(c, what);

	if (!c->bad && (s.n == 0 || s.n > max))
		say(c, at, "a name of %llu bytes; 1 to %llu are allowed", (unsigned long long)s.n,
		    (unsigned long long)max);
	return s;
}

/* How many things of at least size bytes are announced; more than can follow is an error. */
static uint64_t take_count(struct cursor *c, uint64_t size, const char *what)
{
	uint64_t at = c->at, n = take_u64(c, what);

	if (!c->bad && n > left(c) / size) {
		say(c, at, "%llu %s announced, but the %llu bytes left hold at most %llu; the file "
			   "is damaged or cut short, download it again",
		    (unsigned long long)n, what, (unsigned long long)left(c),
		    (unsigned long long)(left(c) / size));
		return 0;
	}
	return n;
}

static void *table(struct cursor *c, uint64_t n, size_t size)
{
	void *p = c->bad ? NULL : mem_new((size_t)n, size, c->err);

	c->bad = c->bad || !p;
	return p;
}

size_t gguf_value_size(enum gguf_type type)
{
	static const uint8_t size[GGUF_TYPE_N] = {
		[GGUF_U8] = 1, [GGUF_I8] = 1, [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4,
		[GGUF_I32] = 4, [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8,
		[GGUF_F64] = 8,
	};

	return size[type];
}

static enum gguf_type take_type(struct cursor *c, const char *what)
{
	uint64_t at = c->at;
	uint32_t type = take_u32(c, what);

	if (type < GGUF_TYPE_N)
		return (enum gguf_type)type;
	say(c, at, "%s %u is not one of 0 to %d; the file is damaged or newer than this program",
	    what, type, GGUF_TYPE_N - 1);
	return GGUF_U8;
}

/* Elements of an array.  kv gets the outermost array's shape and is NULL for inner ones. */
static void take_array(struct cursor *c, struct gguf_kv *kv, int depth)
{
	enum gguf_type elem = take_type(c, "array element type");
	uint64_t size = gguf_value_size(elem);
	uint64_t n = take_count(c, size ? size : elem == GGUF_STRING ? 8 : 12, "array elements");
	uint64_t start = c->at;

	if (c->bad)
		return;
	if (kv) {
		kv->elem = elem;
		kv->n = (int64_t)n;
		kv->at = c->p + start;
	}
	if (size) {
		take(c, n * size, "array");
		return;
	}
	if (elem == GGUF_ARRAY && depth == DEPTH_MAX) {
		say(c, start, "arrays are nested more than %d deep", DEPTH_MAX);
		return;
	}
	if (elem == GGUF_STRING && kv)
		kv->str = table(c, n, sizeof(*kv->str));
	for (uint64_t i = 0; i < n && !c->bad; i++) {
		if (elem == GGUF_ARRAY) {
			take_array(c, NULL, depth + 1);
			continue;
		}
		struct gguf_str s = take_string(c, "array string");
		if (kv)
			kv->str[i] = s;
	}
}

static void take_kv(struct cursor *c, struct gguf_kv *kv)
{
	about(c, "metadata", (struct gguf_str){ "", 0 });
	kv->key = take_name(c, GGUF_KEY_MAX, "key");
	about(c, "key", kv->key);
	kv->type = take_type(c, "value type");
	if (c->bad)
		return;
	kv->at = kv->value = c->p + c->at;
	if (kv->type == GGUF_ARRAY)
		take_array(c, kv, 1);
	else if (kv->type == GGUF_STRING)
		kv->text = take_string(c, "string");
	else
		take(c, gguf_value_size(kv->type), "value");
	kv->bytes = (size_t)(c->p + c->at - kv->value);
}

int gguf_str_cmp(struct gguf_str a, struct gguf_str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.s, b.s, n) : 0;

	return c ? c : (a.n > b.n) - (a.n < b.n);
}

static int name_order(const void *a, const void *b)
{
	return gguf_str_cmp(((const struct gguf_name *)a)->name,
			    ((const struct gguf_name *)b)->name);
}

/* Sorts a table of names; two equal ones are an error. */
static void sort_names(struct cursor *c, struct gguf_name *v, int64_t n, const char *kind)
{
	if (c->bad || n < 2)
		return;
	qsort(v, (size_t)n, sizeof(*v), name_order);
	for (int64_t i = 1; i < n; i++)
		if (gguf_str_cmp(v[i - 1].name, v[i].name) == 0) {
			int64_t last = v[i].i > v[i - 1].i ? v[i].i : v[i - 1].i;

			about(c, kind, v[i].name);
			say(c, (uint64_t)((const uint8_t *)v[i].name.s - c->p),
			    "appears twice (again as number %lld); the file is damaged",
			    (long long)last);
			return;
		}
}

static void read_keys(struct cursor *c, struct gguf *g, uint64_t n)
{
	g->kv = table(c, n, sizeof(*g->kv));
	g->kv_name = table(c, n, sizeof(*g->kv_name));
	if (c->bad)
		return;
	g->n_kv = (int64_t)n;
	for (int64_t i = 0; i < g->n_kv && !c->bad; i++) {
		take_kv(c, &g->kv[i]);
		g->kv_name[i] = (struct gguf_name){ g->kv[i].key, i };
	}
	sort_names(c, g->kv_name, g->n_kv, "key");
}

static void take_dims(struct cursor *c, struct gguf_tensor *t, int64_t *elements)
{
	uint64_t at = c->at;
	uint32_t n_dims = take_u32(c, "number of dimensions");

	*elements = 1;
	if (!c->bad && (n_dims < 1 || n_dims > 4))
		say(c, at, "%u dimensions; 1 to 4 are allowed", n_dims);
	for (uint32_t i = 0; i < 4 && !c->bad; i++) {
		at = c->at;
		uint64_t d = i < n_dims ? take_u64(c, "dimension") : 1;

		if (!c->bad && (d == 0 || d > INT64_MAX))
			say(c, at, "dimension %u is %llu", i, (unsigned long long)d);
		t->dim[i] = c->bad ? 1 : (int64_t)d;
		if (!c->bad && __builtin_mul_overflow(*elements, t->dim[i], elements))
			say(c, at, "its dimensions multiply to more than 2^63 elements");
	}
	t->n_dims = (int)n_dims;
}

/* One entry of the tensor table; *offset counts from the start of the data. */
static void take_tensor(struct cursor *c, struct gguf_tensor *t, uint64_t *offset)
{
	int64_t elements;

	about(c, "tensor table", (struct gguf_str){ "", 0 });
	t->name = take_name(c, TENSOR_NAME_MAX, "tensor name");
	about(c, "tensor", t->name);
	take_dims(c, t, &elements);
	uint64_t at = c->at;
	uint32_t type = take_u32(c, "type");
	const struct quant_info *q = type <= INT_MAX ? quant_info((int)type) : NULL;
	*offset = take_u64(c, "offset");
	if (!c->bad && !q)
		say(c, at, "type %u (%s) is not supported; get the model with tensors of %s", type,
		    quant_name(type), quant_supported());
	if (c->bad)
		return;
	t->type = q->type;
	if (t->dim[0] % q->block)
		say(c, at, "its first dimension %lld is no multiple of %d, the block of %s",
		    (long long)t->dim[0], q->block, q->name);
	else if (__builtin_mul_overflow(elements / q->block, q->bytes, &t->bytes))
		say(c, at, "its size in bytes does not fit 64 bits");
}

struct place {          /* where a tensor's bytes are wanted */
	uint64_t offset;
	int64_t i;
};

static int place_order(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Gives every tensor its bytes, none outside the file, no two sharing any. */
static void place_tensors(struct cursor *c, struct gguf *g, struct place *place, uint64_t align)
{
	uint64_t pad = (align - c->at % align) % align, used = 0;
	uint64_t start = pad > left(c) ? c->n : c->at + pad;

	qsort(place, (size_t)g->n_tensors, sizeof(*place), place_order);
	for (int64_t i = 0; i < g->n_tensors && !c->bad; i++) {
		struct gguf_tensor *t = &g->tensor[place[i].i];
		uint64_t offset = place[i].offset, room = c->n - start;

		about(c, "tensor", t->name);
		if (offset % align)
			say(c, start, "its offset %llu in the data that begins here is no multiple "
				      "of the alignment %llu", (unsigned long long)offset,
			    (unsigned long long)align);
		else if (offset > room || t->bytes > room - offset)
			say(c, start, "%zu bytes are wanted at offset %llu of the data that begins "
				      "here, the file has %llu; it is cut short, download it again",
			    t->bytes, (unsigned long long)offset, (unsigned long long)room);
		else if (offset < used)
			say(c, start + offset, "its bytes overlap those of another tensor; the "
					       "file is damaged");
		if (c->bad)
			return;
		t->data = c->p + start + offset;
		used = offset + t->bytes;
	}
}

static uint64_t alignment(struct cursor *c, const struct gguf *g)
{
	int64_t v = 32;

	if (c->bad || !gguf_has(g, GGUF_ALIGNMENT))
		return 32;
	about(c, "key", (struct gguf_str){ GGUF_ALIGNMENT, 17 });
	if (!gguf_int(g, GGUF_ALIGNMENT, &v))
		say(c, c->at, "is not an integer");
	else if (v < GGUF_ALIGN_LEAST || v > GGUF_ALIGN_MOST || (v & (v - 1)))
		say(c, c->at, "%lld is not a power of two from %d to %d", (long long)v,
		    GGUF_ALIGN_LEAST, GGUF_ALIGN_MOST);
	return c->bad ? 32 : (uint64_t)v;
}

static void read_tensors(struct cursor *c, struct gguf *g, uint64_t n)
{
	uint64_t align = alignment(c, g);
	struct place *place = table(c, n, sizeof(*place));

	g->tensor = table(c, n, sizeof(*g->tensor));
	g->tensor_name = table(c, n, sizeof(*g->tensor_name));
	if (!c->bad)
		g->n_tensors = (int64_t)n;
	for (int64_t i = 0; i < g->n_tensors && !c->bad; i++) {
		take_tensor(c, &g->tensor[i], &place[i].offset);
		place[i].i = i;
		g->tensor_name[i] = (struct gguf_name){ g->tensor[i].name, i };
	}
	sort_names(c, g->tensor_name, g->n_tensors, "tensor");
	if (!c->bad)
		place_tensors(c, g, place, align);
	mem_free(place);
}

static bool starts(const struct cursor *c, uint64_t at, const char *s)
{
	return c->n >= at + strlen(s) && memcmp(c->p + at, s, strlen(s)) == 0;
}

/* What a file that is not GGUF seems to be, with advice. */
static const char *looks_like(const struct cursor *c)
{
	static const struct {
		uint64_t at;
		const char *bytes, *what;
	} known[] = {
		{ 8, "{\"", "a safetensors file: convert it to GGUF first" },
		{ 0, "PK\x03\x04", "a zip archive (PyTorch models are): unpack or convert it" },
		{ 0, "\x80\x02", "a Python pickle: convert the model to GGUF first" },
		{ 0, "lmgg", "an old GGML file: convert it to GGUF or get a newer one" },
		{ 0, "fmgg", "an old GGMF file: convert it to GGUF or get a newer one" },
		{ 0, "tjgg", "an old GGJT file: convert it to GGUF or get a newer one" },
		{ 0, "FUGG", "a GGUF file with swapped bytes (big-endian): not supported" },
		{ 0, "\x1f\x8b", "a gzip archive: unpack it first" },
		{ 0, "\x28\xb5\x2f\xfd", "a zstd archive: unpack it first" },
		{ 0, "version https://git-lfs", "a Git LFS pointer: run `git lfs pull`" },
		{ 0, "<!DOCTYPE", "a web page, not the model: download it again" },
		{ 0, "<!doctype", "a web page, not the model: download it again" },
		{ 0, "<html", "a web page, not the model: download it again" },
		{ 0, "\x89HDF", "an HDF5 file: convert the model to GGUF first" },
		{ 0, "{", "JSON text, perhaps the model's config.json" },
		{ 0, "\x7f" "ELF", "a program" },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (starts(c, known[i].at, known[i].bytes))
			return known[i].what;
	return "something unknown: name a .gguf file";
}

static void check_version(struct cursor *c)
{
	uint64_t at = c->at;
	uint32_t v = take_u32(c, "version");

	if (c->bad || v == 2 || v == 3)
		return;
	if (v == 1)
		say(c, at, "version 1 is too old; 2 and 3 are supported, convert the model again");
	else if (v && !(v & 0xffff))
		say(c, at, "the file is big-endian; get the little-endian one");
	else
		say(c, at, "version %u is not known; 2 and 3 are supported", v);
}

int gguf_read(struct gguf *g, char err[ERR_MAX])
{
	struct cursor c = { .p = g->p, .n = g->n, .file = g->shown, .kind = "header",
			    .name = { "", 0 }, .err = err };

	if (c.n == 0)
		say(&c, 0, "the file is empty; download it again");
	else if (!starts(&c, 0, "GGUF"))
		say(&c, 0, "this is not GGUF but %s", looks_like(&c));
	take(&c, 4, "magic");
	check_version(&c);
	uint64_t n_tensors = take_count(&c, TENSOR_LEAST, "tensors");
	uint64_t n_kv = take_count(&c, KV_LEAST, "metadata keys");
	read_keys(&c, g, n_kv);
	read_tensors(&c, g, n_tensors);
	return c.bad ? -1 : 0;
}
