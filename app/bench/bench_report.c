/* bench_report.c - the machine, and the series as a table or as comma separated values.
 *
 * CSV: name,unit,median,min,max,repetitions; a text (unit "text") stands quoted in "median".
 * Invariant: what was not measured is '-' in the table and absent from the CSV. */
#include "app/bench/bench_parts.h"
#include "base/machine.h"
#include "base/text.h"
#include "engine/approx/grouping.h"
#include "engine/approx/pruning.h"
#include "engine/info.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void cpu_name(char *out, size_t cap)
{
	FILE *f = fopen("/proc/cpuinfo", "r");
	char line[256];

	snprintf(out, cap, "unknown CPU");
	while (f && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (!colon || strncmp(line, "model name", 10))
			continue;
		colon += 1 + strspn(colon + 1, " ");
		snprintf(out, cap, "%.*s", (int)strcspn(colon, "\n"), colon);
		break;
	}
	if (f)
		fclose(f);
}

static const char *file_name(const struct bench *b)
{
	const char *slash = strrchr(b->opt->model, '/');

	return slash ? slash + 1 : b->opt->model;
}

/* Names come from outside: made visible, on one line, quotes doubled in CSV. */
static void put_text(FILE *f, const char *s, bool csv)
{
	char *seen = text_line(s, strlen(s));

	for (const char *p = seen; p && *p; p++) {
		if (*p == '"' && csv)
			fputc('"', f);
		fputc(*p, f);
	}
	free(seen);
}

static void text_row(FILE *f, const char *name, const char *value, bool csv)
{
	if (csv)
		fprintf(f, "%s,text,\"", name);
	else
		fprintf(f, "%-9s ", name);
	put_text(f, value, csv);
	fputs(csv ? "\",,,\n" : "\n", f);
}

static void describe(const struct bench *b, FILE *f)
{
	const struct model_config *c = &b->e->model->cfg;
	double gib = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 30);
	char cpu[128], line[512];

	cpu_name(cpu, sizeof(cpu));
	text_row(f, "program", "s3dchat " S3D_VERSION, b->opt->csv);
	snprintf(line, sizeof(line), "%s, %d of %ld core%s, %.1f GiB", cpu, machine_cores(),
		 sysconf(_SC_NPROCESSORS_CONF), text_s(sysconf(_SC_NPROCESSORS_CONF)), gib);
	text_row(f, "machine", line, b->opt->csv);
	snprintf(line, sizeof(line), "%s: %s", engine_backend(b->e), engine_device(b->e));
	text_row(f, "kernels", line, b->opt->csv);
	snprintf(line, sizeof(line), "%.300s (%s, %d layer%s of width %d, %.1f MB a token)",
		 file_name(b), c->arch, c->n_layers, text_s(c->n_layers), c->n_embd,
		 (double)b->token_bytes / 1e6);
	text_row(f, "model", line, b->opt->csv);
	if (b->e->group.size)
		text_row(f, "cqil", grouping_text(&b->e->group, line), b->opt->csv);
	if (b->e->drafts_apart)
		text_row(f, "cqil-draft", grouping_text(&b->e->draft_group, line), b->opt->csv);
	if (strcmp(pruning_text(&b->e->dip, line), "off") != 0)
		text_row(f, "dip", line, b->opt->csv);
	if (b->e->dip_apart)
		text_row(f, "dip-draft", pruning_text(&b->e->draft_dip, line), b->opt->csv);
}

static void report_csv(const struct bench *b, FILE *f)
{
	fputs("name,unit,median,min,max,repetitions\n", f);
	describe(b, f);
	fprintf(f, "token_bytes,bytes,%zu,,,\n", b->token_bytes);
	for (int i = 0; i < b->n_series; i++) {
		const struct series *s = &b->series[i];
		struct spread v = bench_values(s->v, s->n);

		const char *quote = strpbrk(s->name, ",\"") ? "\"" : "";

		fputs(quote, f);
		put_text(f, s->name, true);
		fprintf(f, "%s,%s,%.6g,%.6g,%.6g,%d\n", quote, s->unit, v.median, v.min, v.max,
			s->n);
	}
}

static void put_row(FILE *f, const char *label, struct spread v, int decimals, const char *unit)
{
	fprintf(f, "%-28s", label);
	bench_cell(f, v.median, 10, decimals);
	bench_cell(f, v.min, 10, decimals);
	bench_cell(f, v.max, 10, decimals);
	fprintf(f, "  %s\n", unit);
}

static void table_probes(const struct bench *b, FILE *f)
{
	struct backend_counts counts;
	char label[48];

	fprintf(f, "\n%-28s%10s%10s%10s\n", "", "median", "least", "most");
	put_row(f, "load", bench_spread(b, "load"), 3, "s");
	put_row(f, "streaming read", bench_spread(b, "stream"), 2, "GB/s");
	put_row(f, "prompt of 512", bench_spread(b, "prompt@512"), 1, "tokens/s");
	for (int i = 0; bench_depths[i] >= 0; i++) {
		snprintf(label, sizeof(label), "decode after %d", bench_depths[i]);
		put_row(f, label, bench_spread(b, "decode@%d", bench_depths[i]), 1, "tokens/s");
	}
	put_row(f, "weights read by decode", bench_spread(b, "decode_read"), 2, "GB/s");
	put_row(f, "share of streaming read", bench_spread(b, "decode_share"), 1, "%");
	if (probe_counts(b->e, &counts)) {
		put_row(f, "launches in a decode step", bench_spread(b, "decode_launches"), 0, "");
		put_row(f, "steps that were replayed", bench_spread(b, "decode_replays"), 1, "%");
		put_row(f, "time between two steps", bench_spread(b, "decode_idle"), 1, "us");
	}
	if (b->e->plan.by_cpu && b->e->plan.host_layers) {
		put_row(f, "crossings in a decode step", bench_spread(b, "decode_crossings"), 0,
			"");
		put_row(f, "handed over in a step", bench_spread(b, "decode_handed"), 0, "bytes");
		put_row(f, "the CPU's part of a step", bench_spread(b, "decode_cpu"), 1, "us");
		put_row(f, "the GPU's part of a step", bench_spread(b, "decode_gpu"), 1, "us");
	}
	if (b->e->plan.groups.share) {
		put_row(f, "CPU's layers of a group", bench_spread(b, "group_layers"), 0, "");
		put_row(f, "the CPU for these", bench_spread(b, "group_cpu"), 1, "us, planned");
		put_row(f, "the GPU for the others", bench_spread(b, "group_gpu"), 1,
			"us, planned");
		put_row(f, "handing rows over", bench_spread(b, "group_handing"), 1,
			"us, planned");
	}
	if (b->e->strat.draft)
		put_row(f, "little model, a step", bench_spread(b, "draft_step"), 1, "us");
	for (int k = 1; k <= BENCH_ROWS_MAX; k++) {
		snprintf(label, sizeof(label), "R(%d) = T(%d)/T(1)", k, k);
		put_row(f, label, bench_spread(b, "R%d", k), 3, "");
	}
	for (int k = 1; k <= probe_drafts(b->e); k++) {
		snprintf(label, sizeof(label), "D(%d): drafts over a bridge", k);
		put_row(f, label, bench_spread(b, "D%d", k), 3, "");
	}
}

void bench_report(const struct bench *b, FILE *f)
{
	if (b->opt->csv) {
		report_csv(b, f);
		return;
	}
	describe(b, f);
	if (b->ids)
		table_probes(b, f);
	if (b->ids && b->opt->stages)
		bench_stages_report(b, f);
	if (b->opt->dip_sim)
		bench_sim_report(b, f);
	else if (b->opt->bild_grid)
		bench_grid(b, f);
	else if (!b->opt->probes)
		bench_table(b, f);
}
