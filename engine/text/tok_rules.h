/* tok_rules.h - how byte-level vocabularies cut a text into words before they merge.
 *
 * A rule is named by tokenizer.ggml.pre.  It restates the pre-tokenizer of the published
 * tokenizer.json files of the models that carry that name.  Invariant: a rule's patterns back up
 * over a text a fixed number of times at most, so that no text takes quadratic time. */
#ifndef S3D_TOK_RULES_H
#define S3D_TOK_RULES_H
#include "engine/gguf/gguf.h"

#define RULE_PATTERNS_MAX 6

struct rule {
	/* PCRE2's; the pieces of one are cut by the next, text between matches is a piece too. */
	const char *pattern[RULE_PATTERNS_MAX];
	int bytes_from;         /* patterns from this one on see single bytes; 0: none does */
	bool whole_words;       /* a word that is a token is taken before merging */
	bool bos;               /* a prompt begins with BOS if the file does not say */
};

/* The rule that the file asks for, and its name as it is there; a file without one gets
 * "default".  NULL with err set: no such rule, or not a string. */
const struct rule *rule_find(const struct gguf *, const char **name, char err[ERR_MAX]);
#endif
