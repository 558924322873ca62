/* bench_series.c - what was measured: series of values, what they come to, and how they are shown.
 *
 * Invariant: a series has a place for each repetition, in the order in which they were measured. */
#include "app/bench/bench_parts.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void bench_add(struct bench *b, double value, const char *unit, const char *fmt, ...)
{
	char name[sizeof(b->series[0].name)];
	struct series *s = b->series;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	while (s < b->series + b->n_series && strcmp(s->name, name))
		s++;
	if (s == b->series + b->n_series) {
		assert(b->n_series < BENCH_SERIES_MAX);
		*s = (struct series){ .unit = unit, .v = b->pool + b->n_series * b->reps };
		memcpy(s->name, name, sizeof(name));
		b->n_series++;
	}
	assert(s->n < b->reps);
	s->v[s->n++] = value;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct spread bench_values(const double *v, int n)
{
	double sorted[1000];

	assert(n <= 1000);
	if (!n)
		return (struct spread){ NAN, NAN, NAN };
	memcpy(sorted, v, (size_t)n * sizeof(*v));
	qsort(sorted, (size_t)n, sizeof(*sorted), by_size);
	return (struct spread){ .median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2,
				.min = sorted[0], .max = sorted[n - 1] };
}

struct spread bench_spread(const struct bench *b, const char *fmt, ...)
{
	char name[sizeof(b->series[0].name)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	for (int i = 0; i < b->n_series; i++)
		if (!strcmp(b->series[i].name, name))
			return bench_values(b->series[i].v, b->series[i].n);
	return bench_values(NULL, 0);
}

void bench_progress(const struct bench *b, int rep, const char *what)
{
	bool terminal = isatty(STDERR_FILENO);

	fprintf(stderr, "%sbench: %d of %d: %s%s", terminal ? "\r\033[K" : "", rep + 1, b->reps,
		what, terminal ? "" : "\n");
}

void bench_cell(FILE *f, double x, int width, int decimals)
{
	if (isnan(x))
		fprintf(f, "%*s", width, "-");
	else
		fprintf(f, "%*.*f", width, decimals, x);
}
