/* config.c - see config.h.
 *
 * Files, installed themes and built-in ones go through one parser.  A chain of struct place on the
 * stack says which files are being read, so that a file cannot source itself.
 * Invariant: a line that is refused has changed nothing. */
#include "app/config/config.h"
#include "app/config/args.h"
#include "app/config/config_parts.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 1000, WORDS_MAX = 16,
	FILE_MAX_BYTES = 1 << 20,
	FILES_MAX = 64,         /* read on behalf of one file */
	WARNINGS_MAX = 20,      /* about one file */
};

struct reading {                /* one call of config_file or config_theme */
	struct config *c;
	bool only_looks;        /* a theme: no settings, no keys */
	int files;
};

struct place {                  /* a file that is being read */
	const struct place *up;
	const char *path;
	bool built_in;
	dev_t dev;
	ino_t ino;
};

struct line {
	char buf[LINE_MAX_BYTES + 1];
	char *word[WORDS_MAX];
	int n;
};

static int read_path(struct reading *, const struct place *, const char *path, char err[ERR_MAX]);
static int read_builtin(struct reading *, const struct place *, const char *name,
			char err[ERR_MAX]);

static bool no_color(void)
{
	const char *v = getenv("NO_COLOR");

	return v && *v;
}

void config_default(struct config *c, struct options *o)
{
	*c = (struct config){ .opt = o };
	theme_default(&c->theme);
	if (no_color())
		theme_strip(&c->theme);
	keymap_default(&c->keys);
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A word in double quotes, from the byte behind the first one, made plain in place; returns what
 * is behind the last quote, NULL if there is none. */
static char *unquote(char *p, char **word)
{
	char *to = p;

	*word = p;
	for (; *p != '"'; *to++ = *p++) {
		if (*p == '\\' && (p[1] == '"' || p[1] == '\\'))
			p++;
		if (!*p)
			return NULL;
	}
	*to = '\0';
	return p + 1;
}

/* A # is a comment where a line begins, and before a blank: "#aabbcc" is a colour. */
static int split(struct line *l, const char *text, char err[ERR_MAX])
{
	char *p = l->buf;

	l->n = 0;
	if (strlen(text) > LINE_MAX_BYTES)
		return fail(err, "the line is longer than %d bytes", LINE_MAX_BYTES);
	memcpy(p, text, strlen(text) + 1);
	for (;;) {
		while (blank(*p))
			p++;
		if (!*p || (*p == '#' && (!l->n || !p[1] || blank(p[1]))))
			return 0;
		if (l->n == WORDS_MAX)
			return fail(err, "more than %d words", WORDS_MAX);
		if (*p == '"') {
			p = unquote(p + 1, &l->word[l->n++]);
			if (!p)
				return fail(err, "a double quote is not closed");
			if (*p && !blank(*p))
				return fail(err, "a blank is missing behind a closing quote");
		} else {
			l->word[l->n++] = p;
			p += strcspn(p, " \t");
		}
		if (*p)
			*p++ = '\0';
	}
}

/* The value where it stays while the configuration does; NULL: no room. */
static const char *keep(struct config *c, const char *value)
{
	size_t n = strlen(value) + 1;

	for (const char *p = c->text; p < c->text + c->text_n; p += strlen(p) + 1)
		if (!strcmp(p, value))
			return p;
	if (n > sizeof(c->text) - c->text_n)
		return NULL;
	c->text_n += n;
	return memcpy(c->text + c->text_n - n, value, n);
}

bool config_settable(const struct option_row *r)
{
	static const char *const never[] = { "prompt", "file", "json", "session", "help",
		"version" };

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (!strcmp(r->name, never[i]))
			return false;
	return r->where & IN_CHAT;
}

static int set(struct reading *rd, const struct line *l, char err[ERR_MAX])
{
	const struct option_row *r = l->n > 1 ? args_find(l->word[1]) : NULL;
	struct options scratch;
	const char *value;

	if (l->n != 3)
		return fail(err, "set takes a key and a value (a value with blanks: in double "
			    "quotes)");
	if (!r || !config_settable(r))
		return fail(err, "there is no setting '%s'; man 5 s3dchat lists them", l->word[1]);
	/* The value must be good before it takes room. */
	args_defaults(&scratch);
	if (args_set(&scratch, r, l->word[2], err))
		return memmove(err, err + 2 * !strncmp(err, "--", 2), strlen(err) - 1), -1;
	if (!rd->c->opt)
		return 0;
	value = r->kind >= OPT_TEXT ? keep(rd->c, l->word[2]) : l->word[2];
	if (!value)
		return fail(err, "no room for more texts in set lines");
	return args_set(rd->c->opt, r, value, err);
}

static int color(struct reading *rd, const struct line *l, char err[ERR_MAX])
{
	struct look look;
	int role = l->n > 1 ? theme_role(l->word[1]) : -1;

	if (l->n < 4)
		return fail(err, "color takes a role, a foreground, a background, and attributes");
	if (role < 0)
		return fail(err, "there is no role '%s'; man 5 s3dchat lists them", l->word[1]);
	if (theme_look((const char *const *)l->word + 2, l->n - 2, &look, err))
		return -1;
	rd->c->theme.look[role] = look;
	if (no_color())
		theme_strip(&rd->c->theme);
	return 0;
}

static int bind_key(struct reading *rd, const struct line *l, char err[ERR_MAX])
{
	if (l->n != 3)
		return fail(err, "bind takes a key and an action");
	return keymap_bind(&rd->c->keys, l->word[1], l->word[2], err);
}

static bool join(char out[PATH_MAX], const char *folder, const char *sub, const char *name)
{
	return snprintf(out, PATH_MAX, "%s%s%s", folder, sub, name) < PATH_MAX;
}

static bool exists_in(char out[PATH_MAX], const char *folder, const char *name)
{
	return (join(out, folder, "", name) && !access(out, F_OK)) ||
	       (join(out, folder, "themes/", name) && !access(out, F_OK));
}

/* Where a source line finds its file: out gets a path, or "" for a built-in theme. */
static bool find_source(const struct place *at, const char *name, char out[PATH_MAX])
{
	const char *home = getenv("HOME"), *slash = at && !at->built_in ? strrchr(at->path, '/') :
		NULL;
	char folder[PATH_MAX];

	if (!strncmp(name, "~/", 2) && home)
		return join(out, home, "", name + 1);
	if (*name == '/')
		return join(out, name, "", "");
	if (at && !at->built_in) {
		snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - at->path) + 1 : 0,
			 at->path);
		if (join(out, folder, "", name) && !access(out, F_OK))
			return true;
	}
	if ((config_folder(folder) && exists_in(out, folder, name)) ||
	    (config_data_folder(folder) && exists_in(out, folder, name)))
		return true;
	*out = '\0';
	return false;
}

static int source(struct reading *rd, const struct place *at, const struct line *l,
		  char err[ERR_MAX])
{
	char path[PATH_MAX], stem[THEME_NAME];
	const char *name = l->n == 2 ? l->word[1] : "";
	size_t n = strlen(name);

	if (!*name)
		return fail(err, "source takes one file name (with blanks: in double quotes)");
	if (find_source(at, name, path))
		return read_path(rd, at, path, err);
	if (n > 6 && n - 6 < THEME_NAME && !strcmp(name + n - 6, ".theme")) {
		snprintf(stem, sizeof(stem), "%.*s", (int)(n - 6), name);
		return read_builtin(rd, at, stem, err);
	}
	return fail(err, "'%s' is not beside this file, nor in the user's or the installed "
		    "configuration folder", name);
}

static int run_line(struct reading *rd, const struct place *at, const char *text,
		    char err[ERR_MAX])
{
	struct line l;

	if (split(&l, text, err))
		return -1;
	if (!l.n)
		return 0;
	if (!strcmp(l.word[0], "color"))
		return color(rd, &l, err);
	if (!strcmp(l.word[0], "source"))
		return source(rd, at, &l, err);
	if (strcmp(l.word[0], "set") && strcmp(l.word[0], "bind"))
		return fail(err, "'%s' is not set, color, bind or source", l.word[0]);
	if (rd->only_looks)
		return fail(err, "only color and source count in a theme");
	return *l.word[0] == 's' ? set(rd, &l, err) : bind_key(rd, &l, err);
}

int config_line(struct config *c, const char *line, const char *where, char err[ERR_MAX])
{
	struct reading rd = { .c = c };

	return run_line(&rd, NULL, line, err) ? fail(err, "%s: %s", where, err) : 0;
}

static void warn(const struct reading *rd, const char *text)
{
	struct config *c = rd->c;
	size_t n = strlen(c->warnings), more = strlen(text);

	if (c->warn)
		c->warn(c->ctx, text);
	else if (n + more + 2 <= sizeof(c->warnings))
		snprintf(c->warnings + n, sizeof(c->warnings) - n, "%s\n", text);
}

/* text[0..n-1], terminated, line by line. */
static void read_text(struct reading *rd, const struct place *at, char *text, size_t n)
{
	char err[ERR_MAX];
	int number = 1, warnings = 0;
	char *p = text, *end = text + n, *next;

	if (n >= 3 && !memcmp(text, "\xEF\xBB\xBF", 3))
		p += 3;
	for (; p < end && warnings < WARNINGS_MAX; p = next, number++) {
		char *stop = memchr(p, '\n', (size_t)(end - p));
		bool bad;

		next = stop ? stop + 1 : end;
		stop = stop ? stop : end;
		if (stop > p && stop[-1] == '\r')
			stop--;
		*stop = '\0';
		bad = strlen(p) != (size_t)(stop - p) ?
			fail(err, "a zero byte: this is no configuration file") :
			run_line(rd, at, p, err);
		if (bad) {
			fail(err, "%s:%d: %s", at->path, number, err);
			warn(rd, err);
			warnings++;
		}
	}
	if (p < end) {
		fail(err, "%s:%d: too many mistakes; the rest is left out", at->path, number);
		warn(rd, err);
	}
}

static int may_read(struct reading *rd, const struct place *me, char err[ERR_MAX])
{
	for (const struct place *p = me->built_in ? NULL : me->up; p; p = p->up)
		if (!p->built_in && p->dev == me->dev && p->ino == me->ino)
			return fail(err, "%s: is already being read; a file cannot source itself",
				    me->path);
	if (++rd->files > FILES_MAX)
		return fail(err, "%s: more than %d files are sourced", me->path, FILES_MAX);
	return 0;
}

static int read_open(struct reading *rd, struct place *me, int fd, char err[ERR_MAX])
{
	struct stat st;
	size_t n;
	char *text;

	if (fstat(fd, &st))
		return fail(err, "%s: %s", me->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return fail(err, "%s: is not a regular file", me->path);
	if (st.st_size > FILE_MAX_BYTES)
		return fail(err, "%s: is over %d bytes; this is no configuration file", me->path,
			    FILE_MAX_BYTES);
	me->dev = st.st_dev;
	me->ino = st.st_ino;
	if (may_read(rd, me, err))
		return -1;
	text = file_read_fd(fd, me->path, 0, FILE_MAX_BYTES, &n, err);
	if (!text)
		return -1;
	read_text(rd, me, text, n);
	free(text);
	return 0;
}

static int read_path(struct reading *rd, const struct place *up, const char *path,
		     char err[ERR_MAX])
{
	struct place me = { .up = up, .path = path };
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc;

	if (fd < 0)
		return fail(err, "%s: %s", path, strerror(errno));
	rc = read_open(rd, &me, fd, err);
	close(fd);
	return rc;
}

static int read_builtin(struct reading *rd, const struct place *up, const char *name,
			char err[ERR_MAX])
{
	char title[128];
	struct place me = { .up = up, .path = title, .built_in = true };

	const char *text = config_builtin(name);
	char *copy;

	if (!text)
		return config_no_theme(name, err);
	snprintf(title, sizeof(title), "built-in theme %s", name);
	if (may_read(rd, &me, err))
		return -1;
	copy = strdup(text);
	if (!copy)
		return fail(err, "%s: out of memory", title);
	read_text(rd, &me, copy, strlen(copy));
	free(copy);
	return 0;
}

int config_file(struct config *c, const char *path, char err[ERR_MAX])
{
	struct reading rd = { .c = c };

	return read_path(&rd, NULL, path, err);
}

int config_user(struct config *c, char err[ERR_MAX])
{
	char path[PATH_MAX], folder[PATH_MAX];

	if (!config_folder(folder) || !join(path, folder, "", "config"))
		return 0;
	if (access(path, F_OK) && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	return config_file(c, path, err);
}

int config_theme(struct config *c, const char *name, char err[ERR_MAX])
{
	struct reading rd = { .c = c, .only_looks = true };
	struct theme before = c->theme;
	char path[PATH_MAX], folder[PATH_MAX], file[THEME_NAME + 16];
	int rc;

	if (!config_theme_name(name))
		return fail(err, "'%s' is no name of a theme: letters, digits, '-', '_' and '.'",
			    name);
	snprintf(file, sizeof(file), "themes/%s.theme", name);
	theme_default(&c->theme);
	if (no_color())
		theme_strip(&c->theme);
	if ((config_folder(folder) && join(path, folder, "", file) && !access(path, F_OK)) ||
	    (config_data_folder(folder) && join(path, folder, "", file) && !access(path, F_OK)))
		rc = read_path(&rd, NULL, path, err);
	else
		rc = read_builtin(&rd, NULL, name, err);
	if (rc)
		c->theme = before;
	return rc;
}
