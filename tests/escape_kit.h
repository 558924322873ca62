/* escape_kit.h - a function in a child on a pty, and a look at every byte that comes out.
 *
 * Nothing here owns anything but the child, which end() waits for. */
#ifndef S3D_TESTS_ESCAPE_KIT_H
#define S3D_TESTS_ESCAPE_KIT_H
#include "tests/unsafe.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct checker {
	uint32_t code;
	int need, min;
	size_t bytes;
};

static inline bool is_bad(uint32_t c)
{
	return (unsafe_has(c) && c != '\n' && c != '\t') || (c >= 0xD800 && c < 0xE000) ||
	       c > 0x10FFFF;
}

/* UTF-8 by arithmetic, in another way than text.c does it. */
static inline bool is_bad_byte(struct checker *k, unsigned char b)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };

	if (k->need) {
		k->code = k->code << 6 | (b & 0x3F);
		if ((b & 0xC0) != 0x80)
			return true;
		return --k->need == 0 && (k->code < least[k->min] || is_bad(k->code));
	}
	if (b < 0x80)
		return is_bad(b);
	k->need = k->min = b >= 0xF0 ? 3 : b >= 0xE0 ? 2 : 1;
	k->code = b & (0x3Fu >> k->need);
	return b < 0xC0 || b >= 0xF8;
}

static inline void check(struct checker *k, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		k->bytes++;
		if (is_bad_byte(k, (unsigned char)s[i]))
			fail_msg("byte %zu of the output is 0x%02x, which a terminal obeys",
				 k->bytes, (unsigned char)s[i]);
	}
}

/* Runs what in a child whose output and errors are a raw pty (and its input the file, or the pty).
 * Returns its exit status. */
static inline pid_t start(int (*what)(void), const char *input, int *master)
{
	struct termios raw;
	int slave, in;
	pid_t pid;

	assert_int_equal(openpty(master, &slave, NULL, NULL, NULL), 0);
	tcgetattr(slave, &raw);
	cfmakeraw(&raw);
	tcsetattr(slave, TCSANOW, &raw);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		in = input ? open(input, O_RDONLY) : slave;
		setsid();
		dup2(in, STDIN_FILENO);
		dup2(slave, STDOUT_FILENO);
		dup2(slave, STDERR_FILENO);
		close(*master);
		in = what();
		fflush(NULL);
		_exit(in);
	}
	close(slave);
	return pid;
}

static inline int end(pid_t pid, int master)
{
	int status = -1;

	close(master);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static inline size_t check_all(int master)
{
	struct checker k = { 0 };
	char buf[4096];
	ssize_t n;

	while ((n = read(master, buf, sizeof(buf))) > 0)
		check(&k, buf, (size_t)n);
	return k.bytes;
}

/* With readline on both sides: of escapes only those that readline and the prompt need. */
static inline void strip_own(char *s)
{
	static const char *const own[] = { "\033[?2004h", "\033[?2004l", "\033[K", "\r" };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		for (char *p = s; (p = strstr(p, own[i])) != NULL;)
			memmove(p, p + strlen(own[i]), strlen(p + strlen(own[i])) + 1);
}
#endif
