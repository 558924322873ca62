/* unsafe.h - what no terminal may get from a model, a file name or a prompt, for the tests of all
 * that prints.
 *
 * Written down from the Unicode Character Database (Cc; Zl, Zp; Bidi_Control; default ignorable
 * format characters that are no part of a script), and not from the program's list.  Joiners are
 * left out: behind a letter that is not ASCII they stay. */
#ifndef S3D_TESTS_UNSAFE_H
#define S3D_TESTS_UNSAFE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static const struct { uint32_t first, last; } unsafe_list[] = {
	{ 0x0000, 0x001F }, { 0x007F, 0x007F }, { 0x0080, 0x009F },
	{ 0x061C, 0x061C },                     /* ARABIC LETTER MARK */
	{ 0x200B, 0x200B },                     /* ZERO WIDTH SPACE */
	{ 0x200E, 0x200F },                     /* LEFT-TO-RIGHT MARK, RIGHT-TO-LEFT MARK */
	{ 0x2028, 0x2029 },                     /* LINE SEPARATOR, PARAGRAPH SEPARATOR */
	{ 0x202A, 0x202E },                     /* embeddings and overrides of direction */
	{ 0x2060, 0x2064 }, { 0x2065, 0x2065 }, /* WORD JOINER, invisible operators; reserved */
	{ 0x2066, 0x2069 },                     /* isolates of direction */
	{ 0x206A, 0x206F },                     /* deprecated format characters */
	{ 0xFEFF, 0xFEFF },                     /* ZERO WIDTH NO-BREAK SPACE */
	{ 0xFFF9, 0xFFFB },                     /* interlinear annotation */
	{ 0xE0000, 0xE007F },                   /* tags */
};

static inline bool unsafe_has(uint32_t c)
{
	for (size_t i = 0; i < sizeof(unsafe_list) / sizeof(unsafe_list[0]); i++)
		if (c >= unsafe_list[i].first && c <= unsafe_list[i].last)
			return true;
	return false;
}

/* UTF-8 of c; returns its length. */
static inline size_t unsafe_utf8(uint32_t c, char out[5])
{
	int k = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = { 0, 0, 0xC0, 0xE0, 0xF0 };

	out[k] = '\0';
	for (int i = k - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3F));
	out[0] = (char)(lead[k] | c);
	return (size_t)k;
}

/* The visible form of c: ^[ or <U+202E>. */
static inline void unsafe_form(uint32_t c, char out[16])
{
	if (c < 0x20 || c == 0x7F)
		snprintf(out, 16, "^%c", (char)(c ^ 0x40));
	else
		snprintf(out, 16, "<U+%04X>", (unsigned)c);
}

/* The whole list, one after the other between letters; returns the length (without_nul: from U+0001
 * on).  out has room for UNSAFE_TEXT. */
enum { UNSAFE_TEXT = 2048 };
static inline size_t unsafe_text(char *out, bool without_nul)
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof(unsafe_list) / sizeof(unsafe_list[0]); i++)
		for (uint32_t c = unsafe_list[i].first; c <= unsafe_list[i].last; c++) {
			out[n++] = 'a';
			if (c || !without_nul)
				n += unsafe_utf8(c, out + n);
		}
	out[n] = '\0';
	return n;
}
#endif
