/* file_name.h - names of files as people write them: quotes, backslashes, a leading ~.
 *
 * No state.  Strings that come back are malloc'ed; NULL: no memory.
 * Invariant: a file of exactly the name that was written is the one that is meant. */
#ifndef S3D_APP_FILE_NAME_H
#define S3D_APP_FILE_NAME_H
#include "app/config/options.h"
#include "base/util.h"

/* Behind a command, where a shell has not been: quotes and backslashes as in a shell, but blanks
 * within need neither; blanks at the end do not count. */
char *file_name_typed(const char *);
/* Where only a leading ~ may be left to replace. */
char *file_name_home(const char *);

/* For completion.  quote: the one that is open before the text, 0: none. */
char *file_name_unquote(const char *, char quote);
char *file_name_quote(const char *, char quote);        /* begins with the quote that is open */
bool file_name_is_quoted(const char *line, size_t at);  /* the character there */

/* All options that name files, with ~ replaced; the names last until file_names_free. */
struct file_names {
	char *v[OPTION_N + ARGS_MOST];
	int n;
};
int file_names_open(struct file_names *, struct options *, char err[ERR_MAX]);
void file_names_free(struct file_names *);
#endif
