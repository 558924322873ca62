/* text.h - untrusted bytes made fit for a terminal or for a file.
 *
 * Model output, file names, GGUF strings and errors may hold anything.  No ownership except where
 * said.  Invariant: what comes out is valid UTF-8 and holds no C0 control but newline and tab, no
 * DEL, no C1 control and no bidirectional override, however the input was cut into pieces. */
#ifndef S3D_APP_TEXT_H
#define S3D_APP_TEXT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define TEXT_GROWTH 8   /* bytes out per byte in, at most */

struct text_filter {    /* zeroed: at a character's border */
	uint32_t code;
	int need;               /* continuation bytes that are still to come */
	unsigned char low, high;        /* what the next of them must lie between */
	bool keep_controls;     /* only repair UTF-8 (for files) */
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
/* Prints s, made visible. */
void text_print(FILE *, const char *s);
#endif
