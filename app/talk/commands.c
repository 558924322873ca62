/* commands.c - what the commands of commands.h do.
 *
 * Invariant: a command that fails has changed nothing. */
#include "app/talk/commands.h"
#include "app/config/args.h"
#include "app/talk/clip.h"
#include "base/text.h"
#include "engine/strategy/strategies.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void help(FILE *out)
{
	for (int i = 0; i < COMMAND_N; i++) {
		const struct command_row *r = &command_rows[i];
		int n = fprintf(out, "/%s %s", r->name, r->arg);

		fprintf(out, "%*s%s\n", n < 22 ? 22 - n : 1, "", r->help);
	}
	fputs("//...                 a text that begins with a slash\n"
	      "Ctrl+C stops an answer; Ctrl+C twice on an empty line, or Ctrl+D, leaves.\n", out);
}

static int set(struct talk *t, const char *arg, FILE *out, char err[ERR_MAX])
{
	char key[64], value[64], now[64];
	size_t n = strcspn(arg, " \t=");
	const char *rest = arg + n + strspn(arg + n, " \t=");
	const struct option_row *one;

	snprintf(key, sizeof(key), "%.*s", (int)(n < 63 ? n : 63), arg);
	if (*rest) {
		snprintf(value, sizeof(value), "%s", rest);
		for (size_t end = strlen(value); end && strchr(" \t\n", value[end - 1]); end--)
			value[end - 1] = '\0';
		if (talk_set(t, key, value, err))
			return -1;
		one = args_find(key);
		fprintf(out, "%s is now %s\n", one->name,
			args_show(&t->opt, one, now, sizeof(now)));
		return 0;
	}
	one = *key ? args_setting(key, false, err) : NULL;
	if (*key && !one)
		return -1;
	command_settings(t, one, out);
	return 0;
}

static int system_prompt(struct talk *t, const struct command *c, FILE *out, char err[ERR_MAX])
{
	if (c->len) {
		if (talk_system(t, c->arg, c->len, err))
			return -1;
		fputs("the system prompt is now: ", out);
	}
	command_system(t, out);
	return 0;
}

static int strategy(struct talk *t, const char *arg, FILE *out, char err[ERR_MAX])
{
	if (*arg) {
		if (!strategy_find(arg, err) || talk_strategy(t, arg, err))
			return -1;
		return 0;
	}
	for (const struct strategy *const *s = strategies; *s; s++) {
		bool exact = !strcmp(t->ready ? t->info.cqil : t->opt.cqil, "off") &&
			     !strcmp(t->ready ? t->info.dip : t->opt.dip, "off") &&
			     strategy_exact_with(*s, isinf(t->opt.rollback),
						 t->opt.auto_approximate);

		fprintf(out, "%c %-8s %-12s %s\n", strcmp((*s)->name, t->strategy) ? ' ' : '*',
			(*s)->name, exact ? "exact" : "approximate", (*s)->help);
	}
	return 0;
}

static int save(struct talk *t, const char *arg, bool over, FILE *out, char err[ERR_MAX])
{
	if (talk_save(t, arg, over, err))
		return -1;
	fprintf(out, "saved as %s\n", talk_place(t));
	return 0;
}

static int load(struct talk *t, const char *arg, FILE *out, char err[ERR_MAX])
{
	char warning[ERR_MAX];

	if (talk_load(t, arg, warning, err))
		return -1;
	if (*warning)
		fprintf(out, "note: %s\n", warning);
	fprintf(out, "loaded %d turn%s and the settings from %s\n", t->chat->n,
		text_s(t->chat->n), arg);
	return 0;
}

static int read_file(struct talk *t, const char *arg, FILE *out, char err[ERR_MAX])
{
	size_t n;

	if (talk_attach(t, arg, &n, err))
		return -1;
	fprintf(out, "%zu byte%s of %s go%s before the next question\n", n, text_s((long)n), arg,
		n == 1 ? "es" : "");
	return 0;
}

static int undo(struct talk *t, FILE *out, char err[ERR_MAX])
{
	int left;

	if (!chat_undo(t->chat))
		return fail(err, "there is nothing to take back");
	talk_recall(t);
	talk_taken_back(t);
	left = (t->chat->n + 1) / 2;    /* with its answer a question is two turns */
	fprintf(out, "took back the last question; %d question%s left\n", left,
		left == 1 ? " is" : "s are");
	return 0;
}

static int drop(struct talk *t, FILE *out, char err[ERR_MAX])
{
	size_t n = talk_drop(t);

	if (!n)
		return fail(err, "nothing that was read waits for the next question");
	fprintf(out, "%zu bytes that were read no longer go before the next question\n", n);
	return 0;
}

/* A number at the start of *arg, which moves behind it; 0: none. */
static int leading_number(const char **arg)
{
	size_t n = strspn(*arg, "0123456789");
	int x;

	if (!n || n > 6 || ((*arg)[n] && !strchr(" \t\n", (*arg)[n])))
		return 0;
	x = atoi(*arg);
	*arg += n + strspn(*arg + n, " \t\n");
	return x;
}

static int edit(struct talk *t, const struct command *c, FILE *out, char err[ERR_MAX])
{
	const char *arg = c->arg;
	int n = leading_number(&arg), rc;
	const struct chat_turn *old = talk_idle(t, err) ? NULL : talk_turn(t, CHAT_USER, n, err);
	size_t len = c->len - (size_t)(arg - c->arg);
	char *text;

	if (!old)
		return -1;
	if (len)
		return talk_edit(t, n, arg, len, err);
	if (!t->edit)
		return fail(err, "no editor can be used here; say /edit N TEXT");
	len = old->len;
	text = t->edit(t->edit_ctx, old->text, &len, err);
	if (!text)
		return -1;
	if (text_blank(text, len) || (len == old->len && !memcmp(text, old->text, len)))
		rc = fputs("nothing was changed\n", out) == EOF;
	else
		rc = talk_edit(t, n, text, len, err);
	free(text);
	return rc;
}

static int copy(struct talk *t, const char *arg, FILE *out, char err[ERR_MAX])
{
	int n = leading_number(&arg);
	const struct chat_turn *turn;
	char note[ERR_MAX];

	if (*arg)
		return fail(err, "/copy takes the number of an answer, not '%s'", arg);
	turn = talk_turn(t, CHAT_MODEL, n, err);
	if (!turn || clip_copy(turn->text, turn->len, note, err))
		return -1;
	fprintf(out, "%s\n", note);
	return 0;
}

static int sessions(FILE *out, char err[ERR_MAX])
{
	enum { SHOWN = 40 };
	int n;
	struct saved *list = saved_list(&n, err);

	if (!list)
		return -1;
	for (int i = 0; i < n && i < SHOWN; i++) {
		struct saved *s = &list[i];
		char when[32] = "-", turns[16] = "-";
		struct tm tm;

		saved_describe(s);
		if (localtime_r(&s->when.tv_sec, &tm))
			strftime(when, sizeof(when), "%Y-%m-%d %H:%M", &tm);
		if (s->turns >= 0)
			snprintf(turns, sizeof(turns), "%d", s->turns);
		fprintf(out, "%3d  %-20s  %s  %3s turn%-3s%s\n", i + 1, s->id, when, turns,
			text_s(s->turns), *s->title ? s->title : "-");
	}
	if (n > SHOWN)
		fprintf(out, "and %d older one%s\n", n - SHOWN, text_s(n - SHOWN));
	free(list);
	return 0;
}

static int resume(struct talk *t, const char *arg, FILE *out, char err[ERR_MAX])
{
	char what[SAVED_ID], warning[ERR_MAX];
	size_t n = strcspn(arg, " \t\n");

	snprintf(what, sizeof(what), "%.*s", (int)(n < SAVED_ID ? n : SAVED_ID - 1), arg);
	if (talk_resume(t, what, warning, err))
		return -1;
	if (*warning)
		fprintf(out, "note: %s\n", warning);
	fprintf(out, "going on with a chat of %d turn%s\n", t->chat->n, text_s(t->chat->n));
	return 0;
}

static int calibrate(struct talk *t, const char *arg, FILE *out, char err[ERR_MAX])
{
	bool stop = !strcmp(arg, "stop");

	if (*arg && !stop)
		return fail(err, "/calibrate takes nothing, or stop, and not '%s'", arg);
	if (talk_calibrate(t, stop, err))
		return -1;
	fputs(stop ? "stopped; what it has so far is kept for the next time\n" :
		     "calibrating beside the chat, which goes on; /calibrate stop ends it\n", out);
	return 0;
}

static int run(struct talk *t, const struct command *c, FILE *out, bool *leave, char err[ERR_MAX])
{
	if (t->busy && (c->id == COMMAND_NEW || c->id == COMMAND_UNDO))
		return fail(err, "the model is busy");  /* it writes into this conversation */
	switch (c->id) {
	case COMMAND_HELP:
		help(out);
		return 0;
	case COMMAND_EXIT:
		*leave = true;
		return 0;
	case COMMAND_NEW:
		talk_new(t);
		fputs("a new conversation\n", out);
		return 0;
	case COMMAND_REGEN:
		return talk_regen(t, err);
	case COMMAND_UNDO:
		return undo(t, out, err);
	case COMMAND_CONTINUE:
		return talk_continue(t, err);
	case COMMAND_SYSTEM:
		return system_prompt(t, c, out, err);
	case COMMAND_SET:
		return set(t, c->arg, out, err);
	case COMMAND_STRATEGY:
		return strategy(t, c->arg, out, err);
	case COMMAND_THEME:
		return fail(err, "themes are for the full screen");
	case COMMAND_STATS:
		command_stats(t, out);
		return 0;
	case COMMAND_SAVE:
		return save(t, c->arg, false, out, err);
	case COMMAND_SAVE_OVER:
		return save(t, c->arg, true, out, err);
	case COMMAND_LOAD:
		return load(t, c->arg, out, err);
	case COMMAND_READ:
		return read_file(t, c->arg, out, err);
	case COMMAND_DROP:
		return drop(t, out, err);
	case COMMAND_EDIT:
		return edit(t, c, out, err);
	case COMMAND_COPY:
		return copy(t, c->arg, out, err);
	case COMMAND_SHOW:
		return command_show(t, c->arg, out, err);
	case COMMAND_CALIBRATE:
		return calibrate(t, c->arg, out, err);
	case COMMAND_MODEL:
		return talk_model(t, c->arg, err);
	case COMMAND_SESSIONS:
		return sessions(out, err);
	case COMMAND_RESUME:
		return resume(t, c->arg, out, err);
	case COMMAND_N:
		break;
	}
	return fail(err, "no such command");
}

int command_run(struct talk *t, const struct command *c, FILE *out, bool *leave, char err[ERR_MAX])
{
	size_t n;
	char *arg = command_argument(c, &n);
	int rc = arg ? run(t, &(struct command){ .id = c->id, .arg = arg, .len = n }, out, leave,
			   err) : fail(err, "out of memory");

	free(arg);
	return rc;
}
