/* template.h - chat frames: turns of a conversation to token ids.
 *
 * A frame is built in and chosen by a fingerprint of the file's own template text; a rendered
 * conversation is a list of segments, scaffold (tokenised with control tokens) or content
 * (tokenised without, so user text never becomes a control token).  No state, no ownership. */
#ifndef S3D_TEMPLATE_H
#define S3D_TEMPLATE_H
#include "gguf.h"
#include "tokenizer.h"
#include "util.h"

enum speaker { SPEAKER_SYSTEM, SPEAKER_USER, SPEAKER_ASSISTANT };

struct turn {
	enum speaker who;
	const char *text;       /* content, len bytes */
	size_t len;
};

struct template;        /* a row of the built-in table */

const struct template *template_find(const char *name);         /* NULL: no such frame */
/* The frame for a file: by fingerprint of tokenizer.chat_template, NULL with err listing the
 * names that --chat-template takes when it has none that is known. */
const struct template *template_guess(const struct gguf *, const struct tokenizer *,
				      char err[ERR_MAX]);
const char *template_name(const struct template *);
const char *template_names(void);       /* "chatml ..." for help texts */
/* The system prompt which the file's own template puts in when the user gives none, or "" ;
 * the caller frees it with free(). */
char *template_default_system(const struct template *, const struct gguf *);

/* Ids of the whole conversation; with open_answer the frame that makes the model answer follows.
 * If the last turn is the assistant's and open_answer is false it is left unclosed, so that the
 * model goes on with it (/continue).  *ids is malloc'ed, the caller frees it. */
int template_render(const struct template *, struct tokenizer *, const struct turn *turns, int n,
		    bool open_answer, int **ids, int *n_ids, char err[ERR_MAX]);
#endif
