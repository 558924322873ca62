/* grouping_file.h - MODEL.cqil: which layers of a model are worth running in groups, as a sweep
 * has found (calibrate --cqil), and what "auto" takes of that.
 *
 * Invariant: what was read fits the model that it names, and the model is that one. */
#ifndef S3D_GROUPING_FILE_H
#define S3D_GROUPING_FILE_H
#include "engine/model/model.h"
#include "kernels/plan.h"

enum { ADVICE_N = 4 };
extern const double advice_loss[ADVICE_N];      /* of perplexity, in percent, rising */

struct advice {                 /* for each of these losses; size 0: no groups cost so little */
	struct grouping group[ADVICE_N];
};

/* Which loss a spec asks for, "auto" or "auto:X": its index; -1: it is no "auto"; -2: there is no
 * such loss. */
int advice_asked(const char *spec);
/* Whether an engine may take a spec: such an "auto", or what grouping_parse takes. */
int advice_check(const char *spec, int n_layers, char err[ERR_MAX]);
/* -1: none at path, damaged, or of another model, and err says what to do. */
int advice_read(const char *path, const struct model *, struct advice *, char err[ERR_MAX]);
/* In one step.  figures: a line for people behind each, or NULL. */
int advice_write(const char *path, const struct model *, const struct advice *,
		 const char *const figures[ADVICE_N], char err[ERR_MAX]);
#endif
