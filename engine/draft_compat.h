/* draft_compat.h - whether a little model can draft for a big one.  No state. */
#ifndef S3D_DRAFT_COMPAT_H
#define S3D_DRAFT_COMPAT_H
#include "engine/model/model.h"
#include "engine/frame/template.h"

/* 0, or -1 with the first reason: kind of tokenizer, sizes more than 128 apart, or the first token
 * whose text differs (with both texts), of those that the frame (NULL: none is known) puts into a
 * conversation, BOS and EOS among them, and of all from id 5 on. */
int draft_compat(const struct model *big, struct tokenizer *big_tok, const struct template *frame,
		 const struct model *little, char err[ERR_MAX]);
/* What is worth knowing of a pair that passed, for a chat of n_ctx tokens: a little model larger
 * than the big one, a shorter context.  Empty text: nothing. */
void draft_compat_note(const struct model *big, const struct model *little, int n_ctx,
		       char note[ERR_MAX]);
/* What is no token in the big model's vocabulary nobody may choose, neither model of the two. */
int draft_compat_mute(struct model *, const struct tokenizer *big_tok, char err[ERR_MAX]);
#endif
