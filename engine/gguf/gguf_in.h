/* gguf_in.h - private to engine/gguf: what gguf.c (files, look-ups), gguf_parse.c (bytes to
 * tables), gguf_split.c (several files) and gguf_write.c share.
 *
 * struct gguf owns its tables, its further parts and, when mapped, the mapping.  at pointers lead
 * into the file.
 * Invariant: every length is read once, when it is checked; somebody else may write to the file. */
#ifndef S3D_GGUF_IN_H
#define S3D_GGUF_IN_H
#include "engine/gguf/gguf.h"

#define GGUF_SHOWN 64           /* bytes of a hostile name that an error text repeats */
#define GGUF_KEY_MAX 65535
#define GGUF_ALIGNMENT "general.alignment"
#define GGUF_ALIGN_LEAST 8
#define GGUF_ALIGN_MOST 65536

struct gguf_kv {
	struct gguf_str key;
	enum gguf_type type;    /* of the value; GGUF_ARRAY: elem and n say more */
	enum gguf_type elem;
	int64_t n;
	const uint8_t *at;      /* first byte of the value or of element 0 */
	const uint8_t *value;   /* first byte of the value: of an array, what says its type */
	size_t bytes;           /* from there on, of the whole value */
	struct gguf_str text;   /* of a string */
	struct gguf_str *str;   /* (n) string elements, or NULL */
};

struct gguf_name {              /* sorted by name, to find entry i */
	struct gguf_str name;
	int64_t i;
};

struct gguf {
	char *path;
	char shown[160];        /* the same for error texts: a long one without its beginning */
	const uint8_t *p;
	size_t n;
	bool mapped;
	struct gguf_kv *kv;
	int64_t n_kv;
	struct gguf_tensor *tensor;
	int64_t n_tensors;
	struct gguf_name *kv_name, *tensor_name;
	struct gguf **more;     /* (n_more) malloc'ed: the other parts of a split model */
	int n_more;
};

/* A file by itself, part of something or not. */
struct gguf *gguf_open_one(const char *path, char err[ERR_MAX]);
/* Which part of how many it says to be: number 0 of 1, if it says nothing. */
int gguf_parts(const struct gguf *, int *no, int *count, char err[ERR_MAX]);
/* Part no of those that g, a file among them, is part of. */
struct gguf *gguf_part(const struct gguf *g, int no, int count, char err[ERR_MAX]);
/* g is the first part: it becomes the whole. */
int gguf_join(struct gguf *g, int count, char err[ERR_MAX]);

/* Fills the tables of g from g->p[0..n-1]. */
int gguf_read(struct gguf *g, char err[ERR_MAX]);
size_t gguf_value_size(enum gguf_type type);            /* 0: string or array */
int gguf_str_cmp(struct gguf_str a, struct gguf_str b);

#endif
