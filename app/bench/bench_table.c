/* bench_table.c - the strategies' part of bench's table, and the grid of bild's thresholds.
 *
 * Invariant: every number is a series or made of series of the CSV. */
#include "app/bench/bench_parts.h"
#include "base/text.h"

#include <math.h>
#include <string.h>

/* Over prompts whose name begins with group: the mean and the least of each one's median. */
static struct spread over_prompts(const struct bench *b, const char *name, double temp,
				  const char *group)
{
	struct spread all = { NAN, NAN, NAN };
	double sum = 0;
	int n = 0;

	for (int i = 0; i < b->prompts.n; i += b->prompt_step) {
		const char *prompt = b->prompts.p[i].name;
		double x = bench_spread(b, "%s@%g/prompt/%s", name, temp, prompt).median;

		if (isnan(x) || strncmp(prompt, group, strlen(group)) != 0)
			continue;
		all.min = n ? fmin(all.min, x) : x;
		all.max = n ? fmax(all.max, x) : x;
		sum += x;
		n++;
	}
	all.median = n ? sum / n : NAN;
	return all;
}

static void strategy_row(const struct bench *b, FILE *f, const struct contender *c, double temp)
{
	struct spread same = bench_spread(b, "%s@%g/identical", c->name, temp);
	struct spread all = bench_spread(b, "%s@%g/prompts", c->name, temp);
	struct spread ratio = bench_spread(b, "%s@%g/ratio", c->name, temp);
	struct spread prompts = over_prompts(b, c->name, temp, "");

	fprintf(f, "%-8s%5.1f", c->name, temp);
	bench_cell(f, bench_spread(b, "%s@%g/speed", c->name, temp).median, 9, 1);
	bench_cell(f, ratio.median, 8, 2);
	bench_cell(f, ratio.min, 6, 2);
	bench_cell(f, ratio.max, 6, 2);
	bench_cell(f, prompts.median, 7, 2);
	bench_cell(f, prompts.min, 6, 2);
	bench_cell(f, over_prompts(b, c->name, temp, "chat").median, 6, 2);
	bench_cell(f, over_prompts(b, c->name, temp, "edit").median, 6, 2);
	bench_cell(f, over_prompts(b, c->name, temp, "summarise").median, 6, 2);
	bench_cell(f, bench_spread(b, "%s@%g/acceptance", c->name, temp).median, 7, 1);
	bench_cell(f, bench_spread(b, "%s@%g/per_round", c->name, temp).median, 6, 2);
	bench_cell(f, bench_spread(b, "%s@%g/log_p", c->name, temp).median, 8, 3);
	bench_cell(f, bench_spread(b, "%s@%g/first_choice", c->name, temp).median, 7, 1);
	fprintf(f, "  %.0f of %.0f%s\n", same.min, all.min,
		c->exact ? same.min < all.min ? "  NOT THE SAME" : "" : "  approximate");
}

static void head(const struct bench *b, FILE *f)
{
	int used = (b->prompts.n + b->prompt_step - 1) / b->prompt_step;

	fprintf(f, "\n%d prompt%s, answers of at most %d tokens, %d repetition%s, in turn\n", used,
		text_s(used), b->n_predict, b->reps, text_s(b->reps));
}

/* What self left out, in the form that --self-skip takes. */
static void left_out(const struct skip *k, FILE *f)
{
	char text[SKIP_TEXT];

	fprintf(f, "self left out %d of %d sub-layers: %s", skip_count(&k->now.plan, k->n_layers),
		2 * k->n_layers, skip_text(&k->now.plan, k->n_layers, text));
	if (k->tries)
		fprintf(f, " (the best of %ld)", k->tries + 1);
	fputc('\n', f);
}

void bench_table(const struct bench *b, FILE *f)
{
	head(b, f);
	fprintf(f, "%-8s%5s%9s%8s%6s%6s%7s%6s%6s%6s%6s%7s%6s%8s%7s  %s\n", "strategy", "temp",
		"tokens/s", "x plain", "least", "most", "mean", "least", "chat", "edit", "summ.",
		"acc. %", "round", "log p", "1st %", "same as plain");
	for (int temp = 0; temp < b->n_temps; temp++)
		for (int i = 0; i < b->n_contenders; i++)
			strategy_row(b, f, &b->contender[i], (double)bench_temps[temp]);
	for (int i = 0; i < b->n_contenders; i++)
		if (!strcmp(b->contender[i].s->name, "self"))
			left_out(&b->e->skip, f);
}

void bench_grid(const struct bench *b, FILE *f)
{
	double plain = bench_spread(b, "plain@0/log_p").median;

	head(b, f);
	fprintf(f, "%-9s%9s%9s%8s%7s%7s%9s%9s%9s%9s\n", "fallback", "rollback", "tokens/s",
		"x plain", "acc. %", "round", "log p", "change %", "differ %", "1st %");
	for (int i = 0; i < b->n_contenders; i++) {
		const struct contender *c = &b->contender[i];
		double log_p = bench_spread(b, "%s@0/log_p", c->name).median;

		if (i)
			fprintf(f, "%-9g%9g", (double)c->opt.fallback, (double)c->opt.rollback);
		else
			fprintf(f, "%-18s", c->name);
		bench_cell(f, bench_spread(b, "%s@0/speed", c->name).median, 9, 1);
		bench_cell(f, bench_spread(b, "%s@0/ratio", c->name).median, 8, 2);
		bench_cell(f, bench_spread(b, "%s@0/acceptance", c->name).median, 7, 1);
		bench_cell(f, bench_spread(b, "%s@0/per_round", c->name).median, 7, 2);
		bench_cell(f, log_p, 9, 3);
		bench_cell(f, 100 * (log_p - plain) / fabs(plain), 9, 1);
		bench_cell(f, bench_spread(b, "%s@0/differ", c->name).median, 9, 1);
		bench_cell(f, bench_spread(b, "%s@0/first_choice", c->name).median, 9, 1);
		fputc('\n', f);
	}
}
