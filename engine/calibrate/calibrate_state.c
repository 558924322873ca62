/* calibrate_state.c - a file of conversations, with which an interrupted calibration goes on.
 *
 * A head (magic, hash of the model, size of its vocabulary) and records: number, n_prompt, n, a
 * check sum, and n ids, all u32 in the machine's byte order.  Whoever calibrates for the sidecar
 * beside it holds its lock, also one that keeps nothing in it.
 * Invariant: what is behind the last record that is whole and right is cut off before more is
 * written, so the file is hostile only until it has been read. */
#include "engine/calibrate/calibrate_parts.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct head {
	char magic[8], base[64];
	uint32_t n_vocab, n_most;
};
static const char magic[8] = { 'S', '3', 'D', 'T', 'A', 'L', 'K', '1' };

struct record {
	uint32_t number, n_prompt, n, check;
};

struct state {
	char *path;
	int fd;
	bool used;              /* conversations are kept in it */
	bool reading, failed;
	off_t end;              /* of the last whole record */
	uint32_t n_vocab, n_most;
	uint32_t *ids;          /* (n_most) */
	int *sample;              /* (n_most) */
};

/* FNV-1a over the record's numbers and ids. */
static uint32_t check_sum(const struct record *r, const uint32_t *ids)
{
	uint32_t h = 2166136261u;
	const uint32_t first[] = { r->number, r->n_prompt, r->n };

	for (uint32_t i = 0; i < 3 + r->n; i++) {
		uint32_t v = i < 3 ? first[i] : ids[i - 3];

		for (int b = 0; b < 32; b += 8)
			h = (h ^ (v >> b & 255)) * 16777619u;
	}
	return h;
}

static bool read_all(int fd, void *p, size_t n)
{
	char *to = p;

	while (n) {
		ssize_t r = read(fd, to, n);

		if (r == 0 || (r < 0 && errno != EINTR))
			return false;
		to += r > 0 ? r : 0;
		n -= r > 0 ? (size_t)r : 0;
	}
	return true;
}

/* 0: it is ours and for this model, or fresh; else note says why it is not used. */
static int check_head(struct state *s, const struct head *want, char note[ERR_MAX])
{
	struct head h;
	struct stat st;

	s->end = sizeof(h);
	if (fstat(s->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return fail(note, "%s is no file; this calibration can not be interrupted",
			    s->path);
	if (st.st_size && (!read_all(s->fd, &h, sizeof(h)) ||
			   memcmp(h.magic, magic, sizeof(magic)) != 0))
		return fail(note, "%s is something else and is left alone; this calibration can "
			    "not be interrupted", s->path);
	if (st.st_size && memcmp(&h, want, sizeof(h)) != 0)
		fail(note, "%s is of another model and is begun anew", s->path);
	else if (st.st_size)
		return 0;
	s->reading = false;
	if (ftruncate(s->fd, 0) == 0 && lseek(s->fd, 0, SEEK_SET) == 0 &&
	    fd_write(s->fd, want, sizeof(*want)) == 0)
		return 0;
	fail(note, "%s: %s; this calibration can not be interrupted", s->path, strerror(errno));
	s->failed = ftruncate(s->fd, 0) != 0;   /* half a head would pass for a stranger's file */
	return -1;
}

static struct state *state_new(const char *path, int n_vocab, int n_most, char err[ERR_MAX])
{
	struct state *s = mem_new(1, sizeof(*s), err);

	if (!s)
		return NULL;
	*s = (struct state){ .path = strdup(path), .fd = -1, .reading = true,
			     .n_vocab = (uint32_t)n_vocab, .n_most = (uint32_t)n_most,
			     .ids = mem_new((size_t)n_most, sizeof(*s->ids), err),
			     .sample = mem_new((size_t)n_most, sizeof(*s->sample), err) };
	if (s->path && s->ids && s->sample)
		return s;
	fail(err, "out of memory");
	state_close(s, false);
	return NULL;
}

/* The file with its lock, or -1.  One that has lost its name meanwhile was removed by the one who
 * had the lock before, and does not keep anybody else away. */
static int open_locked(const char *path)
{
	for (int tries = 0; tries < 10; tries++) {
		int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK |
			      O_NOCTTY, 0666);
		bool taken = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
		struct stat st;

		if (fd < 0 || (!taken && fstat(fd, &st) == 0 && st.st_nlink > 0))
			return fd;
		close(fd);
		if (taken)
			break;
	}
	errno = EWOULDBLOCK;
	return -1;
}

struct state *state_open(const char *path, const char *base, int n_vocab, int n_most,
			 char note[ERR_MAX], char err[ERR_MAX])
{
	struct state *s = state_new(path, n_vocab, n_most, err);
	struct head want = { .n_vocab = (uint32_t)n_vocab, .n_most = (uint32_t)n_most };

	if (!s)
		return NULL;
	*note = '\0';
	s->fd = open_locked(path);
	if (s->fd < 0 && errno == EWOULDBLOCK) {
		fail(err, "another calibration is at work on %s", path);
		state_close(s, false);
		return NULL;
	}
	if (!base)
		return s;
	memcpy(want.magic, magic, sizeof(magic));
	memcpy(want.base, base, sizeof(want.base));
	if (s->fd < 0)
		fail(note, "%s: %s; this calibration can not be interrupted", path,
		     errno == ELOOP ? "a link, which is left alone" : strerror(errno));
	else
		s->used = check_head(s, &want, note) == 0;
	return s;
}

static bool is_right(const struct state *s, const struct record *r)
{
	bool right = r->n >= 2 && r->n <= s->n_most && r->n_prompt >= 1 && r->n_prompt < r->n &&
		     r->number < 1u << 30;

	return right;
}

bool state_read(struct state *s, struct sample *out)
{
	struct record r;
	bool right;

	if (!s->used || !s->reading)
		return false;
	right = read_all(s->fd, &r, sizeof(r)) && is_right(s, &r) &&
		read_all(s->fd, s->ids, sizeof(*s->ids) * r.n) && check_sum(&r, s->ids) == r.check;
	for (uint32_t i = 0; right && i < r.n; i++) {
		right = s->ids[i] < s->n_vocab;
		s->sample[i] = (int)s->ids[i];
	}
	if (right) {
		s->end += (off_t)(sizeof(r) + sizeof(*s->ids) * r.n);
		*out = (struct sample){ (int)r.number, (int)r.n_prompt, (int)r.n, s->sample };
		return true;
	}
	s->reading = false;
	if (ftruncate(s->fd, s->end) != 0)
		s->failed = true;
	return false;
}

int state_write(struct state *s, const struct sample *t, char err[ERR_MAX])
{
	struct record r = { (uint32_t)t->number, (uint32_t)t->n_prompt, (uint32_t)t->n, 0 };

	if (!s->used)
		return 0;
	for (int i = 0; i < t->n; i++)
		s->ids[i] = (uint32_t)t->ids[i];
	r.check = check_sum(&r, s->ids);
	if (!s->failed && lseek(s->fd, s->end, SEEK_SET) == s->end &&
	    fd_write(s->fd, &r, sizeof(r)) == 0 &&
	    fd_write(s->fd, s->ids, sizeof(*s->ids) * r.n) == 0) {
		s->end += (off_t)(sizeof(r) + sizeof(*s->ids) * r.n);
		return 0;
	}
	fail(err, "%s: %s; this calibration can not be interrupted from here on", s->path,
	     strerror(errno));
	if (ftruncate(s->fd, s->end) != 0)
		s->failed = true;
	return -1;
}

bool state_kept(const struct state *s)
{
	return s && s->used && s->end > (off_t)sizeof(struct head);
}

void state_close(struct state *s, bool remove)
{
	struct stat st;

	if (!s)
		return;
	if (s->used ? remove : s->fd >= 0 && fstat(s->fd, &st) == 0 && st.st_size == 0 &&
	    S_ISREG(st.st_mode))
		unlink(s->path);
	if (s->fd >= 0)
		close(s->fd);
	free(s->path);
	mem_free(s->ids);
	mem_free(s->sample);
	mem_free(s);
}
