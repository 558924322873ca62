/* bench_sim.c - what a cache of columns would spare a slow memory (bench --dip-sim): plain's
 * answers under --dip, whose choices go through caches of several sizes and policies; and with
 * --dip-ca, where the cache has a say in the choices.
 *
 * Invariant: as bench_table.c's, every number printed is a series or made of some. */
#include "app/bench/bench_parts.h"
#include "app/config/setup.h"
#include "base/text.h"
#include "engine/approx/column_sim.h"
#include "engine/info.h"

#include <string.h>

static const double parts[] = { .25, .5, .75 };
static const char *const policies[SIM_POLICIES] = { "none", "lru", "lfu", "belady" };
static const char *const gammas[] = { "1", ".5", ".2", ".1" };
enum { PARTS = sizeof(parts) / sizeof(parts[0]), GAMMAS = sizeof(gammas) / sizeof(gammas[0]) };

/* Bytes that a token reads beside columns. */
static double fixed_bytes(const struct bench *b)
{
	const struct schedule *run = &b->e->target.base;
	double sum = 0;

	for (int i = 0; i < run->n; i++)
		sum += run->op[i].part == OP_MLP ? 0 : (double)run->op[i].bytes;
	return sum;
}

static void add(struct bench *b, const struct column_counts *c, const char *name, double part)
{
	double rows = (double)c->rows;

	bench_add(b, 100 * (double)c->hits / (double)c->used, "%", "sim/%s@%g/hits", name, part);
	bench_add(b, (double)c->fast / rows / 1e6, "MB", "sim/%s@%g/fast", name, part);
	bench_add(b, (double)c->slow / rows / 1e6, "MB", "sim/%s@%g/slow", name, part);
	bench_add(b, column_sim_speed(c, fixed_bytes(b), (double)b->opt->sim_fast * 1e9,
				      (double)b->opt->sim_slow * 1e9), "tokens/s",
		  "sim/%s@%g/speed", name, part);
}

/* The target becomes cache-aware with half of the columns in the cache. */
static int use(struct bench *b, const char *gamma, struct column_trace *seen, char err[ERR_MAX])
{
	struct dip_opt dip = setup_engine(b->opt).dip;

	dip.aware = gamma;
	dip.cache.bytes = 0;
	if (seen) {
		dip.cache.seen = column_trace_seen;
		dip.cache.ctx = seen;
	}
	return engine_prune(b->e, &dip, err);
}

/* Choices that no cache has a say in, through caches. */
static int run_caches(struct bench *b, struct column_trace *t, char err[ERR_MAX])
{
	struct column_counts sum[PARTS][SIM_POLICIES] = { 0 };
	double all = column_total(b->e->model);
	int rc = use(b, "1", t, err);

	for (int i = 0; i < b->prompts.n && !rc; i += b->prompt_step) {
		bench_progress(b, 0, b->prompts.p[i].name);
		column_trace_clear(t);
		rc = bench_plain(b, &b->prompts.p[i], err);
		for (int j = 0; j < PARTS * SIM_POLICIES && !rc; j++)
			rc = column_sim(t, (size_t)(parts[j / SIM_POLICIES] * all),
					(enum sim_policy)(j % SIM_POLICIES),
					&sum[j / SIM_POLICIES][j % SIM_POLICIES], err);
	}
	for (int j = 0; j < PARTS * SIM_POLICIES && !rc; j++)
		add(b, &sum[j / SIM_POLICIES][j % SIM_POLICIES], policies[j % SIM_POLICIES],
		    parts[j / SIM_POLICIES]);
	if (!rc)
		bench_add(b, (double)sum[0][0].rows, "rows", "sim/rows");
	return rc;
}

/* Answers that are written with a cache of half of the columns. */
static int run_aware(struct bench *b, const char *gamma, char err[ERR_MAX])
{
	struct column_counts sum = { .rows = 0 };
	char name[32];
	int rc = use(b, gamma, NULL, err);

	for (int i = 0; i < b->prompts.n && !rc; i += b->prompt_step) {
		struct column_counts c;

		bench_progress(b, 0, b->prompts.p[i].name);
		rc = bench_plain(b, &b->prompts.p[i], err);
		c = engine_columns(b->e);
		sum.rows += c.rows;
		sum.used += c.used;
		sum.hits += c.hits;
		sum.fast += c.fast;
		sum.slow += c.slow;
	}
	snprintf(name, sizeof(name), "gamma %s", gamma);
	if (!rc)
		add(b, &sum, name, .5);
	return rc;
}

int bench_sim_run(struct bench *b, char err[ERR_MAX])
{
	struct column_trace t;
	int rc;

	if (b->e->target.base.whole || b->e->dip.keep.in <= 0)
		return fail(err, "--dip-sim needs a model that reads a part of its columns: "
			    "--dip RHO, as .5");
	if (column_trace_open(&t, b->e->model, b->n_predict, err) != 0)
		return -1;
	rc = run_caches(b, &t, err);
	for (int i = 0; i < GAMMAS && !rc; i++)
		rc = run_aware(b, gammas[i], err);
	column_trace_close(&t);
	return rc ? rc : use(b, b->opt->dip_ca, NULL, err);
}

static void row(const struct bench *b, FILE *f, const char *name, double part)
{
	static const char *const what[] = { "hits", "fast", "slow", "speed" };

	fprintf(f, "%4.0f %%  %-12s", 100 * part, name);
	for (int i = 0; i < 4; i++)
		bench_cell(f, bench_spread(b, "sim/%s@%g/%s", name, part, what[i]).median, 10,
			   i == 0 || i == 3 ? 1 : 2);
	fputc('\n', f);
}

void bench_sim_report(const struct bench *b, FILE *f)
{
	char name[32];

	fprintf(f, "\n%.0f tokens by plain; each reads %.2f MB that are always in fast memory, and "
		"some of %.2f MB of columns\ntokens/s: fast memory of %g GB/s, slow memory of %g "
		"GB/s, one after the other, nothing else\n\n",
		bench_spread(b, "sim/rows").median, fixed_bytes(b) / 1e6,
		column_total(b->e->model) / 1e6, (double)b->opt->sim_fast,
		(double)b->opt->sim_slow);
	fprintf(f, "%6s  %-12s%10s%10s%10s%10s\n", "cache", "policy", "hits, %", "fast MB",
		"slow MB", "tokens/s");
	for (int p = 0; p < PARTS; p++)
		for (int i = 0; i < SIM_POLICIES; i++)
			row(b, f, policies[i], parts[p]);
	fprintf(f, "\nanswers written with --dip-ca, %s\n", b->opt->dip_policy);
	for (int i = 0; i < GAMMAS; i++) {
		snprintf(name, sizeof(name), "gamma %s", gammas[i]);
		row(b, f, name, .5);
	}
}
