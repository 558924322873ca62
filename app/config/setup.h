/* setup.h - what the options say of how a model is opened, the same for chat, bench and eval.
 *
 * No ownership: texts point into the options.  The caller names models, strategy and frame. */
#ifndef S3D_APP_SETUP_H
#define S3D_APP_SETUP_H
#include "app/config/options.h"
#include "engine/engine.h"

struct engine_opt setup_engine(const struct options *);
#endif
