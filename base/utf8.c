/* utf8.c - see utf8.h. */
#include "base/utf8.h"

enum { ZWNJ = 0x200C, ZWJ = 0x200D };

static int tail_bytes(unsigned char lead)
{
	if (lead < 0x80)
		return 0;
	if (lead >= 0xC2 && lead <= 0xDF)
		return 1;
	if (lead >= 0xE0 && lead <= 0xEF)
		return 2;
	if (lead >= 0xF0 && lead <= 0xF4)
		return 3;
	return -1;
}

int utf8_next(const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	int tail = tail_bytes(u[0]);
	if (tail < 0)
		return -1;
	/* Only the second byte's range depends on the first. */
	unsigned char lo = u[0] == 0xE0 ? 0xA0 : u[0] == 0xF0 ? 0x90 : 0x80;
	unsigned char hi = u[0] == 0xED ? 0x9F : u[0] == 0xF4 ? 0x8F : 0xBF;
	for (int i = 1; i <= tail; i++) {
		if ((size_t)i >= n)
			return 0;
		if (u[i] < lo || u[i] > hi)
			return -i;
		lo = 0x80;
		hi = 0xBF;
	}
	return tail + 1;
}

uint32_t utf8_value(const char *s, int k)
{
	static const unsigned char lead_bits[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
	uint32_t c = (unsigned char)s[0] & lead_bits[k];
	for (int i = 1; i < k; i++)
		c = c << 6 | ((unsigned char)s[i] & 0x3F);
	return c;
}

bool utf8_unsafe(uint32_t c)
{
	static const struct { uint32_t first, last; } list[] = {
		{ 0x0000, 0x001F }, { 0x007F, 0x009F },         /* C0, DEL, C1 */
		{ 0x061C, 0x061C },                             /* Arabic letter mark */
		{ 0x200B, 0x200F },     /* no width: space, joiners, marks of direction */
		{ 0x2028, 0x202E },     /* separators of lines, overrides of direction */
		{ 0x2060, 0x206F },     /* joiner of words, invisible operators, isolates */
		{ 0xFEFF, 0xFEFF },                             /* byte order mark */
		{ 0xFFF9, 0xFFFB },                             /* annotations between lines */
		{ 0xE0000, 0xE007F },                           /* tags */
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (c >= list[i].first && c <= list[i].last)
			return true;
	return false;
}

bool utf8_joins(uint32_t before, uint32_t c)
{
	return (c == ZWNJ || c == ZWJ) && before >= 0x80 && !utf8_unsafe(before);
}
