/* show.c - what /stats and /show print; see commands.h.
 *
 * Invariant: a number that is not known shows as '-', never as 0. */
#include "app/config/args.h"
#include "app/talk/commands.h"
#include "base/text.h"
#include "base/machine.h"
#include "ui/pane/figures.h"

#include <math.h>
#include <string.h>

static void line(FILE *out, const char *name, const char *text)
{
	fprintf(out, "%-18s %s\n", name, text);
}

static void number(FILE *out, const char *name, bool known, const char *format, double x)
	__attribute__((format(printf, 4, 0)));

static void number(FILE *out, const char *name, bool known, const char *format, double x)
{
	char text[FIGURE_TEXT];

	figure_put(text, format, known ? x : NAN);
	line(out, name, text);
}

static void figures(FILE *out, const struct stats *s, enum figure from, enum figure to)
{
	char text[FIGURE_TEXT];

	for (enum figure f = from; f <= to; f++)
		if (figure_rows[f].name) {
			figure_text(s, f, false, text);
			line(out, figure_rows[f].name, text);
		}
}

static void by_position(FILE *out, const struct stats *s)
{
	double percent[STATS_DRAFTS];
	int n = figure_positions(s, 100, percent);
	char text[FIGURE_TEXT];

	fprintf(out, "%-18s", "by position");
	for (int i = 0; i < n; i++) {
		figure_put(text, "%.0f", percent[i]);
		fprintf(out, " %s", text);
	}
	fputs(n ? " %\n" : " -\n", out);
}

void command_stats(const struct talk *t, FILE *out)
{
	const struct stats *s = &t->stats;

	figures(out, s, FIGURE_TOKENS, FIGURE_PROMPT_RATE);
	fprintf(out, "%-18s %s%s%s\n", "strategy", *s->strategy ? s->strategy : "-",
		!*s->strategy ? "" : s->exact ? " (exact)" : " (approximate)",
		s->slower ? ", slower than plain here" : "");
	figures(out, s, FIGURE_ACCEPTANCE, FIGURE_PER_ROUND);
	by_position(out, s);
	figures(out, s, FIGURE_DRAFTING, FIGURE_CTX_USED);
	number(out, "context size", t->ready, "%.0f", t->info.ctx_size);
	if (s->columns)
		figures(out, s, FIGURE_HIT_RATE, FIGURE_SLOW_BYTES);
	fprintf(out, "%-18s %lld\n", "seed", (long long)t->seed);
}

static size_t bytes_of(const struct model_info *i, enum memory_figure which)
{
	switch (which) {
	case MEMORY_WEIGHTS: return i->weights;
	case MEMORY_LITTLE: return i->draft;
	case MEMORY_KV: return i->kv;
	case MEMORY_SIDECAR: return i->sidecar;
	case MEMORY_WORK: return i->work;
	case MEMORY_PLANNED: return i->planned;
	case MEMORY_BUDGET: return i->budget;
	case MEMORY_USED: return i->used;
	case MEMORY_FREE: return i->free;
	case MEMORY_HOST: return i->host_weights;
	case MEMORY_PROCESS: return machine_taken();
	}
	return 0;
}

double command_bytes(const struct talk *t, enum memory_figure which)
{
	size_t n = bytes_of(&t->info, which);
	bool zero = which == MEMORY_KV || which == MEMORY_WORK ||
		    (which == MEMORY_HOST && t->info.gpu);

	return (t->ready || which == MEMORY_PROCESS) && (n || zero) ? (double)n : NAN;
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
		snprintf(out + n, cap - (size_t)n, i->by_cpu ?
			 "; %d of %d layers %s computed by the CPU, in %.1f MiB" :
			 "; %d of %d layers %s in host memory, %.1f MiB that every pass reads over "
			 "the bus", i->host_layers, i->n_layers,
			 i->by_cpu ? i->host_layers == 1 ? "is" : "are" :
			 i->host_layers == 1 ? "stays" : "stay",
			 (double)(i->by_cpu ? i->host : i->host_weights) / mib);
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

static void mebibytes(FILE *out, const struct talk *t, const char *name, enum memory_figure which)
{
	char text[FIGURE_TEXT];

	figure_put(text, "%8.1f MiB", command_bytes(t, which) / (1024 * 1024));
	line(out, name, text);
}

/* Groups of layers, by both at once. */
static void show_groups(const struct model_info *i, FILE *out)
{
	fprintf(out, "%-18s of %d layers %d by the CPU in %.3f ms, %d by the GPU in %.3f ms "
		"(%.1f GB/s), handing over %.3f ms: ", "groups", i->group_size, i->group_share,
		i->group_cpu * 1e3, i->group_size - i->group_share, i->group_gpu * 1e3,
		i->gpu_speed / 1e9, i->group_cross * 1e3);
	fputs(i->shared ? "at once\n" : "not worth it\n", out);
}

static void show_gpu(const struct talk *t, FILE *out)
{
	const struct model_info *i = &t->info;

	mebibytes(out, t, "may be taken", MEMORY_BUDGET);
	mebibytes(out, t, "taken", MEMORY_USED);
	mebibytes(out, t, "free before", MEMORY_FREE);
	if (i->by_cpu)
		fprintf(out, "%-18s %8.1f MiB for %d of %d layers\n", "by the CPU",
			i->host_layers ? (double)i->host / (1024 * 1024) : 0, i->host_layers,
			i->n_layers);
	else
		fprintf(out, "%-18s %8.1f MiB in every pass: %d of %d layers\n", "over the bus",
			command_bytes(t, MEMORY_HOST) / (1024 * 1024), i->host_layers, i->n_layers);
	if (i->bus_speed > 0)
		fprintf(out, "%-18s layers %s %s: bus %.1f GB/s, CPU %.1f GB/s, measured %s\n",
			(i->cpu_speed > i->bus_speed) == i->by_cpu ? "faster" : "as asked",
			i->layers, i->by_cpu ? "by the CPU" : "over the bus", i->bus_speed / 1e9,
			i->cpu_speed / 1e9, i->measured);
	if (i->group_share)
		show_groups(i, out);
}

static void show_memory(const struct talk *t, FILE *out)
{
	mebibytes(out, t, "little model", MEMORY_LITTLE);
	mebibytes(out, t, "weights", MEMORY_WEIGHTS);
	mebibytes(out, t, "KV cache", MEMORY_KV);
	mebibytes(out, t, "  sidecar, of both", MEMORY_SIDECAR);
	mebibytes(out, t, "work buffers", MEMORY_WORK);
	mebibytes(out, t, "planned", MEMORY_PLANNED);
	if (t->ready && t->info.gpu)
		show_gpu(t, out);
	mebibytes(out, t, "whole process", MEMORY_PROCESS);
}

static void show_model(const struct talk *t, FILE *out)
{
	const struct model_info *i = &t->info;

	fprintf(out, "%-18s %s\n", "model", t->ready && t->model ? t->model : "-");
	fprintf(out, "%-18s %s\n", "architecture", t->ready ? i->arch : "-");
	fprintf(out, "%-18s %s\n", "chat frame", t->ready ? i->frame : "-");
	fprintf(out, "%-18s %s", "cqil", t->ready ? i->cqil : "-");
	if (t->ready && i->apart)
		fprintf(out, " (%d of the groups end where layers by the CPU and by the GPU meet)",
			i->apart);
	fputc('\n', out);
	fprintf(out, "%-18s %s\n", "dip", t->ready ? i->dip : "-");
	number(out, "weights/token", t->ready, "%.1f MB", (double)i->token_weights / 1e6);
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
