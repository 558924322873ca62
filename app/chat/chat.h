/* chat.h - a conversation as data: turns, undo, regenerate, save and load.
 *
 * A struct chat owns its texts (len bytes each, any byte, terminated for convenience).
 * Invariant: turns alternate, beginning with the user's. */
#ifndef S3D_APP_CHAT_H
#define S3D_APP_CHAT_H
#include "base/util.h"
#include "ui/pane/shown.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum chat_who { CHAT_USER, CHAT_MODEL };

struct chat_turn {
	enum chat_who who;
	char *text;
	size_t len;
	int64_t seed;           /* of the model's turns */
	bool partial;           /* the answer was stopped or cut off */
	struct stats stats;     /* how the answer was written, since it was last gone on with; but
				 * strategy and exact are of all of it */
	/* (n_ids) the tokens that the model wrote, to go on behind them: another reading of the
	 * text may be others.  They count while they spell the text; 0: not known. */
	int *ids;
	int n_ids;
};

struct chat {
	char *system;           /* NULL: the model file's own; "": none */
	size_t system_len;
	char *model, *model_file;       /* it was had with; NULL: not known */
	struct chat_turn *turn;
	int n, cap;
	int first;              /* turns before this one: the model no longer sees them */
	bool damaged;           /* it was read from a file of which lines were left out */
};

struct options;

struct chat *chat_open(void);                           /* empty; NULL without memory */
void chat_close(struct chat *);
struct chat *chat_copy(const struct chat *);
void chat_clear(struct chat *);                         /* turns go, the system prompt stays */
int chat_system(struct chat *, const char *text, size_t len);   /* NULL: the model's own again */

int chat_model(struct chat *, const char *name, const char *file);      /* NULL: not known */

/* Both return -1 without memory or when the invariant forbids it. */
int chat_add(struct chat *, enum chat_who, const char *text, size_t len);
int chat_append(struct chat *, const char *text, size_t len);   /* to the last turn */
int chat_token(struct chat *, int id);                  /* likewise; after its text */
struct chat_turn *chat_last(struct chat *);             /* NULL: empty */

void chat_cut(struct chat *, int n);     /* only the first n turns stay */
bool chat_undo(struct chat *);          /* the last question and its answer go; false: none */
bool chat_unanswer(struct chat *);      /* the last answer goes, its question stays */

/* JSON lines.  Written to a temporary file beside path and renamed, mode 0600. */
int chat_save(const struct chat *, const struct options *, const char *model, const char *path,
	      char err[ERR_MAX]);
/* A new chat of what can be read: NULL when that is neither a head nor a turn.  The settings of the
 * file go into *options if not NULL.  warning (ERR_MAX) says what had to be left out, or is "". */
struct chat *chat_load(struct options *, const char *path, char warning[ERR_MAX],
		       char err[ERR_MAX]);
/* Whether what is there begins as a saved chat does. */
bool chat_is_saved(const char *path);
/* One more thing to say, behind a semicolon. */
void chat_also(char text[ERR_MAX], const char *format, ...) __attribute__((format(printf, 2, 3)));
#endif
