/* args.h - the command line, and single settings by name, to struct options.
 *
 * No ownership: texts in struct options point into what was passed in, which must outlive it.
 * Invariant: after a failure of args_set nothing in the options has changed. */
#ifndef S3D_APP_ARGS_H
#define S3D_APP_ARGS_H
#include "app/config/options.h"
#include "base/util.h"

#include <stdio.h>

void args_defaults(struct options *);
/* argv[1] may name a command (eval, tokenize, bench, calibrate).  -1: usage error, err says which
 * option. */
int args_parse(struct options *, int argc, char *const *argv, char err[ERR_MAX]);
/* The same over options that have values already, such as those of the configuration file. */
int args_parse_over(struct options *, int argc, char *const *argv, char err[ERR_MAX]);

/* By any long name, '_' and '-' alike; NULL if there is none. */
const struct option_row *args_find(const char *name);
/* The same for /set; change: one that may change in a chat.  NULL with err, which says what is to
 * be done instead. */
const struct option_row *args_setting(const char *name, bool change, char err[ERR_MAX]);
bool args_is_of_chat(const struct option_row *);        /* a saved chat holds it */
int args_set(struct options *, const struct option_row *, const char *value, char err[ERR_MAX]);
/* Values that are good each may not go together: -1. */
int args_check(const struct options *, char err[ERR_MAX]);
/* The value as text that args_set takes; returns buf. */
const char *args_show(const struct options *, const struct option_row *, char *buf, size_t cap);

void args_help(FILE *, enum mode);
const char *args_mode_name(enum mode);          /* "" for the chat */
#endif
