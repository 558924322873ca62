/* config_parts.h - what the two halves of the configuration share: where files are, and which
 * themes are built in.  No state. */
#ifndef S3D_APP_CONFIG_PARTS_H
#define S3D_APP_CONFIG_PARTS_H
#include "app/config/options.h"
#include "base/util.h"

#include <limits.h>
#include <stdbool.h>

enum { THEME_NAME = 64 };       /* bytes, the last 0 included */

/* The user's folder, and that of the installation, with a slash at the end; false: none. */
bool config_folder(char out[PATH_MAX]);
bool config_data_folder(char out[PATH_MAX]);
bool config_theme_name(const char *name);               /* fit to be one, and no path */
const char *config_builtin(const char *name);           /* a theme's text; NULL: not built in */
int config_no_theme(const char *name, char err[ERR_MAX]);       /* -1, and which there are */
bool config_settable(const struct option_row *);        /* not for the command line only */
#endif
