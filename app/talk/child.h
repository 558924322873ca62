/* child.h - the calibration that runs beside a chat: this program once more, as a child process.
 *
 * It has the model to itself, so the chat goes on; and what it may do wrong ends with it.  struct
 * child owns process and pipe.  The caller polls fd (-1: none runs) and calls child_read.
 * Invariant: no call here waits, but child_stop for a process that has been told to end. */
#ifndef S3D_APP_CHILD_H
#define S3D_APP_CHILD_H
#include "base/util.h"
#include <sys/types.h>

struct child {
	pid_t pid;              /* 0: none */
	int fd;                 /* what it says, its errors too; -1: none */
	char *path;             /* the sidecar that it makes */
	char line[ERR_MAX];     /* the last thing that was no progress: why it failed */
	char part[ERR_MAX];     /* of a line that is not whole yet */
	size_t n;
	double share;           /* 0..1 of the work */
	int left;               /* seconds; -1: not known yet */
};

enum child_state { CHILD_RUNS, CHILD_DONE, CHILD_FAILED };

void child_init(struct child *);
/* Calibrates the model at path with so many threads (0: all) of the backend. */
int child_start(struct child *, const char *model, int threads, const char *backend,
		char err[ERR_MAX]);
/* fd is readable.  When it is done or has failed there is none any more; line has the reason. */
enum child_state child_read(struct child *);
void child_stop(struct child *);        /* what it has so far is kept for the next one */
#endif
