/* draft_compat.c - see draft_compat.h: the rule that llama.cpp's users know, but refused instead of
 * warned, and of the first ids those are compared that the big model's conversations have. */
#include "engine/draft_compat.h"
#include <stdio.h>
#include <stdlib.h>
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

static int same_token(const struct tokenizer *a, const struct tokenizer *b, int id,
		      const char *path, char err[ERR_MAX])
{
	struct gguf_str x = tokenizer_piece(a, id), y = tokenizer_piece(b, id);

	if (x.n == y.n && !memcmp(x.s, y.s, x.n))
		return 0;
	return fail(err, "%s: token %d is '%.*s' there and '%.*s' in the big model", path, id,
		    y.n > 40 ? 40 : (int)y.n, y.s, x.n > 40 ? 40 : (int)x.n, x.s);
}

/* The first ids are often other marks in models whose words are the same.  The big model's ids are
 * what both read, so of these its conversations' own must be the same: a BOS that only the little
 * model would begin with is all the same. */
static int same_marks(struct tokenizer *a, const struct tokenizer *b, const struct template *frame,
		      const char *path, char err[ERR_MAX])
{
	const struct turn turns[] = { { SPEAKER_SYSTEM, "", 0 }, { SPEAKER_USER, "", 0 },
				      { SPEAKER_ASSISTANT, "", 0 }, { SPEAKER_USER, "", 0 } };
	int *ids, n, rc = 0;

	if (!frame)
		return tokenizer_add_bos(a) ? same_token(a, b, tokenizer_bos(a), path, err) : 0;
	if (template_render(frame, a, turns, 4, true, &ids, &n, err) != 0)
		return -1;
	for (int i = 0; i < n && rc == 0; i++)
		rc = same_token(a, b, ids[i], path, err);
	free(ids);
	return rc;
}

static int same_tokens(const struct tokenizer *a, const struct tokenizer *b, const char *path,
		       char err[ERR_MAX])
{
	int n = tokenizer_size(a) < tokenizer_size(b) ? tokenizer_size(a) : tokenizer_size(b);

	for (int i = FIRST_COMPARED; i < n; i++)
		if (same_token(a, b, i, path, err) != 0)
			return -1;
	return 0;
}

int draft_compat(const struct model *big, struct tokenizer *big_tok, const struct template *frame,
		 const struct model *little, char err[ERR_MAX])
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
	rc = same_marks(big_tok, tok, frame, path, err) || same_tokens(big_tok, tok, path, err) ?
	     -1 : 0;
	tokenizer_close(tok);
	return rc;
}

void draft_compat_note(const struct model *big, const struct model *little, int n_ctx,
		       char note[ERR_MAX])
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

int draft_compat_mute(struct model *m, const struct tokenizer *big_tok, char err[ERR_MAX])
{
	for (int i = 0; i < m->cfg.n_out; i++)
		if (!tokenizer_means(big_tok, m->out_id ? m->out_id[i] : i) &&
		    model_mute(m, i, err) != 0)
			return -1;
	return 0;
}
