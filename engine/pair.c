/* pair.c - see pair.h: the same rule as llama.cpp's users know, but refused instead of warned. */
#include "engine/pair.h"
#include <stdio.h>
#include <string.h>

enum { SIZE_APART = 128, FIRST_COMPARED = 5 };

static struct gguf_str key_text(const struct model *m, const char *key)
{
	struct gguf_str s = { "", 0 };

	gguf_string(m->file, key, &s);
	return s;
}

static int same_key(const struct model *a, const struct model *b, const char *key,
		    char err[ERR_MAX])
{
	struct gguf_str x = key_text(a, key), y = key_text(b, key);

	if (x.n == y.n && !memcmp(x.s, y.s, x.n))
		return 0;
	return fail(err, "%s: %s is '%.*s' there and '%.*s' in %s", gguf_path(b->file), key,
		    y.n > 40 ? 40 : (int)y.n, y.s, x.n > 40 ? 40 : (int)x.n, x.s,
		    gguf_path(a->file));
}

static int same_tokens(const struct tokenizer *a, const struct tokenizer *b, const char *path,
		       char err[ERR_MAX])
{
	int n = tokenizer_size(a) < tokenizer_size(b) ? tokenizer_size(a) : tokenizer_size(b);

	for (int i = FIRST_COMPARED; i < n; i++) {
		struct gguf_str x = tokenizer_piece(a, i), y = tokenizer_piece(b, i);

		if (x.n != y.n || memcmp(x.s, y.s, x.n))
			return fail(err, "%s: token %d is '%.*s' there and '%.*s' in the big model",
				    path, i, y.n > 40 ? 40 : (int)y.n, y.s,
				    x.n > 40 ? 40 : (int)x.n, x.s);
	}
	return 0;
}

static int same_ends(const struct tokenizer *a, const struct tokenizer *b, const char *path,
		     char err[ERR_MAX])
{
	if (tokenizer_bos(a) != tokenizer_bos(b) || tokenizer_eos(a) != tokenizer_eos(b) ||
	    tokenizer_add_bos(a) != tokenizer_add_bos(b))
		return fail(err, "%s: BOS %d and EOS %d there, %d and %d in the big model", path,
			    tokenizer_bos(b), tokenizer_eos(b), tokenizer_bos(a), tokenizer_eos(a));
	return 0;
}

int pair_check(const struct model *big, const struct tokenizer *big_tok, const struct model *little,
	       char err[ERR_MAX])
{
	const char *path = gguf_path(little->file);
	struct tokenizer *tok;
	int apart = big->cfg.n_vocab - little->cfg.n_vocab, rc;

	if (same_key(big, little, "tokenizer.ggml.model", err) != 0)
		return -1;
	if (apart > SIZE_APART || apart < -SIZE_APART)
		return fail(err, "%s: a vocabulary of %d cannot draft for one of %d", path,
			    little->cfg.n_vocab, big->cfg.n_vocab);
	tok = tokenizer_open(little->file, err);
	if (!tok)
		return -1;
	rc = same_ends(big_tok, tok, path, err) || same_tokens(big_tok, tok, path, err) ? -1 : 0;
	tokenizer_close(tok);
	return rc;
}

void pair_note(const struct model *big, const struct model *little, int n_ctx, char note[ERR_MAX])
{
	size_t mib = (size_t)1 << 20, a = gguf_size(big->file), b = gguf_size(little->file);
	int trained = little->cfg.n_ctx_train;
	char large[160] = "", brief[160] = "";

	if (b > a)
		snprintf(large, sizeof(large), "; it is larger than the big model (%zu MiB, that "
			 "has %zu): drafting will hardly pay", b / mib, a / mib);
	if (trained < n_ctx)
		snprintf(brief, sizeof(brief), "; its context is shorter than the big model's (%d "
			 "tokens, that has %d): behind it nothing is drafted", trained, n_ctx);
	*note = '\0';
	if (*large || *brief)
		fail(note, "%s drafts%s%s", gguf_path(little->file), large, brief);
}
