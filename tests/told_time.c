/* told_time.c - s3dchat on the cpu, in a time that is told: a pass takes what a file says that it
 * takes on some machine, not what it takes here.
 *
 *	told_time COSTS ARGUMENTS OF S3DCHAT...
 *
 * The linker puts the functions below in the place of main, clock_now and cpu_forward.  Texts,
 * drafts and what is accepted are real, so `bench --strategies` shows what a strategy gives on the
 * machine of the file, the same in every run, and however unsteady this one is.  The file has words
 * and numbers, in plain's step but the first: `step` seconds, `rows` of a pass of 1, 2, .. 17 rows,
 * `begin` and `next` of the little model's guesses, `cold` on top of a pass behind these, `bridge`,
 * `read` and `little_read` for a token of a prompt, `noise`: the standard deviation.
 * Invariant: told time passes in passes only. */
#include "kernels/cpu/dev.h"
#include "kernels/schedule.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 17 };
static struct {
	double step, rows[ROWS], begin, next, cold, bridge, read, little_read, noise;
} costs;
static double now;
static int layers;              /* of the big model: the little one has fewer */
static bool cooled;             /* the last pass was the little model's */

int __wrap_main(int argc, char **argv);
int __real_main(int argc, char **argv);
double __wrap_clock_now(void);
const float *__wrap_cpu_forward(struct dev *, struct kv *, const struct batch *);
const float *__real_cpu_forward(struct dev *, struct kv *, const struct batch *);

double __wrap_clock_now(void)
{
	return now;
}

/* About normal, of deviation 1: twelve even ones less their mean. */
static double chance(void)
{
	static uint64_t state = 1;
	double sum = -6;

	for (int i = 0; i < 12; i++) {
		state = state * 6364136223846793005u + 1442695040888963407u;
		sum += (double)(state >> 11) / 9007199254740992.0;
	}
	return sum;
}

static double little(const struct batch *b)
{
	if (!b->n_out)
		return costs.little_read * b->n;
	return (cooled ? costs.next : costs.begin) * (1 + 0.1 * (b->n - 1));
}

/* In plain's steps. */
static double pass(const struct dev *d, const struct batch *b)
{
	if (d->model->cfg.n_layers < layers)
		return little(b);
	if (b->run->bridge)
		return costs.bridge;
	if (!b->n_out || b->n > ROWS)
		return fmax(1, costs.read * b->n);
	return costs.rows[b->n - 1] + (cooled ? costs.cold : 0);
}

const float *__wrap_cpu_forward(struct dev *d, struct kv *kv, const struct batch *b)
{
	int n = d->model->cfg.n_layers;

	layers = n > layers ? n : layers;
	now += costs.step * pass(d, b) * exp(costs.noise * chance());
	cooled = n < layers;
	return __real_cpu_forward(d, kv, b);
}

static bool read_costs(const char *path)
{
	const struct {
		const char *word;
		double *to;
		int n;
	} words[] = {
		{ "step", &costs.step, 1 }, { "rows", costs.rows, ROWS },
		{ "begin", &costs.begin, 1 }, { "next", &costs.next, 1 },
		{ "cold", &costs.cold, 1 }, { "bridge", &costs.bridge, 1 },
		{ "read", &costs.read, 1 }, { "little_read", &costs.little_read, 1 },
		{ "noise", &costs.noise, 1 },
	};
	size_t n = sizeof(words) / sizeof(words[0]), found = 0;
	FILE *f = fopen(path, "r");
	char word[16];

	while (f && fscanf(f, "%15s", word) == 1)
		for (size_t i = 0; i < n; i++)
			for (int j = 0; !strcmp(word, words[i].word) && j < words[i].n; j++)
				found += fscanf(f, "%lf", &words[i].to[j]) == 1;
	if (f)
		fclose(f);
	return found == n - 1 + ROWS;
}

int __wrap_main(int argc, char **argv)
{
	if (argc < 2 || !read_costs(argv[1])) {
		fprintf(stderr, "told_time: COSTS has to say all that it can, see told_time.c\n");
		return 2;
	}
	argv[1] = argv[0];
	return __real_main(argc - 1, argv + 1);
}
