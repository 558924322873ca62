/* file.c - see file.h.
 *
 * A struct file_new owns its stream and both names until it is kept or dropped. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MARK = 6 };              /* letters behind the name, as mkstemp has them */
enum { ROOM = 1 << 16 };        /* bytes that a file is read into at first */

/* Up to limit bytes, and room for a zero byte; NULL with errno. */
static char *read_up_to(int fd, size_t limit, size_t *n)
{
	size_t room = 0;
	char *buf = NULL, *more;
	ssize_t got;

	*n = 0;
	do {
		if (*n == room) {
			room = room ? 2 * room : ROOM;
			room = room < limit ? room : limit;
			more = realloc(buf, room + 1);
			if (!more) {
				free(buf);
				return NULL;
			}
			buf = more;
		}
		got = TEMP_FAILURE_RETRY(read(fd, buf + *n, room - *n));
		*n += got > 0 ? (size_t)got : 0;
	} while (got > 0 && *n < limit);
	if (got < 0) {
		free(buf);
		return NULL;
	}
	return buf;
}

char *file_read_fd(int fd, const char *name, unsigned how, size_t most, size_t *n,
		   char err[ERR_MAX])
{
	char *buf = read_up_to(fd, how & FILE_BEGINNING ? most : most + 1, n), *fit;

	if (buf && *n <= most) {
		buf[*n] = '\0';
		fit = realloc(buf, *n + 1);
		return fit ? fit : buf;
	}
	if (!buf)
		fail(err, "cannot read %s: %s", name, strerror(errno));
	else
		fail(err, "cannot read %s: it has more than %zu %s", name,
		     most >> 20 ? most >> 20 : most, most >> 20 ? "MiB" : "bytes");
	free(buf);
	return NULL;
}

char *file_read(const char *path, unsigned how, size_t most, size_t *n, char err[ERR_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | (how & FILE_ORDINARY ? O_NONBLOCK : 0));
	char name[PATH_MAX + 2], *buf = NULL;
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		fail(err, "cannot read '%s': %s", path, strerror(errno));
	} else if (how & FILE_ORDINARY && !S_ISREG(st.st_mode)) {
		fail(err, "'%s' is not an ordinary file", path);
	} else {
		snprintf(name, sizeof(name), "'%s'", path);
		buf = file_read_fd(fd, name, how, most, n, err);
	}
	if (fd >= 0)
		close(fd);
	return buf;
}

/* Not mkostemp: that gives every file mode 0600, and the umask, which the system applies here, can
 * only be asked for by changing it under the other threads' feet. */
static int open_new(char *tmp, mode_t mode)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789";
	char *mark = tmp + strlen(tmp) - MARK;
	int fd = -1;

	for (int tries = 0; tries < 100; tries++) {
		unsigned char odd[MARK];

		if (getrandom(odd, MARK, 0) != MARK)
			return -1;
		for (int i = 0; i < MARK; i++)
			mark[i] = letters[odd[i] % (sizeof(letters) - 1)];
		fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
		if (fd >= 0 || errno != EEXIST)
			break;
	}
	return fd;
}

static void forget(struct file_new *w)
{
	free(w->path);
	free(w->tmp);
	*w = (struct file_new){ .f = NULL };
}

int file_begin(struct file_new *w, const char *path, mode_t mode, char err[ERR_MAX])
{
	struct stat st;
	int fd = -1;

	*w = (struct file_new){ .path = strdup(path) };
	if (!lstat(path, &st) && !S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) {
		forget(w);
		return fail(err, "'%s' is there and is not an ordinary file", path);
	}
	if (w->path && asprintf(&w->tmp, "%s.XXXXXX", path) > 0)
		fd = open_new(w->tmp, mode);
	if (fd >= 0)
		w->f = fdopen(fd, "wb");
	if (w->f) {
		errno = 0;      /* what file_keep finds there comes from a write */
		return 0;
	}
	fail(err, "cannot write '%s': %s", path, strerror(errno));
	if (fd >= 0) {
		close(fd);
		unlink(w->tmp);
	}
	forget(w);
	return -1;
}

/* The rename is on the disk only when its folder is. */
static void sync_folder(char *path)
{
	char *slash = strrchr(path, '/');
	int fd;

	if (slash)
		slash[slash == path] = '\0';
	fd = open(slash ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

int file_keep(struct file_new *w, char err[ERR_MAX])
{
	int why = ferror(w->f) || fflush(w->f) || fsync(fileno(w->f)) ? errno ? errno : EIO : 0;

	if (fclose(w->f) && !why)
		why = errno;
	if (!why && rename(w->tmp, w->path))
		why = errno;
	if (why) {
		unlink(w->tmp);
		fail(err, "cannot write '%s': %s", w->path, strerror(why));
	} else {
		sync_folder(w->path);
	}
	forget(w);
	return why ? -1 : 0;
}

void file_drop(struct file_new *w)
{
	fclose(w->f);
	unlink(w->tmp);
	forget(w);
}
