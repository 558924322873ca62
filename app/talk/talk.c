/* talk.c - see talk.h.
 *
 * Invariant: the conversation here is the only one that counts; the decode thread gets copies. */
#include "app/talk/talk_in.h"
#include "app/config/args.h"
#include "base/file.h"
#include "engine/approx/grouping_file.h"
#include "engine/approx/pruning.h"
#include "engine/frame/template.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { READ_LIMIT = 16 << 20 };

int64_t talk_new_seed(const struct options *o)
{
	uint32_t n;

	if (o->seed >= 0)
		return o->seed;
	if (getrandom(&n, sizeof(n), 0) != sizeof(n))
		n = (uint32_t)time(NULL);
	return n;
}

int talk_system(struct talk *t, const char *text, size_t len, char err[ERR_MAX])
{
	static const char *const none[] = { "", "none", "''", "\"\"" };

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		len = strcmp(text, none[i]) || strlen(text) != len ? len : 0;
	if (chat_system(t->chat, strcmp(text, "default") ? text : NULL, len))
		return fail(err, "out of memory");
	return 0;
}

static int begin(struct talk *t, const struct options *o, char warning[ERR_MAX],
		 char err[ERR_MAX])
{
	t->opt = *o;
	t->seed = talk_new_seed(o);
	t->stats = STATS_NONE_YET;
	t->keep = !o->no_save;
	t->chat = chat_open();
	if (!t->chat)
		return fail(err, "out of memory");
	if (t->keep)
		saved_tidy();
	if ((o->resume || *o->session) && talk_resume_first(t, warning, err))
		return -1;
	/* A chat that goes on keeps its own, unless one is asked for. */
	if (strcmp(o->system, "default") || o->given[args_find("system-prompt") - option_rows])
		return talk_system(t, o->system, strlen(o->system), err);
	return 0;
}

int talk_open(struct talk *t, const struct options *o, char err[ERR_MAX])
{
	char warning[ERR_MAX] = "";

	memset(t, 0, sizeof(*t));
	child_init(&t->child);
	if (begin(t, o, warning, err) || !(t->next_file = talk_first_model(t, err)))
		return -1;
	t->worker = worker_open(&t->opt, t->next_file, err);
	t->busy = t->worker != NULL;
	if (t->worker && *warning)
		msgq_put_text(&t->worker->out, (struct msg){ .kind = MSG_NOTE }, warning,
			      strlen(warning));
	return t->worker ? 0 : -1;
}

struct talk_text {
	struct talk_text *next;
	char s[];
};

static void drop_texts(struct talk *t)
{
	for (struct talk_text *text = t->texts, *next; text; text = next) {
		next = text->next;
		free(text);
	}
	t->texts = NULL;
}

void talk_close(struct talk *t)
{
	child_stop(&t->child);
	worker_close(t->worker);
	chat_close(t->chat);
	free(t->model);
	free(t->file);
	free(t->next_file);
	free(t->attached);
	free(t->refused);
	free(t->path);
	free(t->place);
	free(t->damaged);
	drop_texts(t);
	talk_forget(t);
}

static int request(struct talk *t, char err[ERR_MAX])
{
	struct chat *copy = chat_copy(t->chat);

	if (!copy)
		return fail(err, "out of memory");
	atomic_store(&t->worker->stop, false);
	if (!msgq_put(&t->worker->in, (struct msg){ .kind = CMD_ANSWER, .chat = copy,
						    .seed = t->seed }))
		return fail(err, "out of memory");
	t->busy = true;
	return 0;
}

int talk_idle(const struct talk *t, char err[ERR_MAX])
{
	if (t->failed || t->busy)
		return fail(err, t->failed ? "there is no model; /model FILE loads one" :
					     "the model is busy");
	return 0;
}

/* Another question follows one that has got no answer. */
static void leave_unanswered(struct talk *t)
{
	static const char note[] = "the question before this one stays without an answer";
	struct chat_turn *last = chat_last(t->chat);

	if (!last || last->who != CHAT_USER || chat_add(t->chat, CHAT_MODEL, "", 0))
		return;
	chat_last(t->chat)->partial = true;
	chat_last(t->chat)->seed = t->seed;
	msgq_put_text(&t->worker->out, (struct msg){ .kind = MSG_NOTE }, note, strlen(note));
}

int talk_ask(struct talk *t, const char *text, size_t len, char err[ERR_MAX])
{
	const char *first = t->attached ? t->attached : "";

	if (talk_idle(t, err) || talk_remember(t, text, len, err))
		return -1;
	leave_unanswered(t);
	if (chat_add(t->chat, CHAT_USER, first, strlen(first)) ||
	    (*first && chat_append(t->chat, "\n\n", 2)) || chat_append(t->chat, text, len) ||
	    request(t, err)) {
		talk_take_back(t);
		return fail(err, "out of memory");
	}
	free(t->attached);
	t->attached = NULL;
	talk_autosave(t);
	return 0;
}

int talk_regen(struct talk *t, char err[ERR_MAX])
{
	if (talk_idle(t, err))
		return -1;
	if (!t->chat->n)
		return fail(err, "there is no answer yet");
	if (talk_remember(t, NULL, 0, err))
		return -1;
	t->before.reseeded = chat_unanswer(t->chat);
	if (t->before.reseeded)         /* the greatest is followed by the least */
		t->seed = t->seed < INT64_MAX ? t->seed + 1 : 0;
	return request(t, err);
}

int talk_continue(struct talk *t, char err[ERR_MAX])
{
	const struct chat_turn *last = chat_last(t->chat);

	if (talk_idle(t, err))
		return -1;
	if (!last)
		return fail(err, "there is no answer yet");
	if (last->who == CHAT_MODEL && !last->partial)
		return fail(err, "the answer is finished: there is nothing to go on with (/regen "
			    "answers again)");
	if (talk_remember(t, NULL, 0, err))
		return -1;
	return request(t, err);
}

int talk_settings(struct talk *t, char err[ERR_MAX])
{
	if (!msgq_put(&t->worker->in, (struct msg){ .kind = CMD_SET, .options = t->opt }))
		return fail(err, "out of memory");
	return 0;
}

/* The table's own string, for value is only lent; "": by fingerprint again. */
static const char *frame_name(const char *value, char err[ERR_MAX])
{
	const struct template *frame = template_find(value);

	if (!strcmp(value, "default"))
		return "";
	if (!frame)
		fail(err, "no chat template '%s'; there are default and: " TEMPLATE_NAMES, value);
	return frame ? template_name(frame) : NULL;
}

/* A copy that stays as long as the chat does; NULL with err. */
static const char *keep_text(struct talk *t, const char *s, char err[ERR_MAX])
{
	size_t n = strlen(s) + 1;
	struct talk_text *text = malloc(sizeof(*text) + n);

	if (!text) {
		fail(err, "out of memory");
		return NULL;
	}
	memcpy(text->s, s, n);
	text->next = t->texts;
	t->texts = text;
	return text->s;
}

/* What a setting takes that is text; NULL with err. */
static const char *taken(struct talk *t, const struct option_row *r, const char *value,
			 char err[ERR_MAX])
{
	int n_layers = t->ready ? t->info.n_layers : MODEL_MAX_LAYERS;
	struct pruning keep;

	if ((r->offset == offsetof(struct options, cqil) && advice_check(value, n_layers, err)) ||
	    (r->offset == offsetof(struct options, dip) && pruning_parse(value, &keep, err)) ||
	    (r->offset == offsetof(struct options, dip_ca) && pruning_aware(value, &keep, err)))
		return NULL;
	return r->where & OF_MODEL ? keep_text(t, value, err) : value;
}

int talk_set(struct talk *t, const char *key, const char *value, char err[ERR_MAX])
{
	const struct option_row *r = args_setting(key, true, err);
	struct options changed = t->opt;

	if (!r)
		return -1;
	value = taken(t, r, value, err);
	if (!value)
		return -1;
	if (r->offset == offsetof(struct options, chat_template) &&
	    (t->busy || !(value = frame_name(value, err))))
		return t->busy ? fail(err, "the model is busy") : -1;
	if (args_set(&changed, r, value, err) || args_check(&changed, err))
		return -1;
	t->opt = changed;
	if (r->offset == offsetof(struct options, seed))
		t->seed = talk_new_seed(&t->opt);
	return talk_settings(t, err);
}

int talk_strategy(struct talk *t, const char *name, char err[ERR_MAX])
{
	if (t->failed || !t->ready)
		return fail(err, "there is no model yet");
	if (!msgq_put_text(&t->worker->in, (struct msg){ .kind = CMD_STRATEGY }, name,
			   strlen(name)))
		return fail(err, "out of memory");
	t->switching++;
	return 0;
}

int talk_model(struct talk *t, const char *path, char err[ERR_MAX])
{
	if (t->busy)
		return fail(err, "the model is busy");
	if (access(path, R_OK))
		return fail(err, "cannot read '%s': %s", path, strerror(errno));
	if (!msgq_put_text(&t->worker->in, (struct msg){ .kind = CMD_MODEL }, path, strlen(path)))
		return fail(err, "out of memory");
	free(t->next_file);
	t->next_file = strdup(path);
	t->chat->first = 0;
	t->failed = t->ready = false;
	t->busy = true;
	return 0;
}

bool talk_waits(const struct talk *t)
{
	return !t->failed && (t->busy || t->switching);
}

char *talk_read_file(const char *path, size_t *n, char err[ERR_MAX])
{
	if (!strcmp(path, "-"))
		return file_read_fd(STDIN_FILENO, "standard input", 0, READ_LIMIT, n, err);
	return file_read(path, 0, READ_LIMIT, n, err);
}

int talk_put_before(struct talk *t, const char *text, size_t len)
{
	size_t n = t->attached ? strlen(t->attached) : 0;
	char *both = realloc(t->attached, n + len + 3);

	if (!both)
		return -1;
	memcpy(both + n, "\n\n", n && len ? 2 : 0);
	n += n && len ? 2 : 0;
	memcpy(both + n, text, len);
	both[n + len] = '\0';
	t->attached = both;
	return 0;
}

int talk_attach(struct talk *t, const char *path, size_t *n, char err[ERR_MAX])
{
	char *text = file_read(path, FILE_ORDINARY, READ_LIMIT, n, err);
	int rc = 0;

	if (!text)
		return -1;
	if (memchr(text, 0, *n))
		rc = fail(err, "'%s' is not a text file: it holds zero bytes", path);
	else if (talk_put_before(t, text, *n))
		rc = fail(err, "out of memory");
	free(text);
	return rc;
}

size_t talk_drop(struct talk *t)
{
	size_t n = t->attached ? strlen(t->attached) : 0;

	free(t->attached);
	t->attached = NULL;
	return n;
}

void talk_recall(struct talk *t)
{
	int n = t->chat->n / 2;         /* answers */

	t->stats = n ? t->chat->turn[2 * n - 1].stats : STATS_NONE_YET;
}

void talk_new(struct talk *t)
{
	chat_clear(t->chat);
	talk_recall(t);
	t->seed = talk_new_seed(&t->opt);
	free(t->path);
	t->path = NULL;
	free(t->place);
	t->place = NULL;
	talk_drop(t);
}

void talk_stop(struct talk *t)
{
	atomic_store(&t->worker->stop, true);
}

/* A setting that could not be changed. */
static void take_still(struct talk *t, const char **setting, const char *still)
{
	char err[ERR_MAX];
	const char *kept = keep_text(t, still, err);

	*setting = kept ? kept : *setting;
}

static void take_text(struct talk *t, const struct msg *m)
{
	if (chat_last(t->chat)->who == CHAT_USER) {
		if (chat_add(t->chat, CHAT_MODEL, "", 0))
			return;
		chat_last(t->chat)->stats = t->stats;
	}
	if (!chat_append(t->chat, m->text, m->len))
		chat_token(t->chat, m->token);
}

static void take_stats(struct talk *t, const struct stats *s)
{
	struct chat_turn *last = chat_last(t->chat);

	t->stats = *s;
	if (last && last->who == CHAT_MODEL)
		last->stats = *s;
}

static void take_done(struct talk *t, enum msg_reason why)
{
	struct chat_turn *last = chat_last(t->chat);

	t->busy = false;
	if (why == DONE_REFUSED) {
		talk_take_back(t);
		talk_recall(t);
		return;
	}
	talk_forget(t);
	if (last && last->who == CHAT_USER && why != DONE_ERROR &&
	    !chat_add(t->chat, CHAT_MODEL, "", 0))
		last = chat_last(t->chat);
	if (last && last->who == CHAT_MODEL) {
		last->seed = t->seed;
		last->stats = t->stats;
		last->partial = why != DONE_END;
	}
	/* Where nothing came, what an answer could not replace is still in the file. */
	if (why != DONE_ERROR || (last && last->who == CHAT_MODEL))
		talk_autosave(t);
}

static void take_file(struct talk *t)
{
	if (!t->next_file)
		return;
	free(t->file);
	t->file = t->next_file;
	t->next_file = NULL;
}

static void take_error(struct talk *t, enum msg_error error)
{
	if (error == ERROR_NOTE)
		return;
	free(t->next_file);             /* the one before stays */
	t->next_file = NULL;
	if (error != ERROR_GONE)
		return;
	if (t->ready && t->busy)
		take_done(t, DONE_ERROR);       /* what there is of the answer is kept */
	t->failed = true;
	t->busy = t->ready = false;
	t->switching = 0;
}

void talk_take(struct talk *t, const struct msg *m)
{
	switch (m->kind) {
	case MSG_READY:
		t->info = m->info;
		t->failed = false;
		if (!m->info.again) {   /* else another question may have been asked meanwhile */
			t->ready = true;
			t->busy = false;
		}
		free(t->model);
		t->model = strdup(m->text);
		take_file(t);
		if (t->compare)
			talk_compare(t);
		break;
	case MSG_TEXT:
		take_text(t, m);
		break;
	case MSG_DROPPED:
		t->chat->first = m->count;
		break;
	case MSG_STATS:
		take_stats(t, &m->stats);
		t->info.used = m->stats.device_used;
		break;
	case MSG_STRATEGY:
		memcpy(t->strategy, m->text, m->len < sizeof(t->strategy) ? m->len + 1 : 0);
		t->exact = m->exact;
		t->switching -= t->switching > 0;
		break;
	case MSG_DONE:
		take_done(t, m->reason);
		break;
	case MSG_EXACT:
		t->exact = m->exact;
		break;
	case MSG_SIDECAR:
		t->info = m->info;
		break;
	case MSG_CQIL:
		take_still(t, &t->opt.cqil, m->text);
		break;
	case MSG_DIP:
	case MSG_DIP_CA:
		take_still(t, m->kind == MSG_DIP ? &t->opt.dip : &t->opt.dip_ca, m->text);
		break;
	case MSG_DIP_SCORE:
		take_still(t, &t->opt.dip_score, m->text);
		break;
	case MSG_ERROR:
		take_error(t, m->error);
		break;
	default:
		break;
	}
}
