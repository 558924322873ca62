/* talk.h - a chat in progress: conversation, settings and decode thread together.
 *
 * What the line chat, the one-shot run and a full-screen interface have in common; it prints
 * nothing.  A struct talk owns all that it points to.  The caller polls worker->out.wake[0],
 * takes messages with msgq_get and shows each to talk_take before it draws it.
 * Invariant: while talk_waits() the model owes a message that will end that. */
#ifndef S3D_APP_TALK_H
#define S3D_APP_TALK_H
#include "app/worker.h"

struct talk {
	struct options opt;
	struct chat *chat;
	struct worker *worker;
	bool busy;              /* loading or answering */
	int switching;          /* strategies asked for that are not in force yet */
	bool ready;             /* the model is loaded */
	bool failed;            /* the decode thread is gone */
	struct stats stats;     /* of the last answer; n_tokens < 0: none yet */
	struct model_info info;
	char *model;            /* its name: untrusted */
	char strategy[16];
	bool exact;
	int64_t seed;           /* in force */
	char *attached;         /* text that goes before the next question (/read) */
	char *path;             /* where /save went last, or NULL */
};

int talk_open(struct talk *, const struct options *, char err[ERR_MAX]);
void talk_close(struct talk *);

/* Requests; all but the last return -1 with err when they make no sense now. */
int talk_ask(struct talk *, const char *text, size_t len, char err[ERR_MAX]);
int talk_regen(struct talk *, char err[ERR_MAX]);       /* with the next seed */
int talk_continue(struct talk *, char err[ERR_MAX]);
int talk_set(struct talk *, const char *key, const char *value, char err[ERR_MAX]);
int talk_strategy(struct talk *, const char *name, char err[ERR_MAX]);
int talk_attach(struct talk *, const char *path, size_t *n, char err[ERR_MAX]);
int talk_save(struct talk *, const char *path, char err[ERR_MAX]);      /* "": its own place */
int talk_load(struct talk *, const char *path, char warning[ERR_MAX], char err[ERR_MAX]);
void talk_new(struct talk *);
void talk_stop(struct talk *);          /* the running answer; async-signal-safe */

bool talk_waits(const struct talk *);   /* there is something to wait for */
/* Takes what a message says into the state.  The message stays the caller's. */
void talk_take(struct talk *, const struct msg *);

/* The whole of a file (or "-": standard input), at most 16 MiB; malloc'ed and terminated. */
char *talk_read_file(const char *path, size_t *n, char err[ERR_MAX]);
#endif
