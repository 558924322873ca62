/* talk.h - a chat in progress: conversation, settings and decode thread together.
 *
 * What the line chat, the one-shot run and a full-screen interface have in common; it prints
 * nothing.  A struct talk owns all that it points to.  The caller polls worker->out.wake[0],
 * takes messages with msgq_get and shows each to talk_take before it draws it.
 * Invariant: while talk_waits() the model owes a message that will end that. */
#ifndef S3D_APP_TALK_H
#define S3D_APP_TALK_H
#include "app/talk/child.h"
#include "app/chat/saved.h"
#include "app/worker/worker.h"

struct talk {
	struct options opt;
	struct chat *chat;
	struct worker *worker;
	bool busy;              /* loading or answering */
	int switching;          /* strategies asked for that are not in force yet */
	bool ready;             /* the model is loaded */
	bool failed;            /* the decode thread is gone */
	struct stats stats;     /* of the running or the last answer; n_tokens < 0: none yet */
	struct model_info info;
	char *model;            /* its name: untrusted */
	char *file, *next_file; /* its path; of the one that is being loaded */
	char strategy[16];
	bool exact;
	int64_t seed;           /* in force */
	char *attached;         /* text that goes before the next question (/read) */
	char *path;             /* where /save went last, or NULL */
	bool keep;              /* save every turn, in a file of its own */
	struct {                /* before the running request; see talk_refused.c */
		struct chat *chat;
		char *typed, *attached, *place;
		struct saved_stamp stamp;
		bool reseeded;  /* it has the next seed */
		bool branch;    /* place and stamp are of the chat that it left */
	} before;
	struct talk_text *texts;        /* values of settings: the decode thread looks at them */
	char *refused;          /* what was typed and not asked: the front end's to take; or NULL */
	struct child child;     /* a calibration beside the chat: the front end polls child.fd */
	char *place;            /* that file; NULL: the next turn begins one */
	bool compare;           /* the chat's model with the one that is being loaded */
	char *damaged;          /* a file of which not all could be read: it is kept; or NULL */
	struct saved_stamp stamp;       /* of what we wrote or read there; zeroed: nothing */
	/* The front end's: a text of *n bytes through the user's editor, for /edit; malloc'ed with
	 * *n bytes, NULL with err.  It may be NULL. */
	char *(*edit)(void *ctx, const char *text, size_t *n, char err[ERR_MAX]);
	void *edit_ctx;
};

/* Loads the model, and the saved chat that --resume or --session asks for. */
int talk_open(struct talk *, const struct options *, char err[ERR_MAX]);
void talk_close(struct talk *);

/* Requests; all but the last return -1 with err when they make no sense now. */
int talk_ask(struct talk *, const char *text, size_t len, char err[ERR_MAX]);
int talk_regen(struct talk *, char err[ERR_MAX]);       /* with the next seed */
int talk_continue(struct talk *, char err[ERR_MAX]);
int talk_set(struct talk *, const char *key, const char *value, char err[ERR_MAX]);
/* From now on: default is the model file's own; none, or nothing between two quotes, is none. */
int talk_system(struct talk *, const char *text, size_t len, char err[ERR_MAX]);
int talk_strategy(struct talk *, const char *name, char err[ERR_MAX]);
int talk_attach(struct talk *, const char *path, size_t *n, char err[ERR_MAX]);
/* "": its own place.  over: in place of a file that is no saved chat, too. */
int talk_save(struct talk *, const char *path, bool over, char err[ERR_MAX]);
int talk_load(struct talk *, const char *path, char warning[ERR_MAX], char err[ERR_MAX]);
/* A saved chat ("": the newest; see saved_path), which goes on in its own file. */
int talk_resume(struct talk *, const char *what, char warning[ERR_MAX], char err[ERR_MAX]);
/* Nothing that was read goes before the next question; the bytes it had. */
size_t talk_drop(struct talk *);
/* Question n (from 1; 0: the last) becomes text and is asked: a new branch, in a new file; what was
 * saved stays as it is. */
int talk_edit(struct talk *, int n, const char *text, size_t len, char err[ERR_MAX]);
/* The text of question or answer n (0: the last one); NULL with err. */
const struct chat_turn *talk_turn(const struct talk *, enum chat_who, int n, char err[ERR_MAX]);
int talk_model(struct talk *, const char *path, char err[ERR_MAX]);     /* another model */
/* The model learns to draft for itself, by a process beside the chat; stop: not any more. */
int talk_calibrate(struct talk *, bool stop, char err[ERR_MAX]);
/* child.fd is readable: messages about it go into the mailbox. */
void talk_child(struct talk *);
void talk_new(struct talk *);
void talk_recall(struct talk *);        /* turns have gone or come: .stats of what is last now */
void talk_stop(struct talk *);          /* the running answer; async-signal-safe */

int talk_idle(const struct talk *, char err[ERR_MAX]);  /* -1: nothing can be asked now */
bool talk_waits(const struct talk *);   /* there is something to wait for */
/* Takes what a message says into the state.  The message stays the caller's.  With MSG_DONE the
 * turn is on disk when this returns, or a MSG_ERROR is in the mailbox.  With DONE_REFUSED all is as
 * before the request, and refused what was typed. */
void talk_take(struct talk *, const struct msg *);
const char *talk_place(const struct talk *);    /* where talk_save(t, "") goes; NULL: anew */
void talk_autosave(struct talk *);      /* now, if turns are saved at all */
void talk_taken_back(struct talk *);    /* the same, but a chat without turns has no file */
int talk_keep(struct talk *, char err[ERR_MAX]);        /* the same, but tells how it went */

/* The whole of a file (or "-": standard input), at most 16 MiB; malloc'ed and terminated. */
char *talk_read_file(const char *path, size_t *n, char err[ERR_MAX]);

/* A remark for DONE_REFUSED, "" for nothing; before refused is taken. */
const char *talk_refused_note(const struct talk *);
#endif
