/* text.h - untrusted bytes made fit for a terminal or for a file.
 *
 * Model output, file names, GGUF strings and errors may hold anything.  No ownership except where
 * said.  Invariant: what comes out is valid UTF-8 and holds, newline and tab apart, nothing that
 * utf8_unsafe names but joiners in their place, however the input was cut into pieces. */
#ifndef S3D_TEXT_H
#define S3D_TEXT_H
#include "base/util.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TEXT_GROWTH 9   /* bytes out per byte in, at most */

struct text_filter {    /* zeroed: at a character's border */
	uint32_t code;
	int need;               /* continuation bytes that are still to come */
	unsigned char low, high;        /* what the next of them must lie between */
	uint32_t before;        /* the character that was let through last; 0: none */
	bool keep_controls;     /* only repair UTF-8 (for files) */
	bool one_line;          /* newline and tab are spelt out too */
};

/* Needs room for TEXT_GROWTH * n bytes; returns how many were written.  An incomplete character
 * is held back until the next call. */
size_t text_filter_put(struct text_filter *, const char *in, size_t n, char *out);
/* What is still held becomes U+FFFD; needs TEXT_GROWTH bytes. */
size_t text_filter_end(struct text_filter *, char *out);

/* The same for whole strings: malloc'ed and terminated, NULL without memory; *len may be NULL. */
char *text_visible(const char *s, size_t n, size_t *len);
char *text_utf8(const char *s, size_t n, size_t *len);          /* controls stay */
/* The first line that is not blank, made visible, at most 60 characters; malloc'ed. */
char *text_title(const char *s, size_t n);
char *text_line(const char *s, size_t n);       /* a name: newlines and tabs are spelt out too */
/* Prints s, made visible; a name: on one line. */
void text_print(FILE *, const char *s);
void text_print_line(FILE *, const char *s);
/* What standard output did not take, by errno: -1 with err.  A pipe that nobody reads any more
 * (| head) is no error to speak of: the status is as if the signal had ended us. */
int text_unwritten(int why, char err[ERR_MAX]);
int text_flush(FILE *, char err[ERR_MAX]);      /* 0, or that */
/* What makes a word of n things: "s", or "" for one. */
const char *text_s(long n);
/* "who: text" as a line of stderr, made visible. */
void text_tell(const char *who, const char *text);
void text_print_n(FILE *, const char *s, size_t n);
bool text_blank(const char *s, size_t n);       /* nothing but blanks and line ends */
#endif
