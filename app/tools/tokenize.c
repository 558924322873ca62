/* tokenize.c - see tokenize.h.  No BOS is put before the ids: what stands there is the text. */
#include "app/tools/tokenize.h"
#include "base/file.h"
#include "base/text.h"
#include "engine/text/tokenizer.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLANKS " \t\r\n\v\f"

static int print_ids(struct tokenizer *t, const char *text, size_t len, bool special,
		     char err[ERR_MAX])
{
	int *ids, n = tokenizer_encode_new(t, text, len, special, 0, &ids, err);
	for (int i = 0; i < n; i++)
		printf(i ? " %d" : "%d", ids[i]);
	mem_free(ids);
	if (n >= 0)
		putchar('\n');
	return n < 0 ? -1 : 0;
}

/* The number at *s, which is moved behind it; -1 if there is no id of this vocabulary. */
static int read_id(const struct tokenizer *t, const char **s, char err[ERR_MAX])
{
	int n_word = (int)strcspn(*s, BLANKS);
	char *end;
	errno = 0;
	long id = strtol(*s, &end, 10);
	if (!isdigit((unsigned char)**s) || end != *s + n_word)
		return fail(err, "\"%.*s\" is not a token id; ids are numbers between blanks",
			    n_word > 40 ? 40 : n_word, *s);
	if (errno || id >= tokenizer_size(t))
		return fail(err, "there is no token %.*s; the vocabulary has 0 to %d",
			    n_word > 40 ? 40 : n_word, *s, tokenizer_size(t) - 1);
	*s = end;
	return (int)id;
}

/* The ids of s[0..len-1] into ids, which has room for len / 2 + 1. */
static int read_ids(const struct tokenizer *t, const char *s, size_t len, int *ids,
		    char err[ERR_MAX])
{
	const char *end = s + len;
	int n = 0;
	for (s += strspn(s, BLANKS); s < end; s += strspn(s, BLANKS))
		if ((ids[n++] = read_id(t, &s, err)) < 0)
			return -1;
	return n;
}

/* Byte for byte into a pipe or a file; a terminal gets nothing of a vocabulary that it would obey.
 * s == NULL: that was all. */
static void put_bytes(struct text_filter *f, bool terminal, const char *s, size_t n)
{
	char seen[TEXT_GROWTH * 64];
	for (size_t k; n && terminal; s += k, n -= k) {
		k = n < 64 ? n : 64;
		fwrite(seen, 1, text_filter_put(f, s, k, seen), stdout);
	}
	if (n)
		fwrite(s, 1, n, stdout);
	if (!s)
		fwrite(seen, 1, text_filter_end(f, seen), stdout);
}

/* Nothing is written before all ids are known to be good.  The space that a text was given in front
 * is taken away again. */
static int print_text(struct tokenizer *t, const char *s, size_t len, bool special,
		      char err[ERR_MAX])
{
	int *ids = malloc((len / 2 + 1) * sizeof *ids);
	if (!ids)
		return fail(err, "out of memory for the ids in %zu bytes", len);
	struct text_filter filter = { 0 };
	bool terminal = isatty(STDOUT_FILENO);
	int n = read_ids(t, s, len, ids, err);
	for (int i = 0, shown = 0; i < n; i++) {
		struct gguf_str p = shown ? tokenizer_piece(t, ids[i]) :
					    tokenizer_piece_first(t, ids[i]);
		if (!special && tokenizer_is_control(t, ids[i]))
			continue;
		put_bytes(&filter, terminal, p.s, p.n);
		shown++;
	}
	put_bytes(&filter, terminal, NULL, 0);
	free(ids);
	return n < 0 ? -1 : 0;
}

int tokenize_main(const char *model_path, bool decode, bool special, char err[ERR_MAX])
{
	size_t len = 0;
	int rc = -1;
	struct gguf *g = gguf_open(model_path, err);
	struct tokenizer *t = g ? tokenizer_open(g, err) : NULL;
	char *s = t ? file_read_fd(STDIN_FILENO, "standard input", 0, SIZE_MAX - 1, &len, err) :
		      NULL;
	gguf_close(g);
	if (s)
		rc = decode ? print_text(t, s, len, special, err) :
			      print_ids(t, s, len, special, err);
	free(s);
	tokenizer_close(t);
	return rc ? rc : text_flush(stdout, err);
}
