/* gguf_write.c - see gguf_write.h.
 *
 * Keys are kept as the bytes that the file will have; tensors as the table's entries and pointers
 * to their data.  The first error is kept, and nothing is added or written from then on. */
#include "engine/gguf/gguf_write.h"
#include "engine/gguf/gguf_in.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 64 };   /* of a tensor, as the specification has it */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as they are");

struct place {                  /* bytes of the keys that are a key's name */
	size_t at, n;
};

struct gguf_writer {
	uint8_t *keys;
	size_t n_bytes, cap_bytes;
	struct place *key;
	int64_t n_keys, cap_keys;
	struct gguf_tensor *tensor;     /* names are malloc'ed */
	int64_t n_tensors, cap_tensors;
	uint64_t align;
	FILE *f;
	uint64_t at, left;      /* bytes of the file so far; of a tensor that are still to come */
	bool bad;
	char err[ERR_MAX];
};

struct gguf_writer *gguf_writer_new(char err[ERR_MAX])
{
	struct gguf_writer *w = mem_new(1, sizeof(*w), err);

	if (w)
		w->align = 32;
	return w;
}

void gguf_writer_free(struct gguf_writer *w)
{
	if (!w)
		return;
	for (int64_t i = 0; i < w->n_tensors; i++)
		free((char *)w->tensor[i].name.s);
	free(w->tensor);
	free(w->key);
	free(w->keys);
	mem_free(w);
}

static void bad(struct gguf_writer *w, const char *kind, struct gguf_str name, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void bad(struct gguf_writer *w, const char *kind, struct gguf_str name, const char *fmt, ...)
{
	char text[ERR_MAX];
	va_list ap;

	if (w->bad)
		return;
	w->bad = true;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	fail(w->err, "%s '%.*s' cannot be written: %s", kind,
	     name.n > GGUF_SHOWN ? GGUF_SHOWN : (int)name.n, name.s, text);
}

/* Room for n more; *p keeps what it has. */
static bool grow(struct gguf_writer *w, void **p, int64_t *cap, int64_t used, int64_t n,
		 size_t size)
{
	int64_t more = *cap;
	void *v;

	if (w->bad || n <= *cap - used)
		return !w->bad;
	more = 2 * (used + n) + 64;
	v = realloc(*p, (size_t)more * size);
	if (!v) {
		w->bad = true;
		fail(w->err, "no memory for what is to be written");
		return false;
	}
	*p = v;
	*cap = more;
	return true;
}

/* Bytes of the keys. */
static void add(struct gguf_writer *w, const void *bytes, size_t n)
{
	int64_t cap = (int64_t)w->cap_bytes;
	void *p = w->keys;

	if (!grow(w, &p, &cap, (int64_t)w->n_bytes, (int64_t)n, 1))
		return;
	w->keys = p;
	w->cap_bytes = (size_t)cap;
	if (n)
		memcpy(w->keys + w->n_bytes, bytes, n);
	w->n_bytes += n;
}

static void add_u32(struct gguf_writer *w, uint32_t v)
{
	add(w, &v, sizeof(v));
}

static void add_u64(struct gguf_writer *w, uint64_t v)
{
	add(w, &v, sizeof(v));
}

static void add_string(struct gguf_writer *w, struct gguf_str s)
{
	add_u64(w, s.n);
	add(w, s.s, s.n);
}

static struct gguf_str str(const char *s)
{
	return (struct gguf_str){ s, strlen(s) };
}

/* The value follows. */
static void begin_key(struct gguf_writer *w, struct gguf_str key, enum gguf_type type)
{
	void *p = w->key;

	if (!w->bad && (key.n == 0 || key.n > GGUF_KEY_MAX))
		bad(w, "key", key, "its name has %zu bytes; 1 to %d are allowed", key.n,
		    GGUF_KEY_MAX);
	if (!grow(w, &p, &w->cap_keys, w->n_keys, 1, sizeof(*w->key)))
		return;
	w->key = p;
	w->key[w->n_keys++] = (struct place){ w->n_bytes + 8, key.n };
	add_string(w, key);
	add_u32(w, type);
}

static void set_alignment(struct gguf_writer *w, struct gguf_str key, enum gguf_type type,
			  const void *value)
{
	uint64_t v = 0;

	if (!gguf_str_is(key, GGUF_ALIGNMENT))
		return;
	if (gguf_value_size(type) && type != GGUF_F32 && type != GGUF_F64 && type != GGUF_BOOL)
		memcpy(&v, value, gguf_value_size(type));
	if (v < GGUF_ALIGN_LEAST || v > GGUF_ALIGN_MOST || (v & (v - 1)))
		bad(w, "key", key, "it is no power of two from %d to %d", GGUF_ALIGN_LEAST,
		    GGUF_ALIGN_MOST);
	else
		w->align = v;
}

void gguf_put(struct gguf_writer *w, const char *key, enum gguf_type type, const void *value)
{
	size_t n = gguf_value_size(type);

	if (!n)
		bad(w, "key", str(key), "type %d has no fixed size", (int)type);
	begin_key(w, str(key), type);
	add(w, value, n);
	set_alignment(w, str(key), type, value);
}

void gguf_put_u32(struct gguf_writer *w, const char *key, uint32_t value)
{
	gguf_put(w, key, GGUF_U32, &value);
}

void gguf_put_f32(struct gguf_writer *w, const char *key, float value)
{
	gguf_put(w, key, GGUF_F32, &value);
}

void gguf_put_string(struct gguf_writer *w, const char *key, struct gguf_str value)
{
	begin_key(w, str(key), GGUF_STRING);
	add_string(w, value);
}

void gguf_put_text(struct gguf_writer *w, const char *key, const char *value)
{
	gguf_put_string(w, key, str(value));
}

static void begin_array(struct gguf_writer *w, const char *key, enum gguf_type elem, int64_t n)
{
	begin_key(w, str(key), GGUF_ARRAY);
	add_u32(w, elem);
	add_u64(w, (uint64_t)n);
}

void gguf_put_array(struct gguf_writer *w, const char *key, enum gguf_type elem, const void *values,
		    int64_t n)
{
	size_t size = gguf_value_size(elem);

	if (!size)
		bad(w, "key", str(key), "elements of type %d have no fixed size", (int)elem);
	begin_array(w, key, elem, n);
	add(w, values, (size_t)n * size);
}

void gguf_put_strings(struct gguf_writer *w, const char *key, const struct gguf_str *values,
		      int64_t n)
{
	begin_array(w, key, GGUF_STRING, n);
	for (int64_t i = 0; i < n; i++)
		add_string(w, values[i]);
}

void gguf_put_copy(struct gguf_writer *w, const struct gguf *from, int64_t i)
{
	const struct gguf_kv *kv = &from->kv[i];

	begin_key(w, kv->key, kv->type);
	add(w, kv->value, kv->bytes);
	set_alignment(w, kv->key, kv->type, kv->value);
}

/* Its bytes, or an error. */
static void measure(struct gguf_writer *w, struct gguf_tensor *t)
{
	const struct quant_info *q = quant_info((int)t->type);
	int64_t elements = 1;

	if (t->n_dims < 1 || t->n_dims > 4) {
		bad(w, "tensor", t->name, "%d dimensions; 1 to 4 are allowed", t->n_dims);
		return;
	}
	for (int i = 0; i < t->n_dims; i++)
		if (t->dim[i] < 1 || __builtin_mul_overflow(elements, t->dim[i], &elements))
			bad(w, "tensor", t->name, "dimension %d is %lld", i,
			    (long long)t->dim[i]);
	if (!q)
		bad(w, "tensor", t->name, "type %d is not known", (int)t->type);
	else if (t->dim[0] % q->block)
		bad(w, "tensor", t->name, "its first dimension %lld is no multiple of %d, the "
					  "block of %s", (long long)t->dim[0], q->block, q->name);
	else if (!w->bad && __builtin_mul_overflow(elements / q->block, q->bytes, &t->bytes))
		bad(w, "tensor", t->name, "its size in bytes does not fit 64 bits");
}

void gguf_put_tensor(struct gguf_writer *w, const struct gguf_tensor *from)
{
	struct gguf_tensor t = *from;
	void *p = w->tensor;

	if (t.name.n == 0 || t.name.n > NAME_MAX_BYTES)
		bad(w, "tensor", t.name, "its name has %zu bytes; 1 to %d are allowed", t.name.n,
		    NAME_MAX_BYTES);
	measure(w, &t);
	if (!grow(w, &p, &w->cap_tensors, w->n_tensors, 1, sizeof(t)))
		return;
	w->tensor = p;
	t.name.s = malloc(t.name.n);    /* any bytes, zero too */
	if (!t.name.s) {
		bad(w, "tensor", from->name, "no memory");
		return;
	}
	memcpy((char *)t.name.s, from->name.s, t.name.n);
	w->tensor[w->n_tensors++] = t;
}

static int name_order(const void *a, const void *b)
{
	return gguf_str_cmp(*(const struct gguf_str *)a, *(const struct gguf_str *)b);
}

/* No name twice. */
static void check_names(struct gguf_writer *w, const char *kind, int64_t n, bool keys)
{
	struct gguf_str *v = w->bad || n < 2 ? NULL : mem_new((size_t)n, sizeof(*v), w->err);

	if (!v) {
		w->bad |= n > 1;
		return;
	}
	for (int64_t i = 0; i < n; i++)
		v[i] = keys ? (struct gguf_str){ (char *)w->keys + w->key[i].at, w->key[i].n } :
			      w->tensor[i].name;
	qsort(v, (size_t)n, sizeof(*v), name_order);
	for (int64_t i = 1; i < n; i++)
		if (!gguf_str_cmp(v[i - 1], v[i]))
			bad(w, kind, v[i], "it was put twice");
	mem_free(v);
}

static void out(struct gguf_writer *w, const void *p, size_t n)
{
	if (w->bad || !n || fwrite(p, 1, n, w->f) == n) {
		w->at += n;
		return;
	}
	w->bad = true;
	fail(w->err, "cannot write: %s", strerror(errno));
}

static void out_u32(struct gguf_writer *w, uint32_t v)
{
	out(w, &v, sizeof(v));
}

static void out_u64(struct gguf_writer *w, uint64_t v)
{
	out(w, &v, sizeof(v));
}

static uint64_t padding(const struct gguf_writer *w, uint64_t n)
{
	return (w->align - n % w->align) % w->align;
}

static void pad(struct gguf_writer *w)
{
	static const char zeros[64];

	for (uint64_t n = padding(w, w->at); n && !w->bad;) {
		size_t some = n < sizeof(zeros) ? (size_t)n : sizeof(zeros);

		out(w, zeros, some);
		n -= some;
	}
}

static void write_table(struct gguf_writer *w)
{
	uint64_t offset = 0;

	for (int64_t i = 0; i < w->n_tensors && !w->bad; i++) {
		const struct gguf_tensor *t = &w->tensor[i];

		out_u64(w, t->name.n);
		out(w, t->name.s, t->name.n);
		out_u32(w, (uint32_t)t->n_dims);
		for (int d = 0; d < t->n_dims; d++)
			out_u64(w, (uint64_t)t->dim[d]);
		out_u32(w, t->type);
		out_u64(w, offset);
		offset += t->bytes + padding(w, t->bytes);
	}
}

int gguf_data(struct gguf_writer *w, const void *p, size_t n, char err[ERR_MAX])
{
	if (n > w->left && !w->bad) {
		w->bad = true;
		fail(w->err, "%zu bytes where a tensor has room for %llu", n,
		     (unsigned long long)w->left);
	}
	out(w, p, n);
	if (w->bad)
		return fail(err, "%s", w->err);
	w->left -= n;
	return 0;
}

static int write_data(struct gguf_writer *w, const struct gguf_tensor *t, gguf_make_fn *make,
		      void *user, char err[ERR_MAX])
{
	w->left = t->bytes;
	if (t->data ? gguf_data(w, t->data, t->bytes, err) :
		      make && make(user, t, w, err) != 0)
		return -1;
	if (w->left)
		bad(w, "tensor", t->name, "%llu of its %zu bytes were not given",
		    (unsigned long long)w->left, t->bytes);
	pad(w);
	return w->bad ? fail(err, "%s", w->err) : 0;
}

/* Offsets of all tensors fit 64 bits. */
static void check_size(struct gguf_writer *w)
{
	uint64_t end = 0;

	for (int64_t i = 0; i < w->n_tensors; i++)
		if (__builtin_add_overflow(end, w->tensor[i].bytes, &end) ||
		    __builtin_add_overflow(end, padding(w, end), &end))
			bad(w, "tensor", w->tensor[i].name, "the file would be too large");
}

int gguf_write(struct gguf_writer *w, FILE *f, gguf_make_fn *make, void *user, char err[ERR_MAX])
{
	check_names(w, "key", w->n_keys, true);
	check_names(w, "tensor", w->n_tensors, false);
	check_size(w);
	w->f = f;
	out(w, "GGUF", 4);
	out_u32(w, 3);
	out_u64(w, (uint64_t)w->n_tensors);
	out_u64(w, (uint64_t)w->n_keys);
	out(w, w->keys, w->n_bytes);
	write_table(w);
	pad(w);
	for (int64_t i = 0; i < w->n_tensors && !w->bad; i++)
		if (write_data(w, &w->tensor[i], make, user, err) != 0)
			return -1;
	return w->bad ? fail(err, "%s", w->err) : 0;
}
