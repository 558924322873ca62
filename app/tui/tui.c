/* tui.c - see tui.h: what is said and shown, and what comes from the decode thread.
 *
 * Invariant: block[] has one entry for every turn of the conversation. */
#include "app/tui/tui.h"
#include "app/talk/commands.h"
#include "app/typing/prompt.h"
#include "base/text.h"
#include "engine/strategy/strategies.h"

#include <stdlib.h>
#include <string.h>

static void add_turns(struct tui *, int n);

/* Of a theme that is taken while the screen is ours. */
static void on_warning(void *ctx, const char *text)
{
	tui_say(ctx, BLOCK_ERROR, text);
}

/* What was wrong in the configuration, which was read before there was a screen. */
static void say_warnings(struct tui *t)
{
	for (char *p = t->cfg.warnings, *end; (end = strchr(p, '\n')) != NULL; p = end + 1)
		transcript_add(t->log, BLOCK_ERROR, p, (size_t)(end - p));
	t->cfg.warn = on_warning;
	t->cfg.ctx = t;
}

int tui_open(struct tui *t, char err[ERR_MAX])
{
	t->log = transcript_open();
	t->view = (struct transcript_view){ .origins = true, .markdown = true,
					    .fold_think = true };
	t->panes = (struct layout_want){ .input_rows = 1, .stats = true, .hints = true };
	t->stats.s = t->talk.stats;     /* of a saved chat */
	t->stats.rss = t->stats.weights = t->stats.draft = t->stats.kv = t->stats.work = -1;
	t->stats.ctx_used = t->stats.ctx_size = -1;
	t->progress = -1;
	t->hint = -1;
	if (!t->log || prompt_open())
		return fail(err, "out of memory");
	say_warnings(t);
	add_turns(t, t->talk.chat->n);          /* of a saved chat */
	t->mouse = !strcmp(t->talk.opt.mouse, "on");
	if (!*t->talk.opt.theme)
		return 0;
	snprintf(t->theme, sizeof(t->theme), "%s", t->talk.opt.theme);
	return config_theme(&t->cfg, t->theme, err);
}

void tui_close(struct tui *t)
{
	for (int i = 0; i < t->n_later; i++)
		free(t->later[i].text);
	free(t->later);
	free(t->block);
	typed_free(&t->typed);
	free(t->page_text);
	transcript_close(t->log);
	prompt_close();
}

static void say_later(struct tui *t)
{
	for (int i = 0; i < t->n_later; i++) {
		transcript_add(t->log, t->later[i].kind, t->later[i].text,
			       strlen(t->later[i].text));
		free(t->later[i].text);
	}
	t->n_later = 0;
}

/* A block for the next turn. */
static void add_turn(struct tui *t, enum chat_who who, const char *text, size_t n)
{
	if (t->turns == t->cap) {
		int cap = t->cap ? 2 * t->cap : 16;
		int *more = realloc(t->block, (size_t)cap * sizeof(*more));

		if (!more)
			return;
		t->block = more;
		t->cap = cap;
	}
	t->block[t->turns++] = transcript_add(t->log, who == CHAT_USER ? BLOCK_USER : BLOCK_MODEL,
					      text, n);
}

/* Blocks of turns that are gone go too. */
static void cut_turns(struct tui *t, int keep)
{
	if (t->turns <= keep)
		return;
	transcript_cut(t->log, t->block[keep]);
	t->turns = keep;
	t->hint = -1;
}

/* Up to the first n turns. */
static void add_turns(struct tui *t, int n)
{
	const struct chat *c = t->talk.chat;

	while (t->turns < n) {
		const struct chat_turn *turn = &c->turn[t->turns];
		int before = t->turns;

		add_turn(t, turn->who, turn->text, turn->len);
		if (t->turns == before)
			return;
	}
}

static void start_over(struct tui *t)
{
	transcript_clear(t->log);
	t->turns = 0;
	t->hint = -1;
	t->stats.s = t->talk.stats;
	t->stats.ctx_used = -1;
	t->stats.n_history = 0;
	t->plain_n = t->plain_before_n = 0;
	t->plain_s = t->plain_before_s = 0;
	t->stats.plain_rate = -1;
	add_turns(t, t->talk.chat->n);
}

/* What was refused goes before what has been typed since. */
static void put_back(const char *text)
{
	struct input_view v;
	char *both;

	prompt_view(&v);
	if (asprintf(&both, "%s%s%.*s", text, v.n ? "\n" : "", (int)v.n, v.text) < 0)
		return;
	prompt_set(both, strlen(both));
	free(both);
}

static int ask(struct tui *t, const char *text, char err[ERR_MAX])
{
	if (talk_ask(&t->talk, text, strlen(text), err))
		return -1;
	add_turns(t, t->talk.chat->n - 1);      /* the answer that one before did not get */
	add_turn(t, CHAT_USER, text, strlen(text));
	transcript_scroll_to(t->log, false);
	return 0;
}

/* The last answer grows again, above what has been said since; that it was stopped is no news. */
static void go_on(struct tui *t)
{
	if (t->hint >= 0 && t->hint == transcript_blocks(t->log) - 1)
		transcript_cut(t->log, t->hint);
	t->hint = -1;
	transcript_reopen(t->log, t->block[t->turns - 1]);
}

/* The screen after a command that went well. */
static void after_command(struct tui *t, enum command_id id)
{
	if (id == COMMAND_NEW || id == COMMAND_LOAD || id == COMMAND_RESUME) {
		start_over(t);
		return;
	}
	t->stats.s = t->talk.stats;
	if (id == COMMAND_CONTINUE && t->turns)
		go_on(t);
	if (id == COMMAND_EDIT && t->talk.busy)         /* the changed question is the last turn */
		cut_turns(t, t->talk.chat->n - 1);
	if (id == COMMAND_MODEL)
		t->progress = -1;
	cut_turns(t, t->talk.chat->n);
	add_turns(t, t->talk.chat->n);
	if (!t->talk.chat->first)       /* another model, or those turns are gone */
		transcript_forget(t->log, 0);
}

static int command(struct tui *t, const struct command *c)
{
	char err[ERR_MAX], *text = NULL;
	bool leave = false;
	size_t n = 0;
	FILE *out;
	int rc;

	if (c->id == COMMAND_HELP) {
		tui_help(t);
		return 0;
	}
	if (c->id == COMMAND_THEME) {
		text = command_argument(c, &n);
		tui_theme(t, text ? text : "");
		free(text);
		return 0;
	}
	out = open_memstream(&text, &n);
	if (!out)
		return -1;
	rc = command_run(&t->talk, c, out, &leave, err);
	fclose(out);
	if (!rc)
		after_command(t, c->id);
	if (n && tui_answering(t) && memchr(text, '\n', n - 1))
		tui_page(t, command_rows[c->id].name, text);
	else if (n)
		tui_say(t, BLOCK_NOTICE, text);
	if (rc)
		tui_say(t, BLOCK_ERROR, err);
	t->want |= leave ? TUI_LEAVE : 0;
	free(text);
	return rc;
}

int tui_run(struct tui *t, const char *line)
{
	char err[ERR_MAX];
	struct command c;
	const char *text;
	int kind = command_parse(line, strlen(line), &c, &text, err);

	if (kind > 0)
		return command(t, &c);
	if (!kind && !text_blank(text, strlen(text)) && ask(t, text, err))
		kind = -1;
	if (kind < 0)
		tui_say(t, BLOCK_ERROR, err);
	return kind;
}

void tui_send(struct tui *t, const char *line)
{
	if (tui_run(t, line))
		put_back(line);
}

static void memory_came(struct tui *t)
{
	const struct model_info *i = &t->talk.info;

	t->stats.weights = i->weights ? (double)i->weights : -1;
	t->stats.draft = i->draft ? (double)i->draft : -1;
	t->stats.kv = (double)i->kv;
	t->stats.work = (double)i->work;
	t->stats.ctx_size = i->ctx_size;
	snprintf(t->stats.cqil, sizeof(t->stats.cqil), "%s", strcmp(i->cqil, "off") ? i->cqil : "");
	snprintf(t->stats.dip, sizeof(t->stats.dip), "%s", strcmp(i->dip, "off") ? i->dip : "");
	t->stats.token_weights = i->token_weights ? (double)i->token_weights : -1;
	t->stats.gpu = i->gpu;
	t->stats.budget = i->budget ? (double)i->budget : -1;
	t->stats.used = i->used ? (double)i->used : -1;
}

static void ready(struct tui *t)
{
	const struct model_info *i = &t->talk.info;
	char note[256];

	memory_came(t);
	if (i->again) {
		snprintf(note, sizeof(note), "Ready on %s.", i->device);
		tui_say(t, BLOCK_NOTICE, note);
		return;
	}
	snprintf(note, sizeof(note), "%.100s is ready. F1 helps, /help lists the commands, Ctrl+D "
		 "leaves.", t->talk.model ? t->talk.model : "");
	tui_say(t, BLOCK_NOTICE, note);
	snprintf(note, sizeof(note), "%d of %d layers stay%s in host memory: every pass reads %.0f "
		 "MiB over the bus.", i->host_layers, i->n_layers,
		 i->host_layers == 1 ? "s" : "", (double)i->host_weights / (1 << 20));
	if (i->by_cpu)
		snprintf(note, sizeof(note), "%d of %d layers %s computed by the CPU.",
			 i->host_layers, i->n_layers, i->host_layers == 1 ? "is" : "are");
	if (i->host_layers)
		tui_say(t, BLOCK_NOTICE, note);
	if (i->calibrates && !i->sidecar)
		tui_say(t, BLOCK_NOTICE, "This model cannot draft for itself yet: /calibrate makes "
			"it, in some minutes beside the chat, once and for all.");
}

static void text_came(struct tui *t, const struct msg *m)
{
	static const enum role roles[] = { [MSG_PLAIN] = ROLE_MODEL, [MSG_ACCEPTED] = ROLE_ACCEPTED,
					   [MSG_CORRECTED] = ROLE_CORRECTED };

	if (t->turns < t->talk.chat->n)
		add_turn(t, CHAT_MODEL, "", 0);
	transcript_append(t->log, roles[m->origin], m->text, m->len);
}

static void dropped(struct tui *t, int turns)
{
	char note[128];

	transcript_forget(t->log, turns < t->turns ? t->block[turns] : transcript_blocks(t->log));
	snprintf(note, sizeof(note), "The context is full: the model no longer sees the first %d "
		 "turn%s.", turns, text_s(turns));
	tui_say(t, BLOCK_NOTICE, note);
}

static void stats_came(struct tui *t, const struct stats *s)
{
	t->stats.s = *s;
	t->stats.ctx_used = s->ctx_used;
	t->stats.ctx_size = s->ctx_size;
	t->stats.used = s->device_used ? (double)s->device_used : -1;
	t->plain_n = s->plain_n;
	t->plain_s = s->plain_s;
	if (t->plain_n + t->plain_before_n && t->plain_s + t->plain_before_s > 0)
		t->stats.plain_rate = (double)(t->plain_n + t->plain_before_n) /
				      (t->plain_s + t->plain_before_s);
	if (s->rate_now < 0 || t->now - t->noted < 0.25)
		return;
	t->noted = t->now;
	pane_stats_note(&t->stats, s->rate_now);
}

static void strategy_came(struct tui *t)
{
	bool same = !strcmp(t->stats.strategy, t->talk.strategy);
	char note[64];

	snprintf(t->stats.strategy, sizeof(t->stats.strategy), "%s", t->talk.strategy);
	t->stats.exact = t->talk.exact;
	for (int i = 0; strategies[i] && !same; i++)    /* the same: what was tried failed */
		if (!strcmp(strategies[i]->name, t->talk.strategy))
			t->strategy_at = i;
	if (!t->talk.ready)
		return;
	snprintf(note, sizeof(note), "strategy %s (%s)", t->talk.strategy,
		 t->talk.exact ? "exact" : "approximate");
	tui_flash(t, ROLE_NOTICE, note);
}

/* The conversation is what it was.  The question stays to be seen, but is no turn; of a branch that
 * is given up nothing stays. */
static void refused(struct tui *t)
{
	struct talk *k = &t->talk;

	if (k->refused && t->turns <= k->chat->n) {
		transcript_clear(t->log);
		t->turns = 0;
		t->hint = -1;
	} else if (t->turns > k->chat->n) {
		t->turns = k->chat->n;
	}
	add_turns(t, k->chat->n);
	say_later(t);
	if (!k->refused)
		return;
	tui_say(t, BLOCK_NOTICE, talk_refused_note(k));
	put_back(k->refused);
	free(k->refused);
	k->refused = NULL;
}

static void done(struct tui *t, enum msg_reason why)
{
	static const char *const notes[] = {
		[DONE_END] = "", [DONE_ERROR] = "", [DONE_REFUSED] = "",
		[DONE_LIMIT] = "(the limit of --predict; /continue goes on)",
		[DONE_STOPPED] = "(stopped; /continue goes on)",
		[DONE_CONTEXT] = "(the context is full; see -c, or /new)",
	};

	t->stopping = false;
	t->plain_before_n += t->plain_n;
	t->plain_before_s += t->plain_s;
	t->plain_n = 0;
	t->plain_s = 0;
	t->stats.s = t->talk.stats;
	if (why == DONE_REFUSED) {
		refused(t);
		return;
	}
	add_turns(t, t->talk.chat->n);
	say_later(t);
	if (!*notes[why])
		return;
	tui_say(t, BLOCK_NOTICE, notes[why]);
	t->hint = transcript_blocks(t->log) - 1;
}

void tui_message(struct tui *t, const struct msg *m)
{
	talk_take(&t->talk, m);
	switch (m->kind) {
	case MSG_PLAN:
		command_plan(&m->info, t->plan, sizeof(t->plan));
		break;
	case MSG_LOADING:
		t->progress = m->share;
		break;
	case MSG_READY:
		ready(t);
		break;
	case MSG_TEXT:
		text_came(t, m);
		break;
	case MSG_DROPPED:
		dropped(t, m->count);
		break;
	case MSG_STATS:
		stats_came(t, &m->stats);
		break;
	case MSG_STRATEGY:
	case MSG_EXACT:
		strategy_came(t);
		break;
	case MSG_SIDECAR:
		memory_came(t);
		break;
	case MSG_DONE:
		done(t, m->reason);
		break;
	case MSG_NOTE:
		tui_say(t, BLOCK_NOTICE, m->text);
		break;
	case MSG_ERROR:
		tui_say(t, BLOCK_ERROR, m->text);
		if (m->error != ERROR_GONE)
			break;
		say_later(t);
		tui_say(t, BLOCK_NOTICE,
			"There is no model: /model FILE loads one, Ctrl+D leaves.");
		break;
	default:
		break;
	}
}

double tui_until(const struct tui *t)
{
	return *t->flash && t->flash_until > t->now ? t->flash_until - t->now : -1;
}
