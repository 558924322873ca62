/* saved.c - see saved.h.
 *
 * A list is cheap (names and times); a file is opened only to be described.
 * Invariant: what is not an ordinary file, or not called *.jsonl, is never opened here. */
#include "app/chat/saved.h"
#include "app/config/model_path.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

enum {
	HEAD_MAX = 1 << 20,     /* a first line longer than this is not looked at */
	STALE_S = 3600,         /* no save takes so long */
};

static const char suffix[] = ".jsonl";

/* The path of a chat, or of the folder for "". */
static char *place(const char *id, char err[ERR_MAX])
{
	char name[SAVED_ID + 16];
	char *path;

	snprintf(name, sizeof(name), "chats/%s%s", id, *id ? suffix : "");
	path = model_path_xdg("XDG_DATA_HOME", ".local/share", name);
	if (!path)
		fail(err, "there is no place for chats: neither HOME nor XDG_DATA_HOME is set");
	return path;
}

static bool take_name(struct saved *s, int folder, const char *name)
{
	size_t n = strlen(name), end = sizeof(suffix) - 1;
	struct stat st;

	if (n <= end || n - end >= SAVED_ID || *name == '.' || strcmp(name + n - end, suffix) ||
	    fstatat(folder, name, &st, 0) || !S_ISREG(st.st_mode))
		return false;
	*s = (struct saved){ .when = st.st_mtim, .turns = -1 };
	memcpy(s->id, name, n - end);
	return true;
}

/* ID.jsonl.XXXXXX, as file_begin names what chat_save writes first. */
static bool is_temporary(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789";
	size_t n = strlen(name), end = sizeof(suffix) - 1;

	return n > end + 7 && *name != '.' && name[n - 7] == '.' &&
	       strspn(name + n - 6, letters) == 6 && !strncmp(name + n - 7 - end, suffix, end);
}

void saved_tidy(void)
{
	char err[ERR_MAX], *folder = place("", err);
	DIR *d = folder ? opendir(folder) : NULL;
	struct stat st;

	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
		if (is_temporary(e->d_name) &&
		    !fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) &&
		    S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
		    time(NULL) - st.st_mtim.tv_sec > STALE_S)
			unlinkat(dirfd(d), e->d_name, 0);
	if (d)
		closedir(d);
	free(folder);
}

static int newer(const void *a, const void *b)
{
	const struct saved *x = a, *y = b;

	if (x->when.tv_sec != y->when.tv_sec)
		return x->when.tv_sec < y->when.tv_sec ? 1 : -1;
	if (x->when.tv_nsec != y->when.tv_nsec)
		return x->when.tv_nsec < y->when.tv_nsec ? 1 : -1;
	return strcmp(y->id, x->id);
}

static struct saved *read_folder(DIR *d, int *n, char err[ERR_MAX])
{
	struct saved *list = NULL;
	int cap = 0;

	for (struct dirent *e = readdir(d); e; e = readdir(d)) {
		if (*n == cap) {
			int more = cap ? 2 * cap : 16;
			struct saved *grown = realloc(list, (size_t)more * sizeof(*list));

			if (!grown) {
				free(list);
				fail(err, "out of memory");
				return NULL;
			}
			list = grown;
			cap = more;
		}
		*n += take_name(&list[*n], dirfd(d), e->d_name);
	}
	if (*n)
		return list;
	free(list);
	fail(err, "there is no saved chat yet");
	return NULL;
}

struct saved *saved_list(int *n, char err[ERR_MAX])
{
	char *folder = place("", err);
	DIR *d = folder ? opendir(folder) : NULL;
	struct saved *list = NULL;

	*n = 0;
	if (d)
		list = read_folder(d, n, err);
	else if (folder && errno == ENOENT)
		fail(err, "there is no saved chat yet");
	else if (folder)
		fail(err, "cannot read '%s': %s", folder, strerror(errno));
	if (d)
		closedir(d);
	if (list)
		qsort(list, (size_t)*n, sizeof(*list), newer);
	free(folder);
	return list;
}

static void take_title(struct saved *s, const char *line, size_t n)
{
	json_error_t why;
	json_t *head = json_loadb(line, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	const json_t *title = json_object_get(head, "title");
	char *seen = json_is_string(title) ?
		text_title(json_string_value(title), json_string_length(title)) : NULL;

	if (seen)
		snprintf(s->title, sizeof(s->title), "%s", seen);
	free(seen);
	json_decref(head);
}

/* Counts lines; the first is looked at. */
static void describe(struct saved *s, int fd, char *buf)
{
	size_t have = 0;
	int lines = 0;
	bool first = true;
	ssize_t got;

	while ((got = TEMP_FAILURE_RETRY(read(fd, buf + have, HEAD_MAX - have))) > 0) {
		const char *nl;

		for (size_t i = have; i < have + (size_t)got; i++)
			lines += buf[i] == '\n';
		have += (size_t)got;
		nl = first ? memchr(buf, '\n', have) : NULL;
		if (nl)
			take_title(s, buf, (size_t)(nl - buf));
		first = first && !nl && have < HEAD_MAX;
		if (!first)
			have = 0;
	}
	if (got == 0 && lines)
		s->turns = lines - 1;
}

void saved_describe(struct saved *s)
{
	char err[ERR_MAX], *path = place(s->id, err);
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
	char *buf = malloc(HEAD_MAX);
	struct stat st;

	if (fd >= 0 && buf && !fstat(fd, &st) && S_ISREG(st.st_mode))
		describe(s, fd, buf);
	if (fd >= 0)
		close(fd);
	free(buf);
	free(path);
}

/* The only chat that begins so; -1: none does, -2: several. */
static int beginning(const struct saved *list, int n, const char *what)
{
	int found = -1;

	for (int i = 0; i < n; i++) {
		if (!strcmp(list[i].id, what))
			return i;
		if (!strncmp(list[i].id, what, strlen(what)))
			found = found == -1 ? i : -2;
	}
	return found;
}

/* Index in the list, -1 with err.  An ID begins with the year: digits are a number of the list as
 * far as that goes, else the beginning of an ID. */
static int find(const struct saved *list, int n, const char *what, char err[ERR_MAX])
{
	size_t len = strlen(what);
	bool digits = len < 6 && strspn(what, "0123456789") == len;
	int found = digits ? atoi(what) - 1 : -1;

	if (!len)
		return 0;
	if (found >= 0 && found < n)
		return found;
	found = beginning(list, n, what);
	if (found >= 0)
		return found;
	if (found == -2)
		return fail(err, "more than one saved chat begins with '%s'", what);
	if (digits)
		return fail(err, "there is no chat number %s; /sessions lists 1 to %d", what, n);
	return fail(err, "there is no saved chat '%s'; /sessions lists them", what);
}

char *saved_path(const char *what, char err[ERR_MAX])
{
	int n, i;
	struct saved *list = saved_list(&n, err);
	char *path = NULL;

	if (!list)
		return NULL;
	i = find(list, n, what, err);
	if (i >= 0)
		path = place(list[i].id, err);
	free(list);
	return path;
}

char *saved_new(char err[ERR_MAX])
{
	for (int i = 0; i < 100; i++) {
		time_t now = time(NULL);
		struct tm tm = { 0 };
		uint16_t odd = 0;
		char id[SAVED_ID];
		size_t n;
		char *path;

		n = strftime(id, sizeof(id), "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
		if (getrandom(&odd, sizeof(odd), 0) < 0)
			odd = (uint16_t)i;
		snprintf(id + n, sizeof(id) - n, "-%04x", odd);
		path = place(id, err);
		if (!path)
			return NULL;
		model_path_make(path);
		if (access(path, F_OK))
			return path;
		free(path);
	}
	fail(err, "cannot find a free name for the chat");
	return NULL;
}

bool saved_stamp(const char *path, struct saved_stamp *s)
{
	struct stat st;

	if (stat(path, &st))
		return false;
	*s = (struct saved_stamp){ st.st_dev, st.st_ino, st.st_size, st.st_mtim };
	return true;
}

bool saved_same(const struct saved_stamp *a, const struct saved_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->when.tv_sec == b->when.tv_sec && a->when.tv_nsec == b->when.tv_nsec;
}
