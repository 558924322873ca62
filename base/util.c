/* util.c - error text, checked allocation, clock.
 *
 * A block of mem_new belongs to its caller until mem_free; the pointer that calloc gave lies in
 * the word before the block.  Text that fail() writes is safe to print: whatever came out of a
 * file or from a user, it holds no control byte and is valid UTF-8. */
#include "base/util.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ALIGN ((size_t)64)
#define BLOCK_MAX ((size_t)1 << 40)     /* no single block of ours comes near 1 TiB */
#define HUGE_PAGE ((size_t)2 << 20)

/* Copies n bytes of text to out, unsafe ones as \xNN; true if all of it fitted. */
static bool make_visible(const unsigned char *s, size_t n, char out[ERR_MAX])
{
	size_t at = 0;

	while (n) {
		int len = utf8_next((const char *)s, n);
		bool plain = len > 0 && !utf8_unsafe(utf8_value((const char *)s, len));
		size_t take = plain ? (size_t)len : 1, need = plain ? take : 4;

		if (at + need >= ERR_MAX)
			break;
		if (plain)
			memcpy(out + at, s, take);
		else
			snprintf(out + at, 5, "\\x%02x", *s);
		at += need;
		s += take;
		n -= take;
	}
	out[at] = 0;
	return n == 0;
}

/* Replaces the end of a cut text by dots, without splitting a character. */
static void mark_cut(char err[ERR_MAX])
{
	size_t end = strlen(err);

	if (end > ERR_MAX - 4)
		end = ERR_MAX - 4;
	while (end && ((unsigned char)err[end] & 0xc0) == 0x80)
		end--;
	memcpy(err + end, "...", 4);
}

int fail(char err[ERR_MAX], const char *fmt, ...)
{
	unsigned char text[4 * ERR_MAX];        /* err itself may be among the arguments */
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf((char *)text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = snprintf((char *)text, sizeof(text), "error text could not be made: %s", fmt);
	bool whole = (size_t)n < sizeof(text);
	if (!make_visible(text, whole ? (size_t)n : sizeof(text) - 1, err) || !whole)
		mark_cut(err);
	return -1;
}

static _Thread_local int guard_depth;

void mem_guard(bool on)
{
	guard_depth += on ? 1 : -1;
}

/* Advice on the whole huge pages within n bytes at p. */
static void advise_huge(void *p, size_t n, int advice)
{
	char *first = (char *)(((uintptr_t)p + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
	char *last = (char *)(((uintptr_t)p + n) & ~(uintptr_t)(HUGE_PAGE - 1));

	if (first < last)
		madvise(first, (size_t)(last - first), advice);
}

void mem_huge(void *p, size_t n)
{
	advise_huge(p, n, MADV_HUGEPAGE);
}

void *mem_new(size_t n, size_t size, char err[ERR_MAX])
{
	size_t bytes;

	if (guard_depth > 0) {
		fprintf(stderr, "mem_new(%zu, %zu) during a step that must not allocate\n", n,
			size);
		abort();
	}
	if (__builtin_mul_overflow(n, size, &bytes) || bytes > BLOCK_MAX) {
		fail(err, "out of memory: %zu elements of %zu bytes are more than can be had", n,
		     size);
		return NULL;
	}
	/* calloc: pages of a large block cost nothing until they are touched. */
	char *raw = calloc(1, bytes + 2 * ALIGN);
	if (!raw) {
		fail(err, "out of memory: %zu MiB more are needed; a smaller model or -c "
			  "needs less", (bytes >> 20) + 1);
		return NULL;
	}
	/* Where the system gives huge pages unasked, a cache of which each layer has a few rows
	 * would take 2 MiB for each. */
	advise_huge(raw, bytes + 2 * ALIGN, MADV_NOHUGEPAGE);
	char *p = (char *)(((uintptr_t)raw + 2 * ALIGN - 1) & ~(uintptr_t)(ALIGN - 1));
	memcpy(p - sizeof(raw), &raw, sizeof(raw));
	return p;
}

void mem_free(void *p)
{
	char *raw;

	if (!p)
		return;
	memcpy(&raw, (char *)p - sizeof(raw), sizeof(raw));
	free(raw);
}

double clock_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

int fd_write(int fd, const void *p, size_t n)
{
	const char *from = p;

	while (n) {
		ssize_t k = TEMP_FAILURE_RETRY(write(fd, from, n));

		if (k < 0)
			return -1;
		from += k;
		n -= (size_t)k;
	}
	return 0;
}
