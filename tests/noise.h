/* noise.h - random bytes with pieces of what terminals obey; the same on every run. */
#ifndef S3D_NOISE_H
#define S3D_NOISE_H
#include <stdint.h>
#include <string.h>

enum { NOISE = 56 };    /* room for one piece */

static uint32_t seed = 7;

static unsigned dice(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Random bytes, some of them 0, with pieces of what terminals obey; no newline. */
static size_t noise(char *out)
{
	static const char *const nasty[] = {
		"\033]52;c;aGk=\a", "\033[!p", "\033[2J", "\033]0;title\033\\", "\033P$q\"p\033\\",
		"\033[6n", "\033c", "\033[?1003h", "\033[?1049l", "\x9b" "31m", "\xc2\x9b" "5m",
		"\xc2\x9d" "52;c;aGk=\xc2\x9c", "\x90", "\xe2\x80\xae", "\xe2\x81\xa6", "\xd8\x9c",
		"\xe2\x80\xa8", "\xe2\x80\x8f", "\xed\xa0\x80", "\xc0\x9b", "\xf4\x90\x80\x80",
		"\r", "\b", "\a", "\t", "\x0e", "\x7f", "\033_G\033\\", "\033", "\xc2", "\xe2\x80",
		"\xf0\x9f\x91\xa8\xe2\x80\x8d", "\xcc\x81", "\xf3\xa0\x81\xa7", "`", "**",
		"\xef\xbb\xbf", "\033[99;99H", "\033[201~", "\033(0", "\033[4h", "\033[?25l",
		"\033#8",
	};
	size_t n = 0, want = dice(NOISE - 16);

	while (n < want) {
		const char *s = nasty[dice(sizeof(nasty) / sizeof(nasty[0]))];

		if (dice(3))
			n += (size_t)(stpcpy(out + n, s) - (out + n));
		else
			out[n++] = (char)dice(256);
		if (out[n - 1] == '\n')
			out[n - 1] = '\v';
	}
	out[n] = '\0';
	return n;
}
#endif
