/* talk_file.c - a chat in progress and its files: /save and /load, saving after every turn, going
 * on with a saved chat.
 *
 * Invariant: the file of a saved chat is replaced only by us, and only while nobody else has
 * written to it: otherwise the chat goes on in a new one. */
#include "app/config/args.h"
#include "app/config/model_path.h"
#include "app/talk/talk_in.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void tell(struct talk *t, enum msg_kind kind, const char *text)
{
	msgq_put_text(&t->worker->out, (struct msg){ .kind = kind }, text, strlen(text));
}

static void leave_place(struct talk *t)
{
	free(t->place);
	t->place = NULL;
	memset(&t->stamp, 0, sizeof(t->stamp));
}

/* Whether someone else wrote to our file. */
static bool is_foreign(const struct talk *t)
{
	struct saved_stamp now;

	return saved_stamp(t->place, &now) && !saved_same(&now, &t->stamp);
}

static bool is_same_file(const char *a, const char *b)
{
	struct saved_stamp x, y;

	return saved_stamp(a, &x) && saved_stamp(b, &y) && x.dev == y.dev && x.ino == y.ino;
}

/* What could not be read is not lost: the file as it was stays under another name before its own is
 * written to or removed. */
static int keep_damaged(struct talk *t, const char *to, char err[ERR_MAX])
{
	char name[PATH_MAX], note[ERR_MAX];
	int rc = -1;

	if (!t->damaged || !is_same_file(t->damaged, to))
		return 0;
	errno = EEXIST;
	for (int i = 1; i < 100 && rc && errno == EEXIST; i++) {
		snprintf(name, sizeof(name), i > 1 ? "%s.damaged-%d" : "%s.damaged", to, i);
		rc = linkat(AT_FDCWD, to, AT_FDCWD, name, AT_SYMLINK_FOLLOW);
	}
	if (rc && errno != EEXIST)      /* no such links here */
		rc = rename(to, name);
	if (rc)
		return fail(err, "cannot keep '%s' as '%s': %s", to, name, strerror(errno));
	fail(note, "what could not be read is still in '%s'", name);
	tell(t, MSG_NOTE, note);
	free(t->damaged);
	t->damaged = NULL;
	return 0;
}

/* With the model that it is had with now, if one is loaded. */
static int write_chat(struct talk *t, const char *to, char err[ERR_MAX])
{
	char *file = t->ready && t->file ? realpath(t->file, NULL) : NULL;
	int rc = keep_damaged(t, to, err);

	if (!rc && t->ready && chat_model(t->chat, t->model, file))
		rc = fail(err, "out of memory");
	free(file);
	return rc ? rc : chat_save(t->chat, &t->opt, t->chat->model ? t->chat->model : "", to, err);
}

static int save_turns(struct talk *t, char err[ERR_MAX])
{
	if (!t->place)
		t->place = saved_new(err);
	if (!t->place || write_chat(t, t->place, err))
		return -1;
	if (!saved_stamp(t->place, &t->stamp))
		memset(&t->stamp, 0, sizeof(t->stamp));
	return 0;
}

int talk_keep(struct talk *t, char err[ERR_MAX])
{
	struct chat_turn *last = chat_last(t->chat);

	if (!t->keep || !last)
		return 0;
	last->partial |= t->busy && t->ready && last->who == CHAT_MODEL;
	if (t->place && is_foreign(t)) {
		leave_place(t);
		tell(t, MSG_NOTE, "another program wrote to this chat's file; from here on it is "
		     "saved in a new one");
	}
	return save_turns(t, err);
}

void talk_autosave(struct talk *t)
{
	char err[ERR_MAX], note[ERR_MAX];

	if (talk_keep(t, err)) {
		fail(note, "this turn is not saved: %s", err);
		tell(t, MSG_ERROR, note);
	}
}

/* Its only question was taken back: it would come back from the file. */
static int remove_place(struct talk *t, char err[ERR_MAX])
{
	if (!t->keep || !t->place || is_foreign(t))
		return 0;
	if (keep_damaged(t, t->place, err))
		return -1;
	if (!unlink(t->place) || errno == ENOENT)
		return 0;
	return fail(err, "cannot remove '%s': %s", t->place, strerror(errno));
}

void talk_taken_back(struct talk *t)
{
	char err[ERR_MAX], note[ERR_MAX];

	if (t->chat->n) {
		talk_autosave(t);
	} else if (remove_place(t, err)) {
		fail(note, "what was taken back is still in the saved chat: %s", err);
		tell(t, MSG_ERROR, note);
	}
}

const char *talk_place(const struct talk *t)
{
	return t->path ? t->path : t->place;
}

int talk_save(struct talk *t, const char *path, bool over, char err[ERR_MAX])
{
	struct stat st;
	char *to;

	if (!*path && !t->path) {
		if (t->place && is_foreign(t))
			leave_place(t);
		return save_turns(t, err);
	}
	to = strdup(*path ? path : t->path);
	if (!to)
		return fail(err, "out of memory");
	if (!over && !stat(to, &st) && S_ISREG(st.st_mode) && !chat_is_saved(to)) {
		fail(err, "'%s' is there and is no saved chat; /save! %s replaces it", to, to);
		free(to);
		return -1;
	}
	if (write_chat(t, to, err)) {
		free(to);
		return -1;
	}
	if (t->place && !strcmp(to, t->place) && !saved_stamp(to, &t->stamp))
		memset(&t->stamp, 0, sizeof(t->stamp));
	free(t->path);
	t->path = to;
	return 0;
}

/* What was given on the command line counts more than what the file says. */
static void keep_given(struct options *o, const struct options *first)
{
	char value[64], err[ERR_MAX];

	for (size_t i = 0; i < option_rows_n; i++) {
		const struct option_row *r = &option_rows[i];

		if (args_is_of_chat(r) && first->given[i])
			args_set(o, r, args_show(first, r, value, sizeof(value)), err);
	}
}

/* The file takes the place of the chat and its settings; first: of the program's start. */
static int take_file(struct talk *t, const char *path, bool first, char warning[ERR_MAX],
		     char err[ERR_MAX])
{
	struct options changed = t->opt;
	struct chat *c = chat_load(&changed, path, warning, err);
	bool seeded = first && t->opt.given[args_find("seed") - option_rows];

	if (!c)
		return -1;
	if (first)
		keep_given(&changed, &t->opt);
	chat_close(t->chat);
	t->chat = c;
	t->opt = changed;
	t->seed = talk_new_seed(&t->opt);
	for (int i = 0; i < c->n && !seeded; i++)
		if (c->turn[i].who == CHAT_MODEL)
			t->seed = c->turn[i].seed;
	talk_recall(t);
	leave_place(t);
	free(t->damaged);
	t->damaged = c->damaged ? strdup(path) : NULL;
	t->compare = c->model || c->model_file;
	if (c->n % 2)
		chat_also(warning, "its last question has no answer yet: /regen gives it one");
	return 0;
}

static bool is_given(const struct talk *t)
{
	return t->opt.given[args_find("model") - option_rows];
}

/* What a saved chat names may be anything by now. */
static bool is_model_there(const struct chat *c)
{
	struct stat st;

	return c->model_file && !stat(c->model_file, &st) && S_ISREG(st.st_mode) &&
	       !access(c->model_file, R_OK);
}

char *talk_first_model(struct talk *t, char err[ERR_MAX])
{
	if (is_given(t) || !is_model_there(t->chat))
		return model_path(t->opt.model, err);
	return model_path(t->chat->model_file, err);
}

static const char *last_part(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* One file may be in another folder by now; of one name there are several files. */
static bool is_another(const struct talk *t)
{
	const struct chat *c = t->chat;

	if (c->model_file && is_same_file(c->model_file, t->file))
		return false;
	return (c->model && strcmp(c->model, t->model) != 0) ||
	       (c->model_file && strcmp(last_part(c->model_file), last_part(t->file)) != 0);
}

void talk_compare(struct talk *t)
{
	const struct chat *c = t->chat;
	char note[ERR_MAX];

	t->compare = false;
	if (!t->model || !t->file || !is_another(t))
		return;
	fail(note, "this chat was had with %s (%s%s) and goes on with %s (%s)%s",
	     c->model ? c->model : "another model",
	     c->model_file ? c->model_file : "file not known",
	     c->model_file && !is_model_there(c) ? ", not there" : "", t->model, t->file,
	     is_model_there(c) ? "; /model changes that" : "");
	tell(t, MSG_NOTE, note);
}

/* The chat goes on with the model that it was had with, if that is there and no other was named
 * when the program was started. */
static int bring_model(struct talk *t, char err[ERR_MAX])
{
	const struct chat *c = t->chat;
	char note[ERR_MAX];

	if (talk_settings(t, err))
		return -1;
	if (is_given(t) || !is_model_there(c) ||
	    (t->ready && is_same_file(c->model_file, t->file))) {
		talk_compare(t);
		return 0;
	}
	fail(note, "loading the model of this chat: %s", c->model_file);
	tell(t, MSG_NOTE, note);
	return talk_model(t, c->model_file, err);
}

int talk_load(struct talk *t, const char *path, char warning[ERR_MAX], char err[ERR_MAX])
{
	char *copy;

	if (t->busy)
		return fail(err, "the model is busy");
	if (take_file(t, path, false, warning, err))
		return -1;
	copy = strdup(path);
	free(t->path);
	t->path = copy;
	return bring_model(t, err);
}

static int resume(struct talk *t, const char *what, bool first, char warning[ERR_MAX],
		  char err[ERR_MAX])
{
	struct saved_stamp stamp = { 0 };
	char *path = saved_path(what, err);

	if (!path)
		return -1;
	if (!saved_stamp(path, &stamp) || take_file(t, path, first, warning, err)) {
		if (!stamp.ino)
			fail(err, "'%s' is gone", path);
		free(path);
		return -1;
	}
	t->place = path;
	t->stamp = stamp;
	free(t->path);
	t->path = NULL;
	return 0;
}

int talk_resume(struct talk *t, const char *what, char warning[ERR_MAX], char err[ERR_MAX])
{
	if (t->busy)
		return fail(err, "the model is busy");
	if (resume(t, what, false, warning, err))
		return -1;
	return bring_model(t, err);
}

int talk_resume_first(struct talk *t, char warning[ERR_MAX], char err[ERR_MAX])
{
	return resume(t, t->opt.session, true, warning, err);
}

const struct chat_turn *talk_turn(const struct talk *t, enum chat_who who, int n,
				  char err[ERR_MAX])
{
	int all = (t->chat->n + (who == CHAT_USER)) / 2;
	const char *what = who == CHAT_USER ? "question" : "answer";

	if (all && n >= 0 && n <= all)
		return &t->chat->turn[2 * ((n ? n : all) - 1) + (who == CHAT_MODEL)];
	if (all)
		fail(err, "there is no %s %d, only 1 to %d", what, n, all);
	else
		fail(err, "there is no %s yet", what);
	return NULL;
}

/* A changed question that is refused comes back as the command that changes it. */
static void remember_edit(struct talk *t, int n)
{
	char *line;

	if (asprintf(&line, "/edit %d %s", n, t->before.typed) < 0)
		return;
	free(t->before.typed);
	t->before.typed = line;
}

int talk_edit(struct talk *t, int n, const char *text, size_t len, char err[ERR_MAX])
{
	const struct chat_turn *old;
	struct chat *branch, *before = t->chat;
	char *place = t->place;
	struct saved_stamp stamp = t->stamp;

	if (talk_idle(t, err) || !(old = talk_turn(t, CHAT_USER, n, err)))
		return -1;
	branch = chat_copy(before);
	if (!branch)
		return fail(err, "out of memory");
	chat_cut(branch, (int)(old - before->turn));
	t->chat = branch;
	t->place = NULL;
	if (talk_ask(t, text, len, err)) {
		chat_close(t->chat);
		t->chat = before;
		free(t->place);
		t->place = place;
		t->stamp = stamp;
		return -1;
	}
	chat_close(t->before.chat);
	t->before.chat = before;
	t->before.place = place;
	t->before.stamp = stamp;
	t->before.branch = true;
	remember_edit(t, (int)(old - before->turn) / 2 + 1);
	return 0;
}
