/* template.h - chat frames: turns of a conversation to token ids.
 *
 * A frame is built in and chosen by a fingerprint of the file's own template text; a rendered
 * conversation is a list of segments, scaffold (its special tokens are put by id) or plain text
 * (encoded without any, so user text never becomes a control token).  No state, no ownership. */
#ifndef S3D_TEMPLATE_H
#define S3D_TEMPLATE_H
#include "engine/frame/template_names.h"
#include "engine/gguf/gguf.h"
#include "engine/text/tokenizer.h"
#include "base/util.h"

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
/* The one named; NULL with err: there is none, or the vocabulary lacks one of its tokens. */
const struct template *template_named(const char *name, const struct tokenizer *,
				      char err[ERR_MAX]);
const char *template_name(const struct template *);
/* The system prompt which the file's own template (or, where the file has none, the family's)
 * puts in when the user gives none, with today's date where it has one, or ""; NULL: no memory.
 * The caller frees it with free(). */
char *template_default_system(const struct template *, const struct gguf *);

/* Ids of the whole conversation: an optional system turn, then questions and answers in turn.
 * With open_answer the frame that makes the model answer follows.  If the last turn is the
 * assistant's and open_answer is false it is left unclosed, so that the model goes on with it
 * (/continue), and no frame trims it.  A family without a system turn has the prompt in its first
 * or last question, as its own template does, and none before there is a question.  What an
 * earlier answer thought (up to </think>) is left out where the family leaves it out.  *ids is
 * malloc'ed, the caller frees it; -1 with err: the vocabulary lacks a token of the frame, or no
 * memory. */
int template_render(const struct template *, struct tokenizer *, const struct turn *turns, int n,
		    bool open_answer, int **ids, int *n_ids, char err[ERR_MAX]);
#endif
