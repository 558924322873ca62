/* worker.h - the decode thread, which owns engine and sessions.
 *
 * The other thread puts CMD_* into .in, takes MSG_* from .out (whose wake pipe goes into poll)
 * and sets .stop and .last; nothing else is shared.  Messages are described in msg.h.
 * Invariant: every CMD_ANSWER is followed by exactly one MSG_DONE, unless ERROR_GONE comes. */
#ifndef S3D_APP_WORKER_H
#define S3D_APP_WORKER_H
#include "app/worker/msg.h"
#include "base/util.h"

#include <stdatomic.h>

struct engine;

struct worker {
	struct msgq in, out;
	atomic_bool stop;       /* ends the running answer; whoever asks for the next clears it */
	atomic_bool last;       /* nobody will ask again: a device that fails is not replaced */
	atomic_bool loading;    /* which nothing cuts short */
	atomic_int owners;      /* both threads: the last one frees */
	pthread_t thread;
	/* From here on the decode thread's own. */
	struct options opt;
	char *model;            /* path */
	struct engine *engine;
	char *system;           /* the model file's own system prompt, or NULL */
	double shown;           /* when the last progress or stats went out */
	size_t device_used;     /* when worker_look was there last */
	bool on_cpu;            /* whatever the options say: a device has failed */
	bool quit;
};

/* Loads model in the new thread; .out tells how that goes. */
struct worker *worker_open(const struct options *, const char *model, char err[ERR_MAX]);
/* Stops, waits for the thread, frees; NULL allowed.  A thread that is loading is not waited for
 * long: it is left behind, and frees when it is done. */
void worker_close(struct worker *);
bool worker_left(void);                 /* one was: the program must end without exit's work */
#endif
