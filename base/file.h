/* file.h - the whole of a file, read; and a file that takes its place in one step, or not at all.
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

/* An ordinary file only: a pipe is refused, and not waited for.  Of one that is too long its
 * beginning. */
enum { FILE_ORDINARY = 1, FILE_BEGINNING = 2 };
/* All bytes of a file, most of them at most, with a zero byte behind them; malloc'ed.  NULL with
 * err. */
char *file_read(const char *path, unsigned how, size_t most, size_t *n, char err[ERR_MAX]);
/* The same of what is open, from where it stands.  name is what err calls it. */
char *file_read_fd(int fd, const char *name, unsigned how, size_t most, size_t *n,
		   char err[ERR_MAX]);

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
