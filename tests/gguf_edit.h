/* gguf_edit.h - odd files out of good ones: keys left out or added, fewer tokens, a part of the
 * tensors.
 *
 * Reads the tables of an open file; what it makes is a struct buf of the caller's.  Invariant: with
 * an empty struct edit the copy says what the file says. */
#ifndef S3D_TESTS_GGUF_EDIT_H
#define S3D_TESTS_GGUF_EDIT_H
#include "engine/gguf/gguf_in.h"
#include "tests/gguf_build.h"
#include <stdio.h>

struct edit {
	const char *drop;       /* a key that is left out */
	const struct buf *more; /* further keys, n_more of them */
	int n_more;
	bool no_keys;           /* only those */
	int64_t n_tokens;       /* of the vocabulary; 0: all */
	int64_t first, n;       /* tensors; n 0: all */
};

static inline size_t bytes_of(enum gguf_type type, const uint8_t *at)
{
	uint64_t n;

	if (type != GGUF_STRING)
		return gguf_value_size(type);
	memcpy(&n, at, sizeof(n));
	return sizeof(n) + (size_t)n;
}

static inline void copy_key(struct buf *b, const struct gguf_kv *kv, int64_t n_tokens)
{
	static const char vocabulary[] = "tokenizer.ggml.tokens tokenizer.ggml.token_type "
					 "tokenizer.ggml.scores ";
	char name[128];
	size_t n = 0;

	snprintf(name, sizeof(name), "%.*s", (int)kv->key.n, kv->key.s);
	put_key(b, name, kv->type);
	if (kv->type != GGUF_ARRAY) {
		put(b, kv->at, bytes_of(kv->type, kv->at));
		return;
	}
	strcat(name, " ");
	if (!n_tokens || !strstr(vocabulary, name))
		n_tokens = kv->n;
	put_array(b, kv->elem, (uint64_t)n_tokens);
	for (int64_t i = 0; i < n_tokens; i++)
		n += bytes_of(kv->elem, kv->at + n);
	put(b, kv->at, n);
}

static inline void gguf_edit(struct buf *b, const struct gguf *g, const struct edit *e)
{
	int64_t n = e->n ? e->n : g->n_tensors - e->first;
	uint64_t keys = (uint64_t)e->n_more, at = 0;

	for (int64_t i = 0; i < g->n_kv; i++)
		keys += !e->no_keys && !(e->drop && g->kv[i].key.n == strlen(e->drop) &&
					 !memcmp(g->kv[i].key.s, e->drop, g->kv[i].key.n));
	put_head(b, 3, (uint64_t)n, keys);
	for (int64_t i = 0; i < g->n_kv && !e->no_keys; i++)
		if (!(e->drop && g->kv[i].key.n == strlen(e->drop) &&
		      !memcmp(g->kv[i].key.s, e->drop, g->kv[i].key.n)))
			copy_key(b, &g->kv[i], e->n_tokens);
	if (e->more)
		put(b, e->more->p, e->more->n);
	for (int64_t i = e->first; i < e->first + n; i++) {
		const struct gguf_tensor *t = &g->tensor[i];

		put_u64(b, t->name.n);
		put(b, t->name.s, t->name.n);
		put_u32(b, (uint32_t)t->n_dims);
		for (int d = 0; d < t->n_dims; d++)
			put_u64(b, (uint64_t)t->dim[d]);
		put_u32(b, t->type);
		put_u64(b, at);
		at += (t->bytes + 31) / 32 * 32;
	}
	for (int64_t i = e->first; i < e->first + n; i++) {
		put_pad(b, 32);
		put(b, g->tensor[i].data, g->tensor[i].bytes);
	}
}

/* The edited copy of one file as another. */
static inline void gguf_edit_file(const char *to, const char *from, const struct edit *e)
{
	char err[ERR_MAX] = "";
	struct gguf *g = gguf_open(from, err);
	struct buf b = { 0 };
	FILE *f = g ? fopen(to, "wb") : NULL;

	if (f)
		gguf_edit(&b, g, e);
	if (!f || fwrite(b.p, 1, b.n, f) != b.n || fclose(f)) {
		fprintf(stderr, "%s cannot be written; %s\n", to, err);
		abort();
	}
	gguf_close(g);
	buf_free(&b);
}
#endif
