/* saved.h - the folder of saved chats: which there are, where the next one goes.
 *
 * Files are $XDG_DATA_HOME/s3dchat/chats/ID.jsonl.  Names and titles in there are hostile.
 * Invariant: a title is one line, made visible. */
#ifndef S3D_APP_SAVED_H
#define S3D_APP_SAVED_H
#include "base/util.h"

#include <sys/stat.h>
#include <time.h>

enum { SAVED_ID = 64, SAVED_TITLE = 512 };

struct saved {
	char id[SAVED_ID];
	struct timespec when;   /* last written */
	char title[SAVED_TITLE];        /* first question; "": not known */
	int turns;              /* -1: not known */
};

/* Newest first, titles and turns not filled in: malloc'ed, *n of them.  NULL with err set when
 * there are none. */
struct saved *saved_list(int *n, char err[ERR_MAX]);
void saved_describe(struct saved *);    /* title and turns, from the file */
/* "": the newest; a number: of the list, from 1; else an ID or how just one begins.  Malloc'ed. */
char *saved_path(const char *what, char err[ERR_MAX]);
char *saved_new(char err[ERR_MAX]);     /* a path that is not taken; its folder is made */
void saved_tidy(void);  /* removes what saves that were killed left behind, an hour later */

/* Which version of a file it is: two are the same while nobody wrote in between. */
struct saved_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec when;
};
bool saved_stamp(const char *path, struct saved_stamp *);       /* false: there is no file */
bool saved_same(const struct saved_stamp *, const struct saved_stamp *);
#endif
