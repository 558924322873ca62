/* utf8.h - the one place that says which bytes are a character, and which characters no terminal
 * gets as they are.
 *
 * No state.  Well-formed is Unicode's table 3-7: no overlong forms, no surrogates, nothing above
 * U+10FFFF. */
#ifndef S3D_UTF8_H
#define S3D_UTF8_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UTF8_REPLACEMENT "\xEF\xBF\xBD"

/* s[0..n-1], n >= 1, starts with: a character of k bytes (returns k); k bytes that are a maximal
 * subpart of nothing well-formed, to be replaced by one U+FFFD (-k); or all n bytes are the
 * beginning of a character whose rest is missing (0). */
int utf8_next(const char *s, size_t n);
uint32_t utf8_value(const char *s, int k);      /* the code point of a character of k bytes */

/* What acts on a terminal (newline and tab too: who lets them through looks for them first), turns
 * the text around it, breaks lines, or hides. */
bool utf8_unsafe(uint32_t c);
/* The one exception: c is a joiner that belongs to the character before it.  Persian, the scripts
 * of India and emoji need joiners; behind ASCII or another joiner they only hide. */
bool utf8_joins(uint32_t before, uint32_t c);
#endif
