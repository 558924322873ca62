/* test_file.c - files that are read whole, or refused; and those that are replaced in one step:
 * whole, as open as they should be, and through nobody's link. */
#include "base/file.h"
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static char folder[] = "build/test-file-XXXXXX";
static char path[64], err[ERR_MAX];

static void begin(struct file_new *w, mode_t mode)
{
	if (file_begin(w, path, mode, err) != 0)
		fail_msg("%s", err);
}

static void write_one(const char *text, mode_t mode)
{
	struct file_new w;

	begin(&w, mode);
	fputs(text, w.f);
	assert_int_equal(file_keep(&w, err), 0);
}

static void has(const char *text)
{
	char got[64] = "";
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_non_null(fgets(got, sizeof(got), f));
	fclose(f);
	assert_string_equal(got, text);
}

static int files(void)
{
	DIR *d = opendir(folder);
	int n = 0;

	for (struct dirent *e = readdir(d); e; e = readdir(d))
		n += *e->d_name != '.';
	closedir(d);
	return n;
}

static void test_mode(void **state)
{
	static const struct { mode_t mask, mode, want; } all[] = {
		{ 022, FILE_SHARED, 0644 }, { 077, FILE_SHARED, 0600 }, { 002, FILE_SHARED, 0664 },
		{ 0, FILE_PRIVATE, 0600 }, { 022, FILE_PRIVATE, 0600 },
	};
	mode_t was = umask(0);
	struct stat st;

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		umask(all[i].mask);
		write_one("new", all[i].mode);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, all[i].want);
	}
	umask(was);
	assert_int_equal(files(), 1);
}

/* Two at once: neither writes into the other's, and the last is there whole. */
static void test_two(void **state)
{
	struct file_new a, b;

	(void)state;
	write_one("old", FILE_SHARED);
	begin(&a, FILE_SHARED);
	begin(&b, FILE_SHARED);
	assert_string_not_equal(a.tmp, b.tmp);
	fputs("first and long", a.f);
	fputs("second", b.f);
	has("old");
	assert_int_equal(file_keep(&a, err), 0);
	has("first and long");
	assert_int_equal(file_keep(&b, err), 0);
	has("second");
	begin(&a, FILE_SHARED);
	fputs("third", a.f);
	file_drop(&a);
	has("second");
	assert_int_equal(files(), 1);
}

static void test_link(void **state)
{
	char other[80];
	struct stat st;

	(void)state;
	write_one("old", FILE_SHARED);
	snprintf(other, sizeof(other), "%s/other", folder);
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink("other", path), 0);
	write_one("new", FILE_SHARED);
	assert_true(!lstat(path, &st) && S_ISREG(st.st_mode));
	has("new");
	assert_int_equal(rename(other, path), 0);
	has("old");
}

static void refused(const char *says)
{
	struct file_new w;

	*err = '\0';
	assert_int_equal(file_begin(&w, path, FILE_SHARED, err), -1);
	if (!strstr(err, says) || !strstr(err, path))
		fail_msg("'%s' and not '%s'", err, says);
}

static void test_refused(void **state)
{
	char was[sizeof(path)];

	(void)state;
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused("not an ordinary file");
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	refused("not an ordinary file");
	assert_int_equal(rmdir(path), 0);
	memcpy(was, path, sizeof(was));
	strcat(path, "/no-such/x");
	refused("No such file");
	memcpy(path, was, sizeof(was));
	assert_int_equal(files(), 0);
}

/* An error in the middle counts although what comes behind it would fit again. */
static void test_full(void **state)
{
	struct rlimit old, few;
	struct file_new w;

	(void)state;
	write_one("old", FILE_SHARED);
	begin(&w, FILE_SHARED);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	few = old;
	few.rlim_cur = 10000;
	setrlimit(RLIMIT_FSIZE, &few);
	for (int i = 0; i < 20000; i++)
		fputc('x', w.f);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(file_keep(&w, err), -1);
	assert_non_null(strstr(err, "File too large"));
	has("old");
	assert_int_equal(files(), 1);
}

static char byte_at(size_t i)
{
	return (char)(i * 31 + i / 251);
}

/* From path or, in pieces as a pipe gives them, from a process. */
static void reads(size_t size, bool piped, size_t most, unsigned how, size_t want)
{
	FILE *f = fopen(path, "w");
	char command[128], *got;
	size_t n = 12345;

	for (size_t i = 0; i < size; i++)
		fputc(byte_at(i), f);
	fclose(f);
	snprintf(command, sizeof(command), "dd bs=1000 status=none if=%s", path);
	f = piped ? popen(command, "r") : NULL;
	got = piped ? file_read_fd(fileno(f), "a pipe", how, most, &n, err) :
		      file_read(path, how, most, &n, err);
	if (f)
		pclose(f);
	if (want > size) {
		assert_null(got);
		return;
	}
	if (!got)
		fail_msg("%s", err);
	assert_int_equal(n, want);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(got[i], byte_at(i));
	assert_int_equal(got[n], 0);
	free(got);
}

static void test_read(void **state)
{
	static const size_t sizes[] = { 0, 1, 999, 65535, 65536, 65537, 131072, 200000 };
	enum { REFUSED = 1000000 };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i / 2];
		bool piped = i % 2;

		reads(size, piped, SIZE_MAX - 1, 0, size);
		reads(size, piped, size, 0, size);
		reads(size, piped, size + 1, piped ? 0 : FILE_ORDINARY, size);
		if (size < 2)
			continue;
		reads(size, piped, size - 1, 0, REFUSED);
		assert_non_null(strstr(err, "more than"));
		reads(size, piped, size - 1, FILE_BEGINNING, size - 1);
		reads(size, piped, 1, FILE_BEGINNING, 1);
	}
}

/* Of a pipe that nobody writes to nothing is waited for. */
static void test_read_refused(void **state)
{
	size_t n;

	(void)state;
	unlink(path);
	assert_null(file_read(path, 0, 100, &n, err));
	assert_non_null(strstr(err, "No such file"));
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_null(file_read(path, FILE_ORDINARY, 100, &n, err));
	assert_non_null(strstr(err, "not an ordinary file"));
	assert_null(file_read(folder, 0, 100, &n, err));
	assert_non_null(strstr(err, "Is a directory"));
	unlink(path);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/file", folder);
	return 0;
}

static int remove_all(void **state)
{
	(void)state;
	unlink(path);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_read_refused),
		cmocka_unit_test(test_mode),
		cmocka_unit_test(test_two),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests_name("file", tests, set_up, remove_all);
}
