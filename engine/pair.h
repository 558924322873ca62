/* pair.h - whether a little model can draft for a big one.  No state. */
#ifndef S3D_PAIR_H
#define S3D_PAIR_H
#include "engine/model.h"
#include "engine/tokenizer.h"

/* 0, or -1 with the first reason: kind of tokenizer, sizes more than 128 apart, BOS or EOS, or the
 * first token from id 5 on whose text differs (with both texts). */
int pair_check(const struct model *big, const struct tokenizer *big_tok, const struct model *little,
	       char err[ERR_MAX]);
/* What is worth knowing of a pair that passed, for a chat of n_ctx tokens: a little model larger
 * than the big one, a shorter context.  Empty text: nothing. */
void pair_note(const struct model *big, const struct model *little, int n_ctx,
	       char note[ERR_MAX]);
#endif
