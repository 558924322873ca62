/* gguf_edit.h - odd files out of good ones: keys left out or added, fewer tokens, a part of the
 * tensors.
 *
 * Reads the tables of an open file.  Invariant: with an empty struct edit the copy says what the
 * file says. */
#ifndef S3D_TESTS_GGUF_EDIT_H
#define S3D_TESTS_GGUF_EDIT_H
#include "engine/gguf/gguf_in.h"
#include "engine/gguf/gguf_write.h"
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

static inline bool edit_keeps(const struct edit *e, struct gguf_str key)
{
	return !e->no_keys && !(e->drop && key.n == strlen(e->drop) &&
				!memcmp(key.s, e->drop, key.n));
}

/* The first n elements of an array. */
static inline void put_fewer(struct gguf_writer *w, const struct gguf_kv *kv, const char *key,
			     int64_t n)
{
	if (kv->elem == GGUF_STRING)
		gguf_put_strings(w, key, kv->str, n);
	else
		gguf_put_array(w, key, kv->elem, kv->at, n);
}

static inline void put_kept(struct gguf_writer *w, const struct gguf *g, const struct edit *e)
{
	static const char *const vocabulary[] = { "tokenizer.ggml.tokens",
		"tokenizer.ggml.token_type", "tokenizer.ggml.scores" };

	for (int64_t i = 0; i < g->n_kv; i++) {
		const char *fewer = NULL;

		for (int j = 0; j < 3 && e->n_tokens; j++)
			if (g->kv[i].key.n == strlen(vocabulary[j]) &&
			    !memcmp(g->kv[i].key.s, vocabulary[j], g->kv[i].key.n))
				fewer = vocabulary[j];
		if (!edit_keeps(e, g->kv[i].key))
			continue;
		if (fewer)
			put_fewer(w, &g->kv[i], fewer, e->n_tokens);
		else
			gguf_put_copy(w, g, i);
	}
}

/* The further keys, as a file that is to be closed when all is written. */
static inline struct gguf *put_more(struct gguf_writer *w, struct buf *file, const struct edit *e,
				    char err[ERR_MAX])
{
	struct gguf *g;

	put_head(file, 3, 0, (uint64_t)e->n_more);
	if (e->more)
		put(file, e->more->p, e->more->n);
	g = gguf_parse(file->p, file->n, "further keys", err);
	for (int64_t i = 0; g && i < g->n_kv; i++)
		gguf_put_copy(w, g, i);
	return g;
}

static inline int gguf_edit(FILE *f, const struct gguf *g, const struct edit *e, char err[ERR_MAX])
{
	struct gguf_writer *w = gguf_writer_new(err);
	struct buf file = { 0 };
	struct gguf *more = NULL;
	int rc = -1;

	if (w) {
		put_kept(w, g, e);
		more = put_more(w, &file, e, err);
		for (int64_t i = e->first; i < (e->n ? e->first + e->n : g->n_tensors); i++)
			gguf_put_tensor(w, &g->tensor[i]);
		rc = more ? gguf_write(w, f, NULL, NULL, err) : -1;
	}
	gguf_close(more);
	gguf_writer_free(w);
	buf_free(&file);
	return rc;
}

/* The edited copy of one file as another. */
static inline void gguf_edit_file(const char *to, const char *from, const struct edit *e)
{
	char err[ERR_MAX] = "";
	struct gguf *g = gguf_open(from, err);
	FILE *f = g ? fopen(to, "wb") : NULL;

	if (!f || gguf_edit(f, g, e, err) != 0 || fclose(f)) {
		fprintf(stderr, "%s cannot be written; %s\n", to, err);
		abort();
	}
	gguf_close(g);
}
#endif
