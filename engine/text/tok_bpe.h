/* tok_bpe.h - byte-level BPE: text is split into words by a rule, a word into tokens by merges.
 *
 * struct bpe owns its tables and scratch and borrows the vocabulary; one thread at a time.
 * Invariant: tokens that are private (tok_vocab.h) never come out, whatever goes in. */
#ifndef S3D_TOK_BPE_H
#define S3D_TOK_BPE_H
#include "engine/text/tok_merge.h"
#include "engine/text/tok_vocab.h"

struct bpe;

struct bpe *bpe_open(const struct gguf *, const struct vocab *, char err[ERR_MAX]);
void bpe_close(struct bpe *);
const char *bpe_pre(const struct bpe *);        /* the rule's name as the file has it */
bool bpe_wants_bos(const struct bpe *);         /* when the file itself does not say */
/* Any bytes; those that the vocabulary has no token for are left out, as the Hugging Face
 * tokenizers do (the default model lacks 21 byte values, 15 of them impossible in UTF-8). */
int bpe_encode(struct bpe *, const char *s, size_t n, struct ids *out, char err[ERR_MAX]);
#endif
