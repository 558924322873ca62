/* gguf_write.h - writes GGUF files, version 3: keys and tensors are put in the order of the file,
 * then all of it is written.
 *
 * struct gguf_writer owns copies of keys, values and names; the data of a tensor is the caller's,
 * who keeps it until gguf_write has returned, or makes it piece by piece when its turn comes.
 * What is wrong with something that was put (no memory, a name that is there already, dimensions
 * that do not fit the type) is kept, and gguf_write tells the first of it.
 * Invariant: nothing is written before all names, sizes and offsets are known to be right. */
#ifndef S3D_GGUF_WRITE_H
#define S3D_GGUF_WRITE_H
#include "engine/gguf/gguf.h"
#include <stdio.h>

struct gguf_writer;
struct gguf_writer *gguf_writer_new(char err[ERR_MAX]);
void gguf_writer_free(struct gguf_writer *);

/* A key with a value.  "general.alignment" also says where tensors begin in this file; without it
 * that is at multiples of 32. */
void gguf_put_u32(struct gguf_writer *, const char *key, uint32_t value);
void gguf_put_f32(struct gguf_writer *, const char *key, float value);
void gguf_put_text(struct gguf_writer *, const char *key, const char *value);
void gguf_put_string(struct gguf_writer *, const char *key, struct gguf_str value);
/* Any type but strings and arrays: *value is one of it. */
void gguf_put(struct gguf_writer *, const char *key, enum gguf_type, const void *value);
void gguf_put_array(struct gguf_writer *, const char *key, enum gguf_type elem, const void *values,
		    int64_t n);
void gguf_put_strings(struct gguf_writer *, const char *key, const struct gguf_str *values,
		      int64_t n);
/* Key i of an open file, whatever its value is. */
void gguf_put_copy(struct gguf_writer *, const struct gguf *from, int64_t i);

/* Name, type, dimensions and data; its bytes follow from them. */
void gguf_put_tensor(struct gguf_writer *, const struct gguf_tensor *);

/* Makes the data of a tensor that was put without: calls gguf_data, as often as it likes, until all
 * t->bytes are there.  -1 with err ends the writing. */
typedef int gguf_make_fn(void *user, const struct gguf_tensor *t, struct gguf_writer *,
			 char err[ERR_MAX]);
int gguf_data(struct gguf_writer *, const void *p, size_t n, char err[ERR_MAX]);

/* make: NULL where all tensors have their data.  To f from where it stands; -1 with err, also when
 * f takes no more.  Once for a writer. */
int gguf_write(struct gguf_writer *, FILE *f, gguf_make_fn *make, void *user, char err[ERR_MAX]);
#endif
