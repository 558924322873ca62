/* test_clip.c - /copy: the sequence for the clipboard, and the file instead of it.
 *
 * Base64 texts are those of RFC 4648, section 10, and of Python's base64.b64encode. */
#include "app/talk/clip.h"
#include "tests/home_kit.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char note[ERR_MAX], err[ERR_MAX];

static void assert_sequence(const char *text, size_t n, const char *base64)
{
	size_t k;
	char want[64], *got = clip_sequence(text, n, &k);

	snprintf(want, sizeof(want), "\033]52;c;%s\a", base64);
	assert_non_null(got);
	assert_string_equal(got, want);
	assert_int_equal(k, strlen(want));
	free(got);
}

static void test_sequence(void **state)
{
	(void)state;
	assert_sequence("", 0, "");
	assert_sequence("f", 1, "Zg==");
	assert_sequence("fo", 2, "Zm8=");
	assert_sequence("foo", 3, "Zm9v");
	assert_sequence("foob", 4, "Zm9vYg==");
	assert_sequence("fooba", 5, "Zm9vYmE=");
	assert_sequence("foobar", 6, "Zm9vYmFy");
	assert_sequence("\xfb\xff\xfe\0\x7f", 5, "+//+AH8=");
}

static char *file_text(const char *path)
{
	static char buf[1 << 18];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(buf, 1, sizeof(buf) - 1, f);
	buf[n] = '\0';
	fclose(f);
	return buf;
}

static void test_file(void **state)
{
	char path[64], *text;
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/s3dchat/copy.txt", home);
	assert_int_equal(clip_copy("a\033[2Jb\xff\n", 8, note, err), 0);
	assert_non_null(strstr(note, path));
	assert_string_equal(file_text(path), "a^[[2Jb\xef\xbf\xbd\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	/* A link that lies there is replaced, not followed. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("../victim", path), 0);
	assert_int_equal(clip_copy("x", 1, note, err), 0);
	snprintf(path, sizeof(path), "%s/victim", home);
	assert_int_not_equal(access(path, F_OK), 0);
	text = malloc(100000);
	memset(text, 'y', 100000);
	assert_int_equal(clip_copy(text, 100000, note, err), 0);
	free(text);
	setenv("XDG_RUNTIME_DIR", "/dev/null/x", 1);
	assert_int_equal(clip_copy("x", 1, note, err), -1);
	assert_non_null(strstr(err, "/dev/null/x"));
	setenv("XDG_RUNTIME_DIR", home, 1);
}

/* On a terminal up to 74,994 bytes go out as a sequence, one more goes into the file. */
static void test_terminal(void **state)
{
	int master, slave, old = dup(STDOUT_FILENO);
	char *text = malloc(CLIP_MAX + 1), got[64], big[ERR_MAX], dumb[ERR_MAX];
	ssize_t n;
	int rc;

	(void)state;
	memset(text, 'y', CLIP_MAX + 1);
	setenv("TERM", "xterm", 1);
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	fflush(stdout);
	dup2(slave, STDOUT_FILENO);
	n = clip_copy("foo", 3, note, err) ? -1 : read(master, got, sizeof(got));
	rc = clip_copy(text, CLIP_MAX + 1, big, err);
	setenv("TERM", "dumb", 1);
	rc |= clip_copy("foo", 3, dumb, err);
	dup2(old, STDOUT_FILENO);
	close(old);
	close(slave);
	close(master);
	free(text);
	assert_int_equal(rc, 0);
	assert_non_null(strstr(big, "copy.txt"));
	assert_non_null(strstr(dumb, "copy.txt"));
	assert_int_equal(n, 12);
	assert_memory_equal(got, "\033]52;c;Zm9v\a", 12);
	assert_non_null(strstr(note, "OSC 52"));
}

static int set_up(void **state)
{
	(void)state;
	if (home_open())
		return -1;
	return setenv("XDG_RUNTIME_DIR", home, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sequence), cmocka_unit_test(test_file),
		cmocka_unit_test(test_terminal),
	};

	return cmocka_run_group_tests(tests, set_up, home_close);
}
