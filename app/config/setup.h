/* setup.h - what the options say of how a model is opened, the same for chat, bench and eval.
 *
 * No ownership: texts point into the options.  The caller names models, strategy, frame and
 * files. */
#ifndef S3D_APP_SETUP_H
#define S3D_APP_SETUP_H
#include "app/config/options.h"
#include "engine/engine.h"

struct engine_opt setup_engine(const struct options *);
/* Where --host-layers auto keeps what it measured, in a folder that is there then: malloc'ed; NULL:
 * it is not asked for, or there is no place. */
char *setup_host_file(const struct options *);
#endif
