/* mouse.c - see mouse.h.
 *
 * Reports as asked for with 1006 (ESC [ < button ; column ; row M, or m when it is let go), and as
 * terminals give them that know 1000 only (ESC [ M and three bytes). */
#include "ui/term/mouse.h"
#include "ui/term/keys.h"

#include <stdlib.h>
#include <string.h>

enum { MOTION = 32, WHEEL = 64, OTHER = 128, REPORT_MAX = 32 };

bool mouse_report(const char *s, size_t n)
{
	return n >= 3 && s[1] == '[' && (s[2] == '<' || s[2] == 'M');
}

static unsigned meaning(int button)
{
	if (button & (MOTION | OTHER))
		return KEYSYM_UNKNOWN;
	if (button & WHEEL)
		return (button & 3) == 0 ? KEYSYM_WHEEL_UP :
		       (button & 3) == 1 ? KEYSYM_WHEEL_DOWN : KEYSYM_UNKNOWN;
	return (button & 3) < 3 ? KEYSYM_CLICK : KEYSYM_UNKNOWN;
}

size_t mouse_decode(const char *s, size_t n, bool final, unsigned *key)
{
	size_t end = 3;

	*key = KEYSYM_UNKNOWN;
	if (s[2] == 'M') {
		if (n < 6)
			return final ? n : 0;
		*key = meaning((unsigned char)s[3] - 32);
		return 6;
	}
	while (end < n && end < REPORT_MAX && s[end] && strchr("0123456789;", s[end]))
		end++;
	if (end == n)
		return final ? n : 0;
	if (s[end] != 'M' && s[end] != 'm')
		return end;
	if (s[end] == 'M')
		*key = meaning(atoi(s + 3));
	return end + 1;
}

int mouse_as_keys(const char *s, size_t n)
{
	int rows = (int)(n / 3);

	if (n < 6 || n % 3 || s[0] != '\033' || !strchr("[O", s[1]) || !strchr("AB", s[2]))
		return 0;
	for (size_t i = 3; i < n; i += 3)
		if (memcmp(s, s + i, 3))
			return 0;
	return s[2] == 'A' ? rows : -rows;
}
