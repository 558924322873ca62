/* run_json.h - one answer and all its numbers as a JSON object on one line (--json).
 *
 * Invariant: the line is ASCII without control characters, whatever the model wrote. */
#ifndef S3D_APP_RUN_JSON_H
#define S3D_APP_RUN_JSON_H
#include "app/talk/talk.h"

#include <stdio.h>

/* error: NULL if all went well, else it comes first, and then what there is of the answer. */
int run_json(FILE *, const struct talk *, enum msg_reason, const char *error, char err[ERR_MAX]);
void run_json_error(FILE *, const char *text);  /* {"error": text} */
#endif
