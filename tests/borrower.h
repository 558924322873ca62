/* borrower.h - makes a little model that borrows its embedding table (engine/model/borrow.h) out
 * of a whole one: the same keys and weights, but no token_embd.weight and only some rows of
 * output.weight.  The SHA-256 comes from sha256sum(1). */
#ifndef S3D_TESTS_BORROWER_H
#define S3D_TESTS_BORROWER_H
#include "tests/gguf_build.h"
#include <stdio.h>

struct borrower {
	const int *id;          /* (n) as written; rows are taken for those inside the vocabulary */
	int n;
	int rows;               /* of output.weight; 0: n */
	uint32_t id_type;       /* 0: GGUF_I32 */
	const char *borrows;    /* NULL: token_embd.weight */
	const char *sha256;     /* NULL: the right one */
};

static inline void borrower_hash(const struct gguf_tensor *t, char hex[65])
{
	static const char path[] = "build/test-hash.bin";
	char command[64];
	FILE *f = fopen(path, "wb");

	if (!f || fwrite(t->data, 1, t->bytes, f) != t->bytes || fclose(f))
		abort();
	snprintf(command, sizeof(command), "sha256sum %s", path);
	f = popen(command, "r");
	if (!f || fscanf(f, "%64s", hex) != 1)
		abort();
	pclose(f);
	remove(path);
}

static inline bool borrower_is(const struct gguf_tensor *t, const char *name)
{
	return t->name.n == strlen(name) && !memcmp(t->name.s, name, t->name.n);
}

/* The rows of the output (all of the other tensors) that the new file has, and their place in its
 * table. */
static inline void borrower_put(struct buf *table, struct buf *data, const struct gguf_tensor *t,
				const char *name, const struct borrower *o)
{
	bool output = !strcmp(name, "output.weight");
	int rows = output ? o->rows ? o->rows : o->n : (int)t->dim[1];
	size_t bytes = t->bytes / (size_t)t->dim[1];

	put_tensor(table, name, (uint32_t)t->n_dims, (uint64_t)t->dim[0], (uint64_t)rows, t->type,
		   data->n);
	for (int i = 0; i < rows; i++) {
		int64_t row = !output ? i : i < o->n ? o->id[i] : 0;

		row = row < 0 || row >= t->dim[1] ? 0 : row;
		put(data, (const char *)t->data + (size_t)row * bytes, bytes);
	}
	put_pad(data, 32);
}

static inline void borrower_keys(struct buf *b, const struct borrower *o, const char *sha256)
{
	const char *name = o->borrows ? o->borrows : "token_embd.weight";

	put_key(b, "s3dchat.borrows", GGUF_ARRAY);
	put_array(b, GGUF_STRING, 1);
	put_str(b, name);
	put_key_str(b, "s3dchat.base.sha256", sha256);
	put_key(b, "s3dchat.output_ids", GGUF_ARRAY);
	put_array(b, o->id_type ? o->id_type : GGUF_I32, (uint64_t)o->n);
	for (int i = 0; i < o->n; i++)
		put_u32(b, (uint32_t)o->id[i]);
}

/* The bytes of the file; base: the big model, whose table is hashed. */
static inline struct buf borrower_make(const struct gguf *whole, const struct gguf *base,
				       const void *bytes, const struct borrower *o)
{
	const struct gguf_tensor *embd = gguf_tensor_at(whole, 0);
	const struct gguf_tensor *output = gguf_tensor_find(whole, "output.weight");
	size_t keys = (size_t)(embd->name.s - 8 - (const char *)bytes);  /* the table is next */
	uint64_t n = (uint64_t)gguf_n_tensors(whole);
	char sha256[65], name[64];
	struct buf b = { 0 }, data = { 0 };

	if (!borrower_is(embd, "token_embd.weight"))
		abort();
	borrower_hash(gguf_tensor_find(base, "token_embd.weight"), sha256);
	put_head(&b, 3, output ? n - 1 : n, (uint64_t)gguf_n_keys(whole) + 3);
	put(&b, (const char *)bytes + 24, keys - 24);
	borrower_keys(&b, o, o->sha256 ? o->sha256 : sha256);
	for (uint64_t i = 1; i < n; i++) {
		const struct gguf_tensor *t = gguf_tensor_at(whole, (int64_t)i);

		snprintf(name, sizeof(name), "%.*s", (int)t->name.n, t->name.s);
		borrower_put(&b, &data, t, name, o);
	}
	if (!output)
		borrower_put(&b, &data, embd, "output.weight", o);
	put_pad(&b, 32);
	put(&b, data.p, data.n);
	buf_free(&data);
	return b;
}

static inline void *borrower_read(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *p = NULL;

	if (!f || fseek(f, 0, SEEK_END) || !(p = malloc((size_t)ftell(f))))
		abort();
	*n = (size_t)ftell(f);
	rewind(f);
	if (fread(p, 1, *n, f) != *n)
		abort();
	fclose(f);
	return p;
}

/* Writes to path what is made of the file whole for the file base. */
static inline void borrower_write(const char *path, const char *whole, const char *base,
				  const struct borrower *o)
{
	char err[ERR_MAX];
	size_t n;
	void *bytes = borrower_read(whole, &n);
	struct gguf *w = gguf_parse(bytes, n, whole, err), *big = gguf_open(base, err);
	FILE *f = fopen(path, "wb");
	struct buf b;

	if (!w || !big || !f)
		abort();
	b = borrower_make(w, big, bytes, o);
	if (fwrite(b.p, 1, b.n, f) != b.n || fclose(f))
		abort();
	buf_free(&b);
	gguf_close(w);
	gguf_close(big);
	free(bytes);
}
#endif
