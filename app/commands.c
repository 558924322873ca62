/* commands.c - see commands.h.
 *
 * Invariant: a command that fails has changed nothing. */
#include "app/commands.h"
#include "app/args.h"
#include "engine/strategy.h"

#include <stdlib.h>
#include <string.h>

#define ROW(id, name_, also_, arg_, help_) \
	[COMMAND_##id] = { .name = (name_), .also = (also_), .arg = (arg_), .help = (help_) },
const struct command_row command_rows[COMMAND_N] = { COMMANDS(ROW) };
#undef ROW

static bool is_named(const struct command_row *r, const char *name, size_t n)
{
	if (strlen(r->name) == n && !strncmp(r->name, name, n))
		return true;
	for (const char *p = r->also; *p; p += strcspn(p, " "), p += *p == ' ')
		if (strcspn(p, " ") == n && !strncmp(p, name, n))
			return true;
	return false;
}

int command_parse(const char *line, struct command *c, const char **text, char err[ERR_MAX])
{
	size_t n;

	*text = line;
	if (*line != '/')
		return 0;
	if (line[1] == '/') {
		*text = line + 1;
		return 0;
	}
	n = strcspn(line + 1, " \t\n");
	for (c->id = 0; c->id < COMMAND_N; c->id++)
		if (n && is_named(&command_rows[c->id], line + 1, n))
			break;
	if (c->id == COMMAND_N)
		return fail(err, "no command '/%.*s'; /help lists them (a text that begins with a "
			    "slash: write two)", (int)(n < 40 ? n : 40), line + 1);
	c->arg = line + 1 + n + strspn(line + 1 + n, " \t\n");
	if (*c->arg && !*command_rows[c->id].arg)
		return fail(err, "/%s takes nothing behind it", command_rows[c->id].name);
	if (!*c->arg && *command_rows[c->id].arg && *command_rows[c->id].arg != '[')
		return fail(err, "/%s needs a %s", command_rows[c->id].name,
			    command_rows[c->id].arg);
	return 1;
}

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
	char key[64], value[64];
	size_t n = strcspn(arg, " \t=");
	const char *rest = arg + n + strspn(arg + n, " \t=");
	const struct option_row *one;

	snprintf(key, sizeof(key), "%.*s", (int)(n < 63 ? n : 63), arg);
	if (*rest) {
		snprintf(value, sizeof(value), "%s", rest);
		for (size_t end = strlen(value); end && strchr(" \t\n", value[end - 1]); end--)
			value[end - 1] = '\0';
		return talk_set(t, key, value, err);
	}
	one = *key ? args_find(key) : NULL;
	if (*key && (!one || !(one->where & LIVE)))
		return fail(err, "there is no setting '%s'; /set alone lists them", key);
	for (size_t i = 0; i < option_rows_n; i++) {
		const struct option_row *r = &option_rows[i];

		if (one ? r == one : (r->where & LIVE) != 0)
			fprintf(out, "%-20s %-8s %s\n", r->name,
				args_show(&t->opt, r, value, sizeof(value)), r->help);
	}
	return 0;
}

static int system_prompt(struct talk *t, const char *arg, FILE *out, char err[ERR_MAX])
{
	const char *now = t->chat->system;

	if (!*arg)
		fprintf(out, "%s\n", !now ? "(the model's own)" : *now ? now : "(none)");
	else if (chat_system(t->chat, !strcmp(arg, "default") ? NULL :
					      !strcmp(arg, "none") ? "" : arg))
		return fail(err, "out of memory");
	return 0;
}

static int strategy(struct talk *t, const char *arg, FILE *out, char err[ERR_MAX])
{
	if (*arg) {
		if (!strategy_find(arg, err) || talk_strategy(t, arg, err))
			return -1;
		return 0;
	}
	for (const struct strategy *const *s = strategies; *s; s++)
		fprintf(out, "%c %-8s %-12s %s\n", strcmp((*s)->name, t->strategy) ? ' ' : '*',
			(*s)->name, (*s)->exact ? "exact" : "approximate", (*s)->help);
	return 0;
}

static int save(struct talk *t, const char *arg, FILE *out, char err[ERR_MAX])
{
	if (talk_save(t, arg, err))
		return -1;
	fprintf(out, "saved as %s\n", t->path);
	return 0;
}

static int load(struct talk *t, const char *arg, FILE *out, char err[ERR_MAX])
{
	char warning[ERR_MAX];

	if (talk_load(t, arg, warning, err))
		return -1;
	if (*warning)
		fprintf(out, "note: %s\n", warning);
	fprintf(out, "loaded %d turns and the settings from %s\n", t->chat->n, arg);
	return 0;
}

static int read_file(struct talk *t, const char *arg, FILE *out, char err[ERR_MAX])
{
	size_t n;

	if (talk_attach(t, arg, &n, err))
		return -1;
	fprintf(out, "%zu bytes of %s go before the next question\n", n, arg);
	return 0;
}

static int undo(struct talk *t, FILE *out, char err[ERR_MAX])
{
	if (!chat_undo(t->chat))
		return fail(err, "there is nothing to take back");
	fprintf(out, "took back the last question; %d turns are left\n", t->chat->n);
	return 0;
}

int command_run(struct talk *t, const struct command *c, FILE *out, bool *leave, char err[ERR_MAX])
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
		return system_prompt(t, c->arg, out, err);
	case COMMAND_SET:
		return set(t, c->arg, out, err);
	case COMMAND_STRATEGY:
		return strategy(t, c->arg, out, err);
	case COMMAND_STATS:
		command_stats(t, out);
		return 0;
	case COMMAND_SAVE:
		return save(t, c->arg, out, err);
	case COMMAND_LOAD:
		return load(t, c->arg, out, err);
	case COMMAND_READ:
		return read_file(t, c->arg, out, err);
	case COMMAND_N:
		break;
	}
	return fail(err, "no such command");
}

/* One line; a number that is not known shows as '-'. */
static void number(FILE *out, const char *name, bool known, const char *format, double x)
{
	char text[64];

	snprintf(text, sizeof(text), format, x);
	fprintf(out, "%-18s %s\n", name, known ? text : "-");
}

static void by_position(FILE *out, const struct stats *s)
{
	int n = MSG_DRAFTS;

	while (n && !s->pos_tested[n - 1])
		n--;
	fprintf(out, "%-18s", "by position");
	for (int i = 0; i < n; i++)
		if (s->pos_tested[i])
			fprintf(out, " %.0f", 100.0 * (double)s->pos_accepted[i] /
				(double)s->pos_tested[i]);
		else
			fputs(" -", out);
	fputs(n ? " %\n" : " -\n", out);
}

void command_stats(const struct talk *t, FILE *out)
{
	const struct stats *s = &t->stats;
	bool any = s->n_tokens >= 0;
	double spent = any ? s->draft_s + s->verify_s + s->choose_s : 0;

	number(out, "tokens", any, "%.0f", (double)s->n_tokens);
	number(out, "tokens/s", any && s->rate >= 0, "%.1f", s->rate);
	number(out, "first token", any && s->first_s >= 0, "%.3f s", s->first_s);
	number(out, "prompt tokens", any, "%.0f", (double)s->n_prompt);
	number(out, "prompt tokens/s", any && s->prompt_rate >= 0, "%.1f", s->prompt_rate);
	fprintf(out, "%-18s %s%s\n", "strategy", *t->strategy ? t->strategy : "-",
		!*t->strategy ? "" : t->exact ? " (exact)" : " (approximate)");
	number(out, "acceptance", any && s->tested, "%.1f %%",
	       s->tested ? 100.0 * (double)s->accepted / (double)s->tested : 0);
	number(out, "tokens per round", any && s->rounds, "%.2f",
	       s->rounds ? (double)s->n_tokens / (double)s->rounds : 0);
	by_position(out, s);
	number(out, "drafting", spent > 0, "%.1f %%", 100 * s->draft_s / spent);
	number(out, "verifying", spent > 0, "%.1f %%", 100 * s->verify_s / spent);
	number(out, "choosing", spent > 0, "%.1f %%", 100 * s->choose_s / spent);
	number(out, "context used", any, "%.0f", s->ctx_used);
	number(out, "context size", t->ready, "%.0f", t->info.ctx_size);
	number(out, "seed", true, "%.0f", (double)t->seed);
}
