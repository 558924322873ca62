/* sweep_table.c - see sweep_table.h. */
#include "app/tools/sweep_table.h"
#include "base/text.h"
#include "engine/approx/grouping.h"

enum { EACH_LINE = 10 };

static void print_alike(FILE *f, const struct sweep_result *r)
{
	fputs("mean cosine of what enters layers 0 and 1, 1 and 2, ...", f);
	for (int i = 0; i + 1 < r->n_layers; i++)
		fprintf(f, "%s%s%6.3f", i % EACH_LINE ? "" : "\n", i % EACH_LINE ? " " : "",
			r->alike[i]);
	fputs("\n\n", f);
}

static void print_figures(FILE *f, const struct sweep_result *r, const struct sweep_row *row)
{
	double n = (double)r->rows, error, loss = sweep_loss(r, row, &error);

	fprintf(f, " %5d %11.4f %8.2f %7.2f %9.5f %7.2f\n", row->steps,
		sweep_perplexity(r, row->nll), 100 * loss, 100 * error, row->kl / n,
		100 * (double)row->same / n);
}

static void print_row(FILE *f, const struct sweep_result *r, const struct sweep_row *row)
{
	const struct grouping *g = &row->group;
	char spec[GROUPING_TEXT];

	snprintf(spec, sizeof(spec), "%d:%d:%d:%d", g->from, g->to, g->size, g->bypass);
	fprintf(f, "%-12s", spec);
	print_figures(f, r, row);
}

static void print_advice(FILE *f, const struct sweep_result *r)
{
	char text[GROUPING_TEXT];

	fputs("\nfewest steps for a loss of perplexity of at most\n", f);
	for (int i = 0; i < ADVICE_N; i++) {
		const struct sweep_row *row = &r->row[r->best[i] < 0 ? 0 : r->best[i]];

		fprintf(f, "%4g %%  ", advice_loss[i]);
		if (r->best[i] < 0)
			fputs("none\n", f);
		else
			fprintf(f, "--cqil %s, %d step%s instead of %d\n",
				grouping_text(&row->group, text), row->steps, text_s(row->steps),
				r->n_layers);
	}
}

int sweep_table(FILE *f, const struct sweep_result *r, const char *path, char err[ERR_MAX])
{
	const struct sweep_row dense = { .steps = r->n_layers, .nll = r->dense, .same = r->rows };

	print_alike(f, r);
	fprintf(f, "%-12s %5s %11s %8s %7s %9s %7s\n%-12s", "S:E:P:D", "steps", "perplexity",
		"loss %", "+-", "KL", "first %", "dense");
	print_figures(f, r, &dense);
	for (int i = 0; i < r->n; i++)
		print_row(f, r, &r->row[i]);
	print_advice(f, r);
	fprintf(f, "%d tokens, %ld of them scored\nwritten: ", r->tokens, r->rows);
	text_print_line(f, path);
	fputs("; --cqil auto takes it from there\n", f);
	return text_flush(f, err);
}
