/* chat_file.c - conversations as JSON lines: one object for the chat, then one for each turn.
 *
 * A file is replaced in one step (temporary file, fsync, rename), mode 0600.  What is read is
 * hostile: every field is checked; only a last line that was cut off is forgiven.
 * Invariant: a failed save leaves the old file as it was and nothing beside it. */
#include "app/args.h"
#include "app/chat.h"
#include "app/json_text.h"
#include "app/text.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORMAT 1
#define FILE_LIMIT ((off_t)256 << 20)

static json_t *settings_object(const struct options *o)
{
	json_t *j = json_object();
	char value[64];

	for (size_t i = 0; i < option_rows_n; i++)
		if (option_rows[i].where & LIVE)
			json_object_set_new(j, option_rows[i].name, json_string(args_show(o,
					    &option_rows[i], value, sizeof(value))));
	return j;
}

static json_t *header_object(const struct chat *c, const struct options *o, const char *model)
{
	char *title = c->n ? text_title(c->turn[0].text, c->turn[0].len) : NULL;
	json_t *j = json_object();

	if (json_object_set_new(j, "s3dchat", json_integer(FORMAT))) {
		json_decref(j);
		free(title);
		return NULL;
	}
	if (title)
		json_object_set_new(j, "title", json_string(title));
	free(title);
	json_text_set(j, "model", model, strlen(model));
	json_object_set_new(j, "settings", settings_object(o));
	if (c->system)
		json_text_set(j, "system", c->system, c->system_len);
	return j;
}

static json_t *ids_list(const struct chat_turn *t)
{
	json_t *list = json_array();

	for (int i = 0; i < t->n_ids; i++)
		json_array_append_new(list, json_integer(t->ids[i]));
	return list;
}

static json_t *turn_object(const struct chat_turn *t)
{
	json_t *j = json_object();

	json_object_set_new(j, "role", json_string(t->who == CHAT_USER ? "user" : "assistant"));
	if (json_text_set(j, "text", t->text, t->len)) {
		json_decref(j);         /* without its text the file could not be read again */
		return NULL;
	}
	if (t->who == CHAT_MODEL)
		json_object_set_new(j, "seed", json_integer(t->seed));
	if (t->partial)
		json_object_set_new(j, "partial", json_true());
	if (t->partial && t->n_ids)
		json_object_set_new(j, "tokens", ids_list(t));
	return j;
}

static int put_object(FILE *f, json_t *j)
{
	int rc = j ? json_dumpf(j, f, JSON_COMPACT) : (errno = ENOMEM, -1);

	json_decref(j);
	return rc || fputc('\n', f) == EOF ? -1 : 0;
}

static int write_all(FILE *f, const struct chat *c, const struct options *o, const char *model)
{
	if (put_object(f, header_object(c, o, model)))
		return -1;
	for (int i = 0; i < c->n; i++)
		if (put_object(f, turn_object(&c->turn[i])))
			return -1;
	return fflush(f) || fsync(fileno(f)) ? -1 : 0;
}

/* The rename is on disk only when its folder is. */
static void sync_folder(const char *path)
{
	char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;
	int fd;

	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(folder);
}

static int replace(const char *path, const struct chat *c, const struct options *o,
		   const char *model, char err[ERR_MAX])
{
	char *tmp = malloc(strlen(path) + 8);
	int fd, rc = -1;
	int why;
	FILE *f;

	if (!tmp)
		return fail(err, "out of memory");
	sprintf(tmp, "%s.XXXXXX", path);
	fd = mkostemp(tmp, O_CLOEXEC);  /* mode 0600 */
	f = fd >= 0 ? fdopen(fd, "w") : NULL;
	if (!f) {
		fail(err, "cannot write beside '%s': %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
	} else {
		rc = write_all(f, c, o, model);
		why = errno;
		if (fclose(f) || (!rc && rename(tmp, path))) {
			why = rc ? why : errno;
			rc = -1;
		}
		if (rc)
			fail(err, "cannot write '%s': %s", path, strerror(why));
	}
	if (rc && fd >= 0)
		unlink(tmp);
	free(tmp);
	if (!rc)
		sync_folder(path);
	return rc;
}

int chat_save(const struct chat *c, const struct options *o, const char *model, const char *path,
	      char err[ERR_MAX])
{
	struct stat st;
	char *real = NULL;
	int rc;

	if (!stat(path, &st)) {         /* a link stays a link, a device is not replaced */
		if (!S_ISREG(st.st_mode))
			return fail(err, "'%s' is there and is not an ordinary file", path);
		real = realpath(path, NULL);
	}
	rc = replace(real ? real : path, c, o, model, err);
	free(real);
	return rc;
}

static char *read_file(const char *path, size_t *n, char err[ERR_MAX])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	char *buf = NULL;
	ssize_t got = 1;

	if (fd < 0 || fstat(fd, &st)) {
		fail(err, "cannot read '%s': %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		fail(err, "'%s' is not an ordinary file", path);
	} else if (st.st_size > FILE_LIMIT) {
		fail(err, "'%s' is too big for a chat (over 256 MiB)", path);
	} else {
		buf = malloc((size_t)st.st_size + 1);
		for (*n = 0; buf && *n < (size_t)st.st_size && got > 0; *n += (size_t)got) {
			got = TEMP_FAILURE_RETRY(read(fd, buf + *n, (size_t)st.st_size - *n));
			if (got < 0)
				break;
		}
		if (!buf || got < 0)
			fail(err, "cannot read '%s': %s", path, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	if (got < 0) {
		free(buf);
		return NULL;
	}
	return buf;
}

/* Settings that this version does not know, or whose values it refuses, keep their own. */
static void take_settings(struct options *o, const json_t *settings, char warning[ERR_MAX])
{
	const char *key;
	json_t *value;
	char err[ERR_MAX];

	json_object_foreach((json_t *)settings, key, value) {
		const struct option_row *r = args_find(key);

		if (!r || !(r->where & LIVE) || !json_is_string(value))
			fail(warning, "setting '%s' of the file was left out", key);
		else if (args_set(o, r, json_string_value(value), err))
			fail(warning, "setting of the file was left out: %s", err);
	}
}

static int take_header(struct chat *c, struct options *o, const json_t *j, char warning[ERR_MAX],
		       char err[ERR_MAX])
{
	const json_t *version = json_object_get(j, "s3dchat");
	char *system = NULL;
	size_t n;
	int rc;

	if (!json_is_integer(version))
		return fail(err, "line 1 is not the head of a chat");
	if (json_integer_value(version) != FORMAT)
		return fail(err, "format %lld is not known to this version (it knows %d)",
			    (long long)json_integer_value(version), FORMAT);
	if (json_object_get(j, "system")) {
		system = json_text_get(j, "system", &n);
		if (!system)
			return fail(err, "line 1: \"system\" is not a text");
		rc = chat_system(c, system, n);
		free(system);
		if (rc)
			return fail(err, "out of memory");
	}
	if (o)
		take_settings(o, json_object_get(j, "settings"), warning);
	return 0;
}

/* The tokens of the last turn, as far as they may be some: whoever goes on with it looks. */
static void take_ids(struct chat *c, const json_t *list)
{
	json_t *id;
	size_t i;

	json_array_foreach(list, i, id) {
		json_int_t x = json_is_integer(id) ? json_integer_value(id) : -1;

		if (x < 0 || x > INT_MAX || chat_token(c, (int)x))
			return;
	}
}

static int take_turn(struct chat *c, const json_t *j, int line, char err[ERR_MAX])
{
	const char *role = json_string_value(json_object_get(j, "role"));
	enum chat_who who = role && !strcmp(role, "user") ? CHAT_USER : CHAT_MODEL;
	char *text;
	size_t n;
	int rc;

	if (!role || (who == CHAT_MODEL && strcmp(role, "assistant")))
		return fail(err, "line %d: \"role\" is neither \"user\" nor \"assistant\"", line);
	text = json_text_get(j, "text", &n);
	if (!text)
		return fail(err, "line %d: \"text\" is not a text", line);
	rc = chat_add(c, who, text, n);
	free(text);
	if (rc)
		return fail(err, "line %d: two turns of the same speaker, or out of memory", line);
	chat_last(c)->seed = json_integer_value(json_object_get(j, "seed"));
	chat_last(c)->partial = json_is_true(json_object_get(j, "partial"));
	if (chat_last(c)->partial)
		take_ids(c, json_object_get(j, "tokens"));
	return 0;
}

/* One line of the file; last: nothing follows it, so that it may have been cut off. */
static int take_line(struct chat *c, struct options *o, const char *s, size_t n, int line,
		     bool last, char warning[ERR_MAX], char err[ERR_MAX])
{
	json_error_t why;
	json_t *j = json_loadb(s, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	int rc = 0;

	if (!j && last && line > 1)
		fail(warning, "line %d was cut off and is left out", line);
	else if (!json_is_object(j))
		rc = fail(err, "line %d is not a JSON object%s%s", line, j ? "" : ": ",
			  j ? "" : why.text);
	else if (line == 1)
		rc = take_header(c, o, j, warning, err);
	else
		rc = take_turn(c, j, line, err);
	json_decref(j);
	return rc;
}

static int take_lines(struct chat *c, struct options *o, const char *s, size_t n,
		      char warning[ERR_MAX], char err[ERR_MAX])
{
	size_t at = 0;

	for (int line = 1; at < n || line == 1; line++) {
		const char *nl = n > at ? memchr(s + at, '\n', n - at) : NULL;
		size_t len = nl ? (size_t)(nl - s) - at : n - at;

		if (take_line(c, o, s + at, len, line, !nl, warning, err))
			return -1;
		at += len + 1;
	}
	return 0;
}

struct chat *chat_load(struct options *o, const char *path, char warning[ERR_MAX],
		       char err[ERR_MAX])
{
	struct options changed;
	struct chat *c = NULL;
	char why[ERR_MAX];
	size_t n = 0;
	char *s = read_file(path, &n, err);

	warning[0] = '\0';
	if (o)
		changed = *o;
	if (s && !(c = chat_open())) {
		fail(err, "out of memory");
	} else if (s && take_lines(c, o ? &changed : NULL, s, n, warning, why)) {
		fail(err, "'%s': %s", path, why);
		chat_close(c);
		c = NULL;
	} else if (s && o) {
		*o = changed;
	}
	free(s);
	return c;
}
