/* template_rows.h - the chat frames as data; only engine/template*.c include this.
 *
 * A row is what a family writes around each message.  Its strings are words, in which the row's
 * tokens (listed beside them) and the marks below are put by id; everything else is plain text.
 * Invariant: rows and fingerprints are constant; they live in template_rows.c and nowhere else. */
#ifndef S3D_TEMPLATE_ROWS_H
#define S3D_TEMPLATE_ROWS_H
#include "engine/frame/template.h"

#define BOS "\1"        /* the vocabulary's own first token; nothing if it has none */
#define EOS "\2"        /* and its last */
#define TOKENS_MAX 6
#define MARKS_MAX 5
#define JINJA_MAX (1 << 20)     /* bytes of a file's template that are looked at */

enum trim { TRIM_LEFT = 1, TRIM_RIGHT = 2, TRIM_BOTH = 3 };

/* Where a system prompt stands: a turn of its own, or in a question.  The row's words for the
 * system are then around it inside of the question. */
enum place { PLACE_TURN, PLACE_FIRST, PLACE_LAST };

/* What earlier answers lose: their thoughts; also the line breaks after them; or also the line
 * breaks that begin an answer without thoughts. */
enum think { THINK_KEPT, THINK_DROPPED, THINK_DROPPED_BREAKS, THINK_DROPPED_BREAKS_ALWAYS };

struct template {
	const char *name, *also;        /* also: llama.cpp's name, where it differs */
	const char *token[TOKENS_MAX];
	bool loose;             /* a token that the vocabulary lacks is written as plain text */
	bool own_bos;           /* the words below put BOS; else it is first if the file says so */
	bool eats;              /* white space after a token is left out (Phi-3's tokens say so) */
	bool trim_whole;        /* trims the question after the system prompt was put into it */
	enum place place;
	enum think think;
	const char *start;      /* before all turns */
	const char *preamble;   /* begins the system turn, which is there even without a prompt */
	const char *lead[3], *tail[3];  /* around a message, by enum speaker */
	enum trim trim[3];
	const char *gap;        /* after lead, before an answer that is there */
	const char *opening;    /* after lead where the model is to begin */
	/* The system prompt that the family has when none is given: in its template after the
	 * words default_at, and default_more if the template adds that; else system. */
	const char *default_at, *default_more, *system;
};

/* A template that contains all of has and none of lacks is one for row. */
struct fingerprint {
	const char *row;
	const char *has[MARKS_MAX], *lacks[MARKS_MAX];
};

/* The file's own template text, or false: it has none. */
bool template_jinja(const struct gguf *, struct gguf_str *jinja);

extern const struct template template_rows[];
extern const int template_n_rows;
extern const struct fingerprint template_prints[];
extern const int template_n_prints;
#endif
