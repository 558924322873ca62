/* gguf.h - read-only view of a GGUF v2/v3 file, or of all parts of a split one, memory-mapped and
 * treated as hostile.
 *
 * struct gguf owns the mappings; every string and pointer handed out points into it and lives
 * until gguf_close.  Strings are NOT terminated and may hold any byte.
 * Invariant: after gguf_open succeeds, every tensor's bytes lie inside a mapping, its type is
 * known, its first dimension is a multiple of the type's block, and no product overflowed. */
#ifndef S3D_GGUF_H
#define S3D_GGUF_H
#include "engine/gguf/quant.h"
#include "base/util.h"
#include <string.h>
#ifdef __cplusplus
extern "C" {
#endif

struct gguf;

struct gguf_str {
	const char *s;
	size_t n;
};
static inline bool gguf_str_is(struct gguf_str a, const char *text)
{
	return a.n == strlen(text) && !memcmp(a.s, text, a.n);
}

enum gguf_type {        /* metadata value types, numbered as in the file */
	GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL,
	GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64, GGUF_TYPE_N,
};

struct gguf_tensor {
	struct gguf_str name;
	enum quant_type type;
	int n_dims;             /* 1..4 */
	int64_t dim[4];         /* dim[0] is contiguous (columns); unused ones are 1 */
	const void *data;       /* dim[0]*..*dim[3] elements in the type's blocks */
	size_t bytes;
};

/* path: of a file, or of any part of a model in several; they lie in one folder. */
struct gguf *gguf_open(const char *path, char err[ERR_MAX]);
/* Bytes of NAME in a path NAME-00001-of-00003.gguf; 0: it is not named as a part is. */
size_t gguf_stem(const char *path);
/* The same over bytes in memory (kept by the caller), for tests and fuzzer; name: for errors. */
struct gguf *gguf_parse(const void *bytes, size_t n, const char *name, char err[ERR_MAX]);
void gguf_close(struct gguf *);
const char *gguf_path(const struct gguf *);     /* of the first part */
size_t gguf_size(const struct gguf *);          /* bytes of all files */

/* Metadata by key.  A missing key returns false and leaves *out alone; so does a wrong type
 * (integers of every width convert when the value fits; f32 and f64 convert to double). */
int64_t gguf_n_keys(const struct gguf *);
struct gguf_str gguf_key_at(const struct gguf *, int64_t i);    /* in file order */
bool gguf_has(const struct gguf *, const char *key);
bool gguf_int(const struct gguf *, const char *key, int64_t *out);
bool gguf_float(const struct gguf *, const char *key, double *out);
bool gguf_bool(const struct gguf *, const char *key, bool *out);
bool gguf_string(const struct gguf *, const char *key, struct gguf_str *out);

/* Arrays: *n elements of *type (not nested ones).  Element access is by index, O(1): the parser
 * keeps an offset table for string arrays.  No such array, element or type: "" or 0; a bool is
 * an int of 0 or 1. */
bool gguf_array(const struct gguf *, const char *key, enum gguf_type *type, int64_t *n);
struct gguf_str gguf_array_string(const struct gguf *, const char *key, int64_t i);
int64_t gguf_array_int(const struct gguf *, const char *key, int64_t i);
double gguf_array_float(const struct gguf *, const char *key, int64_t i);

int64_t gguf_n_tensors(const struct gguf *);
const struct gguf_tensor *gguf_tensor_at(const struct gguf *, int64_t i);
const struct gguf_tensor *gguf_tensor_find(const struct gguf *, const char *name);   /* or NULL */
/* Tells the kernel that the mapped pages within these bytes of the file, which begin somewhere in a
 * tensor's data, are not needed any more (after repacking). */
void gguf_drop(const struct gguf *, const void *data, size_t bytes);
void gguf_drop_all(const struct gguf *);        /* those of all tensors, and between them */

#ifdef __cplusplus
}
#endif
#endif
