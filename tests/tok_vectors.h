/* tok_vectors.h - reading what tests/tools/make_tokenizer_vectors.py recorded.
 *
 * struct lines owns its text; lines_free releases it. */
#ifndef S3D_TESTS_TOK_VECTORS_H
#define S3D_TESTS_TOK_VECTORS_H
#include "engine/text/tokenizer.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lines {
	char *text, **line;
	int n;
};

static inline struct lines lines_read(const char *path)
{
	struct lines l = { 0 };
	FILE *f = fopen(path, "rb");
	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return l;
	}
	l.text = calloc(1, 1 << 20);
	l.line = calloc(1 << 16, sizeof *l.line);
	size_t n = fread(l.text, 1, (1 << 20) - 1, f);
	fclose(f);
	for (char *s = l.text, *end; s < l.text + n && l.n < 1 << 16; s = end + 1) {
		end = strchr(s, '\n');
		l.line[l.n++] = s;
		*end = '\0';
	}
	return l;
}

static inline void lines_free(struct lines *l)
{
	free(l->text);
	free(l->line);
	*l = (struct lines){ 0 };
}

/* Undoes \n \t \r \\ \xHH in place; returns the length. */
static inline size_t unescape(char *s)
{
	char *out = s;
	for (char *in = s; *in; in++) {
		char hex[3] = { 0 };
		if (*in != '\\') {
			*out++ = *in;
			continue;
		}
		switch (*++in) {
		case 'n':
			*out++ = '\n';
			break;
		case 't':
			*out++ = '\t';
			break;
		case 'r':
			*out++ = '\r';
			break;
		case 'x':
			memcpy(hex, in + 1, 2);
			*out++ = (char)strtol(hex, NULL, 16);
			in += 2;
			break;
		default:
			*out++ = *in;
		}
	}
	*out = '\0';
	return (size_t)(out - s);
}

/* "1 22 3" into v; returns how many. */
static inline int read_ids(const char *s, int *v, int cap)
{
	int n = 0;
	for (char *end; n < cap; s = end) {
		long id = strtol(s, &end, 10);
		if (end == s)
			break;
		v[n++] = (int)id;
	}
	return n;
}

static inline const char *model_path(void)
{
	const char *path = getenv("S3D_TEST_MODEL");
	return path ? path : "build/model/SmolLM2-135M-Instruct.Q4_1.gguf";
}

/* Without the file a line in place of the tests says so. */
static inline bool have_model(const char *what)
{
	char err[ERR_MAX];
	struct gguf *g = gguf_open(model_path(), err);
	if (!g)
		printf("ok - %s # SKIP no default model: %s\n", what, err);
	gguf_close(g);
	return g != NULL;
}

static inline struct tokenizer *open_vocab(const char *path, struct gguf **file)
{
	char err[ERR_MAX];
	struct gguf *g = gguf_open(path, err);
	struct tokenizer *t = g ? tokenizer_open(g, err) : NULL;
	if (!t)
		fprintf(stderr, "%s\n", err);
	if (file)
		*file = g;
	else
		gguf_close(g);
	return t;
}
#endif
