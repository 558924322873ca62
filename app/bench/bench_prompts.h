/* bench_prompts.h - the prompt set of tests/prompts, built into the program, or the user's own.
 *
 * struct prompt_set owns its texts.  A prompt's name begins with its kind: "chat-01".
 * Invariant: a loaded set has at least one prompt, and no prompt is empty. */
#ifndef S3D_APP_BENCH_PROMPTS_H
#define S3D_APP_BENCH_PROMPTS_H
#include "base/util.h"

struct prompt {
	char name[64];          /* fit to be printed */
	char *text;             /* len bytes, without the newlines at the end */
	size_t len;
};

struct prompt_set {
	struct prompt *p;
	int n;
};

/* path: a folder (its *.txt files by name), a file, or "" for the built-in set. */
int prompts_load(struct prompt_set *, const char *path, char err[ERR_MAX]);
void prompts_free(struct prompt_set *);
#endif
