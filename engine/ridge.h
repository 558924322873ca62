/* ridge.h - least squares in closed form, from sums that are taken as the data goes by.
 *
 * A ridge owns its sums and the room for one block of rows.  Invariant: what is known of the data
 * is G = sum of f f^T and R = sum of f y^T in double, so its memory does not grow with it. */
#ifndef S3D_RIDGE_H
#define S3D_RIDGE_H
#include "util.h"

struct ridge;
/* in features f, of which the caller makes the last one 1; out numbers y to foretell. */
struct ridge *ridge_open(int in, int out, char err[ERR_MAX]);
void ridge_close(struct ridge *);
size_t ridge_bytes(int in, int out);    /* that one takes, while it is solved too */
/* n rows of features and what belongs to them. */
void ridge_add(struct ridge *, int n, const float *f, const float *y);
long ridge_rows(const struct ridge *);  /* added so far */
/* The (in, out) matrix B that makes the sum of |B^T f - y|^2 + keep |B|^2 least, where keep is
 * `share` times the mean of G's diagonal.  -1 where G + keep is not positive definite. */
int ridge_solve(const struct ridge *, double share, float *b, char err[ERR_MAX]);
#endif
