/* chat_file.c - conversations as JSON lines: one object for the chat, then one for each turn.
 *
 * A file is replaced in one step (temporary file, fsync, rename), mode 0600.  What is read is
 * hostile: every field is checked, and a line that is no turn is left out and told.
 * Invariant: a failed save leaves the old file as it was and nothing beside it. */
#include "app/config/args.h"
#include "app/chat/chat.h"
#include "app/chat/json_text.h"
#include "app/chat/stats.h"
#include "base/text.h"
#include "base/file.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FORMAT 1
#define FILE_LIMIT ((size_t)256 << 20)

static json_t *settings_object(const struct options *o)
{
	json_t *j = json_object();
	char value[64];

	for (size_t i = 0; i < option_rows_n; i++)
		if (args_is_of_chat(&option_rows[i]))
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
	if (c->model_file)
		json_text_set(j, "model_file", c->model_file, strlen(c->model_file));
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
	if (t->who == CHAT_MODEL)
		stats_put(j, &t->stats);
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
	return 0;
}

static int replace(const char *path, const struct chat *c, const struct options *o,
		   const char *model, char err[ERR_MAX])
{
	struct file_new w;

	if (file_begin(&w, path, FILE_PRIVATE, err))
		return -1;
	if (!write_all(w.f, c, o, model) || ferror(w.f))
		return file_keep(&w, err);
	file_drop(&w);
	return fail(err, "cannot write '%s': out of memory", path);
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

enum { TOLD = 4 };

/* A file that is being read, and what there is to say of it. */
struct reading {
	struct chat *c;
	struct options *o;      /* NULL: settings are not asked for */
	bool head;
	int left_out, filled;   /* lines without their turn; turns that stand for missing ones */
	int first_out[TOLD], first_filled[TOLD];        /* their lines */
	char why[ERR_MAX];      /* of the first that was left out */
	char warning[ERR_MAX];  /* of settings */
};

/* Settings that this version does not know, or whose values it refuses, keep their own. */
static void take_settings(struct options *o, const json_t *settings, char warning[ERR_MAX])
{
	const char *key;
	json_t *value;
	char err[ERR_MAX];

	json_object_foreach((json_t *)settings, key, value) {
		const struct option_row *r = args_find(key);

		if (!r || !args_is_of_chat(r) || !json_is_string(value))
			fail(warning, "setting '%s' of the file was left out", key);
		else if (args_set(o, r, json_string_value(value), err))
			fail(warning, "setting of the file was left out: %s", err);
	}
}

static int take_model(struct chat *c, const json_t *j)
{
	size_t n, m;
	char *name = json_text_get(j, "model", &n), *file = json_text_get(j, "model_file", &m);
	bool is_path = file && *file == '/' && strlen(file) == m;
	int rc = chat_model(c, name && *name ? name : NULL, is_path ? file : NULL);

	free(name);
	free(file);
	return rc;
}

/* 1: this is one of another format, which nobody here can read. */
static int take_header(struct reading *r, const json_t *j, int line, char err[ERR_MAX])
{
	json_int_t version = json_integer_value(json_object_get(j, "s3dchat"));
	char *system;
	size_t n;
	int rc;

	if (version != FORMAT) {
		fail(err, "format %lld is not known to this version (it knows %d)",
		     (long long)version, FORMAT);
		return 1;
	}
	r->head = true;
	if (r->o)
		take_settings(r->o, json_object_get(j, "settings"), r->warning);
	if (take_model(r->c, j))
		return fail(err, "out of memory");
	if (!json_object_get(j, "system"))
		return 0;
	system = json_text_get(j, "system", &n);
	if (!system)
		return fail(err, "line %d: \"system\" is not a text", line);
	rc = chat_system(r->c, system, n);
	free(system);
	return rc ? fail(err, "out of memory") : 0;
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

static void note_line(int lines[TOLD], int *n, int line)
{
	if (*n < TOLD)
		lines[*n] = line;
	++*n;
}

/* Turns alternate: where the other speaker's is missing an empty one stands for it. */
static int fill(struct reading *r, enum chat_who who, int line)
{
	enum chat_who next = r->c->n % 2 ? CHAT_MODEL : CHAT_USER;

	if (who == next)
		return 0;
	if (chat_add(r->c, next, "", 0))
		return -1;
	chat_last(r->c)->partial = next == CHAT_MODEL;
	note_line(r->first_filled, &r->filled, line);
	return 0;
}

static int take_turn(struct reading *r, const json_t *j, int line, char err[ERR_MAX])
{
	const char *role = json_string_value(json_object_get(j, "role"));
	enum chat_who who = role && !strcmp(role, "user") ? CHAT_USER : CHAT_MODEL;
	struct chat_turn *t;
	char *text;
	size_t n;
	int rc;

	if (!role || (who == CHAT_MODEL && strcmp(role, "assistant")))
		return fail(err, "line %d: \"role\" is neither \"user\" nor \"assistant\"", line);
	text = json_text_get(j, "text", &n);
	if (!text)
		return fail(err, "line %d: \"text\" is not a text", line);
	rc = fill(r, who, line) || chat_add(r->c, who, text, n);
	free(text);
	if (rc)
		return fail(err, "out of memory");
	t = chat_last(r->c);
	t->seed = json_integer_value(json_object_get(j, "seed"));
	t->partial = json_is_true(json_object_get(j, "partial"));
	t->stats = stats_get(j);
	if (t->partial)
		take_ids(r->c, json_object_get(j, "tokens"));
	return 0;
}

/* One line of the file; last: nothing follows it, so that it may have been cut off.  1: the file
 * cannot be read at all. */
static int take_line(struct reading *r, const char *s, size_t n, int line, bool last,
		     char err[ERR_MAX])
{
	json_error_t why;
	json_t *j = json_loadb(s, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
	char reason[ERR_MAX];
	int rc;

	if (!j && last && line > 1)
		rc = fail(reason, "line %d was cut off", line);
	else if (!json_is_object(j))
		rc = fail(reason, "line %d is not a JSON object%s%s", line, j ? "" : ": ",
			  j ? "" : why.text);
	else if (!r->head && json_is_integer(json_object_get(j, "s3dchat")))
		rc = take_header(r, j, line, reason);
	else
		rc = take_turn(r, j, line, reason);
	json_decref(j);
	if (rc < 0) {
		if (!r->left_out)
			snprintf(r->why, sizeof(r->why), "%s", reason);
		note_line(r->first_out, &r->left_out, line);
	}
	if (rc > 0)
		snprintf(err, ERR_MAX, "%s", reason);
	return rc > 0;
}

static bool is_blank(const char *s, size_t n)
{
	while (n && strchr(" \t\r", s[n - 1]) && s[n - 1])
		n--;
	return !n;
}

static size_t bom_length(const char *s, size_t n)
{
	return n >= 3 && !memcmp(s, "\xef\xbb\xbf", 3) ? 3 : 0;
}

static int take_lines(struct reading *r, const char *s, size_t n, char err[ERR_MAX])
{
	size_t at = bom_length(s, n);

	for (int line = 1; at < n; line++) {
		const char *nl = memchr(s + at, '\n', n - at);
		size_t len = nl ? (size_t)(nl - s) - at : n - at;

		if (!is_blank(s + at, len) && take_line(r, s + at, len, line, !nl, err))
			return -1;
		at += len + 1;
	}
	if (!r->head && !r->c->n)
		return fail(err, "it is no saved chat: %s", r->left_out ? r->why : "it is empty");
	return 0;
}

/* "line 3", or "lines 3, 5 and 2 more". */
static int put_lines(char *out, size_t cap, const int *lines, int n)
{
	int at = snprintf(out, cap, n > 1 ? "lines %d" : "line %d", lines[0]);

	for (int i = 1; i < n && i < TOLD; i++)
		at += snprintf(out + at, cap - (size_t)at, ", %d", lines[i]);
	if (n > TOLD)
		at += snprintf(out + at, cap - (size_t)at, " and %d more", n - TOLD);
	return at;
}

static void tell(const struct reading *r, char warning[ERR_MAX])
{
	char out[128], filled[128];

	snprintf(warning, ERR_MAX, "%s", r->warning);
	if (r->left_out) {
		put_lines(out, sizeof(out), r->first_out, r->left_out);
		chat_also(warning, "%s left out: %s", out, r->why);
	}
	if (r->filled) {
		put_lines(filled, sizeof(filled), r->first_filled, r->filled);
		chat_also(warning, "an empty turn stands for one that is missing before %s",
			  filled);
	}
	if (!r->head)
		chat_also(warning, "the settings are those of now: the file's are missing");
}

void chat_also(char text[ERR_MAX], const char *format, ...)
{
	size_t n = strlen(text);
	va_list ap;

	if (n)
		n += (size_t)snprintf(text + n, ERR_MAX - n, "; ");
	if (n >= ERR_MAX)
		return;
	va_start(ap, format);
	vsnprintf(text + n, ERR_MAX - n, format, ap);
	va_end(ap);
}

bool chat_is_saved(const char *path)
{
	char err[ERR_MAX];
	size_t n = 0;
	char *s = file_read(path, FILE_ORDINARY, FILE_LIMIT, &n, err);
	const char *nl = n ? memchr(s, '\n', n) : NULL;
	size_t bom = s ? bom_length(s, n) : 0;
	json_t *j = nl ? json_loadb(s + bom, (size_t)(nl - s) - bom,
				    JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL) : NULL;
	bool is = json_is_integer(json_object_get(j, "s3dchat"));

	json_decref(j);
	free(s);
	return is;
}

struct chat *chat_load(struct options *o, const char *path, char warning[ERR_MAX],
		       char err[ERR_MAX])
{
	struct options changed;
	struct reading r = { .o = o ? &changed : NULL };
	char why[ERR_MAX];
	size_t n = 0;
	char *s = file_read(path, FILE_ORDINARY, FILE_LIMIT, &n, err);

	warning[0] = '\0';
	if (o)
		changed = *o;
	if (s && !(r.c = chat_open())) {
		fail(err, "out of memory");
	} else if (s && take_lines(&r, s, n, why)) {
		fail(err, "'%s': %s", path, why);
		chat_close(r.c);
		r.c = NULL;
	} else if (s) {
		tell(&r, warning);
		r.c->damaged = r.left_out > 0;
		if (o)
			*o = changed;
	}
	free(s);
	return r.c;
}
