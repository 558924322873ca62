/* file.h - a file that takes its place in one step, or not at all.
 *
 * What is written goes into a file beside it that nobody else has: its name is new and drawn by
 * chance, so no link that lies there is followed and two writers do not meet.  It is renamed when
 * all of it is on the disk; a link at the path itself is replaced, never followed.
 * Invariant: at `path` there is what was there, or all of the new file. */
#ifndef S3D_FILE_H
#define S3D_FILE_H
#include "base/util.h"
#include <stdio.h>
#include <sys/types.h>

enum { FILE_PRIVATE = 0600, FILE_SHARED = 0666 };       /* less what the umask takes away */

struct file_new {
	FILE *f;                /* to write to */
	char *path, *tmp;
};

/* After 0, one of file_keep and file_drop follows; -1 with err where nothing can be written. */
int file_begin(struct file_new *, const char *path, mode_t mode, char err[ERR_MAX]);
/* Puts it in its place; -1 with err, also for a write that failed before, and nothing is left. */
int file_keep(struct file_new *, char err[ERR_MAX]);
void file_drop(struct file_new *);
#endif
