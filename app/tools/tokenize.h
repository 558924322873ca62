/* tokenize.h - `s3dchat tokenize`: text to ids and back, for scripts.
 *
 * Reads all of stdin, writes to stdout; opens and closes the model's vocabulary itself. */
#ifndef S3D_TOKENIZE_H
#define S3D_TOKENIZE_H
#include "base/util.h"

/* decode false: the ids of the bytes on stdin, on one line; true: the bytes of the ids on stdin.
 * special: control tokens count, in the text or among the ids.  Returns 0, or -1 with err set. */
int tokenize_main(const char *model_path, bool decode, bool special, char err[ERR_MAX]);
#endif
