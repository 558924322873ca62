/* model_config.h - what a GGUF file says about the shape of its network, key by key.  No state. */
#ifndef S3D_MODEL_CONFIG_H
#define S3D_MODEL_CONFIG_H
#include "engine/model/model.h"

/* All of m->cfg but the sizes of the vocabulary, from m->file.  -1: err names the key. */
int model_config_read(struct model *, char err[ERR_MAX]);
#endif
