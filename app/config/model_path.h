/* model_path.h - where the default model is.
 *
 * Invariant: the first place that is looked in is the one where scripts/get-model puts it. */
#ifndef S3D_APP_MODEL_PATH_H
#define S3D_APP_MODEL_PATH_H
#include "base/util.h"

#define MODEL_DEFAULT "SmolLM2-135M-Instruct.Q4_1.gguf"

/* given if it is not "", else the default model: malloc'ed; NULL with err saying how to
 * get it. */
char *model_path(const char *given, char err[ERR_MAX]);
/* The little model for the big one at model: given if it is not "", none for "none", else NAME's
 * partner NAME.little.gguf beside it or where default models are.  NAME is the big one's file name
 * less .gguf and what names its quantisation.  malloc'ed; NULL: none. */
char *model_path_little(const char *model, const char *given);
/* The sidecar for the model: given if it is not "", none for "none", else NAME.s3d.gguf beside
 * NAME.gguf or where default models are.  malloc'ed; NULL: none. */
char *model_path_sidecar(const char *model, const char *given);
/* Where a new one goes: beside the model if that folder can be written.  malloc'ed, NULL without
 * memory or a home. */
char *model_path_sidecar_new(const char *model);
/* NAME.cqil, what calibrate --cqil found, for NAME.gguf: where it is, or where a new one goes; and
 * only that.  Likewise. */
char *model_path_cqil(const char *model);
char *model_path_cqil_new(const char *model);
/* $NAME, or ~/fallback, then /s3dchat/rest: malloc'ed, NULL without a home or memory. */
char *model_path_xdg(const char *name, const char *fallback, const char *rest);
/* share/s3dchat/rest beside the folder (bin) that the program itself is in; the same. */
char *model_path_installed(const char *rest);
/* Makes the folders above path, for the user alone; failure shows when path is opened. */
void model_path_make(char *path);
#endif
