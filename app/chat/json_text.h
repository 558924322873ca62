/* json_text.h - texts as JSON strings, which know characters and not bytes.
 *
 * A text that is no UTF-8 stands repaired under its key, for everyone, and once more under the key
 * with "_bytes" behind it, where each byte is the character with its number (Latin-1).
 * Invariant: what json_text_set wrote, json_text_get gives back byte for byte. */
#ifndef S3D_APP_JSON_TEXT_H
#define S3D_APP_JSON_TEXT_H
#include <jansson.h>
#include <stddef.h>

/* -1 without memory. */
int json_text_set(json_t *, const char *key, const char *text, size_t n);
/* malloc'ed and terminated; NULL: no such string, or no memory.  A string that somebody has changed
 * counts more than the bytes beside it. */
char *json_text_get(const json_t *, const char *key, size_t *n);
#endif
