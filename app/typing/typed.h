/* typed.h - the bytes of a keyboard cut into keys and pastes, for every kind of chat.
 *
 * Bytes go in as they were read; keys and whole pasted texts come out, in order.  A struct typed
 * owns its buffer; it knows no clock: the caller measures silence and tells of it.
 * Invariant: a paste always ends: at its mark, after silence, or with Ctrl+C; and its text is
 * handed out however it ended. */
#ifndef S3D_APP_TYPED_H
#define S3D_APP_TYPED_H
#include <stdbool.h>
#include <stddef.h>

enum { TYPED_PASTE_MAX = 1 << 20 };

enum typed_kind {
	TYPED_KEY,
	TYPED_PASTE,
	TYPED_TOO_LONG,         /* a paste over TYPED_PASTE_MAX bytes, which are gone */
};

struct typed_event {
	enum typed_kind kind;
	unsigned key;           /* as keys_decode says */
	char *bytes;            /* of the key, or pasted: line ends \n, no byte 0, terminated; */
	size_t n;               /* valid until the next call */
};

struct typed {                  /* zeroed: nothing was typed */
	char *buf;
	size_t n, at, cap;      /* bytes before at are handed out */
	size_t seen;            /* behind at, bytes of a paste that hold no end mark */
	bool pasting, too_long;
	bool torn;              /* silence ended the paste: the rest of it may still come */
};

int typed_put(struct typed *, const char *, size_t n);  /* -1 without memory: nothing is taken */
/* final: the bytes of a key come together, so a lone ESC is the key Esc.  False: nothing more. */
bool typed_next(struct typed *, bool final, struct typed_event *);
/* Ends a paste whose end mark does not come; the next typed_next hands it out. */
void typed_end_paste(struct typed *);
/* Seconds without a byte after which the caller should end the paste and ask with final, when a
 * key begins with ESC and esc seconds are allowed for it; < 0: nothing waits. */
double typed_patience(const struct typed *, double esc);
/* --escape-time in seconds; ms < 0: what the line to the terminal needs. */
double typed_escape_time(int ms);
void typed_free(struct typed *);
#endif
