/* show.c - what /stats and /show print; see commands.h.
 *
 * Invariant: a number that is not known shows as '-', never as 0. */
#include "app/config/args.h"
#include "app/talk/commands.h"
#include "base/text.h"
#include "engine/memory.h"

#include <string.h>

/* One line; a number that is not known shows as '-'. */
static void number(FILE *out, const char *name, bool known, const char *format, double x)
{
	char text[64];

	snprintf(text, sizeof(text), format, x);
	fprintf(out, "%-18s %s\n", name, known ? text : "-");
}

static void by_position(FILE *out, const struct stats *s)
{
	int n = STATS_DRAFTS;

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
	number(out, "prompt tokens", any && s->n_prompt >= 0, "%.0f", (double)s->n_prompt);
	number(out, "prompt tokens/s", any && s->prompt_rate >= 0, "%.1f", s->prompt_rate);
	fprintf(out, "%-18s %s%s\n", "strategy", *s->strategy ? s->strategy : "-",
		!*s->strategy ? "" : s->exact ? " (exact)" : " (approximate)");
	number(out, "acceptance", any && s->tested, "%.1f %%",
	       s->tested ? 100.0 * (double)s->accepted / (double)s->tested : 0);
	number(out, "tokens per round", any && s->rounds, "%.2f",
	       s->rounds ? (double)s->n_tokens / (double)s->rounds : 0);
	by_position(out, s);
	number(out, "drafting", spent > 0 && (s->drafted || s->draft_s > 0), "%.1f %%",
	       100 * s->draft_s / spent);
	number(out, "verifying", spent > 0, "%.1f %%", 100 * s->verify_s / spent);
	number(out, "choosing", spent > 0, "%.1f %%", 100 * s->choose_s / spent);
	number(out, "context used", any && s->ctx_used >= 0, "%.0f", s->ctx_used);
	number(out, "context size", t->ready, "%.0f", t->info.ctx_size);
	fprintf(out, "%-18s %lld\n", "seed", (long long)t->seed);
}

void command_plan(const struct model_info *i, char *out, size_t cap)
{
	static const double mib = 1024 * 1024;
	int n = snprintf(out, cap, "%s: weights %.1f, little model %.1f, KV cache %.1f, "
			 "buffers %.1f", i->gpu ? "GPU memory" : "memory",
			 (double)i->weights / mib, (double)i->draft / mib, (double)i->kv / mib,
			 (double)i->work / mib);

	if (i->planned && (size_t)n < cap)
		n += snprintf(out + n, cap - (size_t)n, ", in all %.1f MiB planned",
			      (double)i->planned / mib);
	if (i->budget && (size_t)n < cap)
		n += snprintf(out + n, cap - (size_t)n, " of %.0f", (double)i->budget / mib);
	if (i->free && (size_t)n < cap)
		n += snprintf(out + n, cap - (size_t)n, ", %.0f MiB free", (double)i->free / mib);
	if (i->host_layers && (size_t)n < cap)
		snprintf(out + n, cap - (size_t)n, "; %d of %d layers stay%s in host memory, %.1f "
			 "MiB that every pass reads over the bus", i->host_layers, i->n_layers,
			 i->host_layers == 1 ? "s" : "",
			 (double)i->bus / mib);
}

void command_settings(const struct talk *t, const struct option_row *one, FILE *out)
{
	char value[64];

	for (size_t i = 0; i < option_rows_n; i++) {
		const struct option_row *r = &option_rows[i];

		if (one ? r == one : (r->where & LIVE) != 0)
			fprintf(out, "%-20s %-8s %s\n", r->name,
				args_show(&t->opt, r, value, sizeof(value)), r->help);
	}
}

static void mebibytes(FILE *out, const char *name, bool known, size_t bytes)
{
	number(out, name, known, "%8.1f MiB", (double)bytes / (1024 * 1024));
}

static void show_gpu(const struct model_info *i, FILE *out)
{
	mebibytes(out, "may be taken", i->budget > 0, i->budget);
	mebibytes(out, "taken", i->used > 0, i->used);
	mebibytes(out, "free before", i->free > 0, i->free);
	fprintf(out, "%-18s %8.1f MiB in every pass: %d of %d layers\n", "over the bus",
		(double)i->bus / (1024 * 1024), i->host_layers, i->n_layers);
}

static void show_memory(const struct talk *t, FILE *out)
{
	const struct model_info *i = &t->info;
	size_t now = machine_taken();

	mebibytes(out, "little model", t->ready && i->draft, i->draft);
	mebibytes(out, "weights", t->ready && i->weights, i->weights);
	mebibytes(out, "KV cache", t->ready, i->kv);
	mebibytes(out, "  sidecar, of both", t->ready && i->sidecar, i->sidecar);
	mebibytes(out, "work buffers", t->ready, i->work);
	mebibytes(out, "planned", t->ready && i->planned, i->planned);
	if (t->ready && i->gpu)
		show_gpu(i, out);
	mebibytes(out, "whole process", now > 0, now);
}

static void show_model(const struct talk *t, FILE *out)
{
	const struct model_info *i = &t->info;

	fprintf(out, "%-18s %s\n", "model", t->ready && t->model ? t->model : "-");
	fprintf(out, "%-18s %s\n", "architecture", t->ready ? i->arch : "-");
	fprintf(out, "%-18s %s\n", "chat frame", t->ready ? i->frame : "-");
	fprintf(out, "%-18s %s\n", "device", t->ready ? i->device : "-");
	if (t->ready && *i->no_cuda)
		fprintf(out, "%-18s - (%s)\n", "cuda", i->no_cuda);
	number(out, "context size", t->ready, "%.0f", i->ctx_size);
	number(out, "trained for", t->ready && i->ctx_train > 0, "%.0f", i->ctx_train);
	number(out, "load time", t->ready, "%.2f s", i->load_s);
}

void command_system(const struct talk *t, FILE *out)
{
	const struct chat *c = t->chat;

	if (c->system_len)
		text_print_n(out, c->system, c->system_len);
	else
		fputs(c->system ? "(none)" : "(the model's own)", out);
	fputc('\n', out);
}

static void show_settings(const struct talk *t, FILE *out)
{
	command_settings(t, NULL, out);
}

int command_show(const struct talk *t, const char *what, FILE *out, char err[ERR_MAX])
{
	static const struct {
		const char *name, *head;
		void (*show)(const struct talk *, FILE *);
	} parts[] = {
		{ "model", "Model", show_model }, { "memory", "Memory", show_memory },
		{ "system", "System prompt", command_system },
		{ "settings", "Settings", show_settings },
	};
	size_t n = strcspn(what, " \t\n"), shown = 0;

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (n && (strlen(parts[i].name) != n || strncmp(parts[i].name, what, n)))
			continue;
		if (!n)
			fprintf(out, "%s%s\n", shown ? "\n" : "", parts[i].head);
		parts[i].show(t, out);
		shown++;
	}
	if (!shown)
		return fail(err, "/show knows memory, model, settings and system, not '%s'", what);
	return 0;
}

void command_recap(const struct talk *t, FILE *out)
{
	const struct chat *c = t->chat;
	int i = c->n > 1 ? (c->n - 1) & ~1 : 0;

	for (; i < c->n; i++) {
		fputs(c->turn[i].who == CHAT_USER ? "> " : "", out);
		text_print_n(out, c->turn[i].text, c->turn[i].len);
		fputc('\n', out);
	}
}
