/* bench_stages.c - where the time of a forward pass goes, stage by stage (bench --stages).
 *
 * Passes of 1, 2, 4 and 8 rows take turns, as for R(k).  Invariant: as bench_probe.c's. */
#include "app/bench/bench_parts.h"

enum { PASSES = 20 };

const int bench_stage_rows[] = { 1, 2, 4, 8, -1 };

static void look(struct bench *b, int n, const struct backend_stage *stage, int count)
{
	for (int i = 0; i < count; i++) {
		double s = stage[i].seconds / PASSES, bytes = (double)stage[i].bytes / PASSES;

		bench_add(b, s * 1e6, "us", "stage/%s@%d/time", stage[i].name, n);
		if (stage[i].bytes)
			bench_add(b, bytes / s / 1e9, "GB/s", "stage/%s@%d/read", stage[i].name, n);
		if (n == 1 && stage[i].bytes)
			bench_add(b, bytes / 1e6, "MB", "stage/%s@1/bytes", stage[i].name);
	}
}

int bench_stages_run(struct bench *b, char err[ERR_MAX])
{
	struct backend_stage stage[BACKEND_STAGES_MAX];

	for (int i = 0; bench_stage_rows[i] > 0; i++) {
		int n = bench_stage_rows[i];

		probe_stages(b->e, stage);
		for (int pass = 0; pass < PASSES; pass++)
			if (bench_rows(b, BENCH_VERIFY_POS, n, n, err) < 0)
				return -1;
		look(b, n, stage, probe_stages(b->e, stage));
	}
	return 0;
}

void bench_stages_report(const struct bench *b, FILE *f)
{
	struct backend_stage stage[BACKEND_STAGES_MAX];
	int count = probe_stages(b->e, stage);

	fprintf(f, "\n%-14s%9s", "stage, us", "MB");
	for (int i = 0; bench_stage_rows[i] > 0; i++)
		fprintf(f, "%7d row%s%7s", bench_stage_rows[i], i ? "s" : " ", "GB/s");
	fputc('\n', f);
	for (int s = 0; s < count; s++) {
		fprintf(f, "%-14s", stage[s].name);
		bench_cell(f, bench_spread(b, "stage/%s@1/bytes", stage[s].name).median, 9, 2);
		for (int i = 0; bench_stage_rows[i] > 0; i++) {
			int n = bench_stage_rows[i];

			bench_cell(f, bench_spread(b, "stage/%s@%d/time", stage[s].name, n).median,
				   12, 1);
			bench_cell(f, bench_spread(b, "stage/%s@%d/read", stage[s].name, n).median,
				   7, 1);
		}
		fputc('\n', f);
	}
}
