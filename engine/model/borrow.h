/* borrow.h - little models made for one big model.
 *
 * Such a file leaves out token_embd.weight (the key s3dchat.borrows names it) and takes the big
 * model's, which it knows by its SHA-256 (s3dchat.base.sha256).  Its output.weight has rows for
 * some tokens only: s3dchat.output_ids lists them, all others have probability 0.  No state. */
#ifndef S3D_BORROW_H
#define S3D_BORROW_H
#include "engine/model/model.h"

/* Whether the file is one of these. */
bool borrow_asked(const struct gguf *);
/* Takes base's table as m->embd; -1 when base is NULL or is not the model that m was made for.
 * base must live as long as m. */
int borrow_embd(struct model *m, const struct model *base, char err[ERR_MAX]);
/* Reads the ids into m->out_id (the model's to free) and their number into cfg.n_out; a file
 * without them has a row for every token (m->out_id NULL). */
int borrow_ids(struct model *m, char err[ERR_MAX]);
#endif
