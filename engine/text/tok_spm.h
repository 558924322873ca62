/* tok_spm.h - SentencePiece BPE: neighbours are joined, best score first, into what is a token.
 *
 * struct spm owns its tables and scratch and borrows the vocabulary; one thread at a time.  The
 * rules are those of SentencePiece (Kudo, Richardson 2018) with byte fallback: a character that
 * no token has becomes the tokens of its bytes.  Invariant: only ordinary tokens and bytes come
 * out, whatever goes in. */
#ifndef S3D_TOK_SPM_H
#define S3D_TOK_SPM_H
#include "engine/text/tok_merge.h"
#include "engine/text/tok_vocab.h"

struct spm;

struct spm *spm_open(const struct gguf *, const struct vocab *, char err[ERR_MAX]);
void spm_close(struct spm *);
/* Any bytes; before: a space comes first.  U+2581 counts as a space, as it does there.  Bytes
 * that the vocabulary has no token for are left out (only one without byte tokens lacks any). */
int spm_encode(struct spm *, const char *s, size_t n, bool before, struct ids *out,
	       char err[ERR_MAX]);
#endif
