/* bench_probe.c - what does not depend on the strategy: bandwidth, prompt, decode, R(k).
 *
 * Invariant: row i of the probes' cache is always token ids[i] at position i, so any measurement
 * may run anywhere at any time and leaves the cache as it found it.  Where layers see a window only
 * rows of other positions may be in their place: as many, and as quick to read. */
#include "app/bench/bench_parts.h"

#include <math.h>
#include <string.h>

enum { PROMPT_ROWS = 512, STREAM_MIB = 512, STREAM_TIMES = 3 };

const int bench_depths[] = { 0, 1024, 4096, -1 };

double bench_rows(struct bench *b, int pos, int n, int n_out, char err[ERR_MAX])
{
	double start;
	int done = 0;

	/* what was forgotten, off the clock */
	if (pos && pos < probe_back(b->probe) && bench_rows(b, 0, pos, 0, err) < 0)
		return -1;
	start = clock_now();
	while (done < n) {
		int most = b->e->target.n_batch, rows = n - done < most ? n - done : most;

		if (probe_run(b->probe, b->ids + pos + done, rows, pos + done,
			      done + rows == n ? n_out : 0, err) != 0)
			return -1;
		done += rows;
	}
	return clock_now() - start;
}

/* The prompt set's text, again and again. */
static int fill_ids(struct bench *b, char err[ERR_MAX])
{
	int n = 0, n_got;

	for (int i = 0; n < b->n_ids; i = (i + 1) % b->prompts.n) {
		const struct prompt *p = &b->prompts.p[i];

		n_got = tokenizer_encode(b->e->tok, p->text, p->len, false, b->ids + n,
					 b->n_ids - n, err);
		if (n_got < 0)
			return -1;
		if (!n_got)
			return fail(err, "prompt %s has no tokens", p->name);
		n += n_got;
	}
	return 0;
}

static bool depth_fits(const struct bench *b, int depth)
{
	return depth + b->n_decode <= b->n_ids;
}

int bench_probe_depth(const struct bench *b)
{
	return (b->opt->quick ? 1024 : 4096) + b->n_decode;
}

int bench_probe_open(struct bench *b, char err[ERR_MAX])
{
	int most = b->e->model->cfg.n_ctx_train;

	b->n_ids = bench_probe_depth(b);
	if (most > 0 && b->n_ids > most)
		b->n_ids = most;
	if (b->n_ids < PROMPT_ROWS)
		return fail(err, "the model's context of %d tokens is too short to measure a "
			    "prompt of %d; use --strategies", b->n_ids, PROMPT_ROWS);
	b->ids = mem_new((size_t)b->n_ids, sizeof(*b->ids), err);
	if (!b->ids || fill_ids(b, err))
		return -1;
	b->probe = probe_open(b->e, b->n_ids, err);
	if (!b->probe)
		return -1;
	bench_progress(b, 0, "filling the context");
	return bench_rows(b, 0, b->n_ids, 0, err) < 0 ? -1 : 0;
}

void bench_probe_close(struct bench *b)
{
	probe_close(b->probe);
	mem_free(b->ids);
}

/* Returns the fastest of a few passes in GB/s. */
static double stream(struct bench *b)
{
	size_t bytes = (size_t)STREAM_MIB << 20;
	double best = INFINITY;

	for (int i = 0; i < STREAM_TIMES; i++) {
		double s = probe_stream(b->e, bytes);

		if (s > 0 && s < best)
			best = s;
	}
	return isinf(best) ? NAN : (double)bytes / best / 1e9;
}

/* Of passes that CPU and GPU share: means of one; and what groups of layers are to take. */
static void handed(struct bench *b, const struct backend_counts *c)
{
	const struct host_groups *g = &b->e->plan.groups;
	double n = (double)c->handed;

	bench_add(b, (double)c->crossings / n, "crossings", "decode_crossings");
	bench_add(b, (double)c->handed_bytes / n, "bytes", "decode_handed");
	bench_add(b, c->first_s / n * 1e6, "us", "decode_cpu");
	bench_add(b, c->rest_s / n * 1e6, "us", "decode_gpu");
	if (!g->share)
		return;
	bench_add(b, g->share, "layers", "group_layers");
	bench_add(b, g->cpu * 1e6, "us", "group_cpu");
	bench_add(b, g->other * 1e6, "us", "group_gpu");
	bench_add(b, g->cross * 1e6, "us", "group_handing");
}

/* How a device that records its passes got through those since the last look. */
static void counts(struct bench *b)
{
	struct backend_counts c;
	double steps, each;     /* one that CPU and GPU share may be several of the GPU's passes */

	if (!probe_counts(b->e, &c) || c.passes < 2)
		return;
	steps = (double)(c.handed ? c.handed : c.passes);
	each = (double)c.passes / steps;
	if (c.replays)
		bench_add(b, (double)c.launches / (double)c.replays * each, "launches",
			  "decode_launches");
	bench_add(b, 100.0 * (double)c.replays / (double)c.passes, "%", "decode_replays");
	bench_add(b, c.idle_s / (double)(c.passes - 1) * each * 1e6, "us", "decode_idle");
	if (c.handed)
		handed(b, &c);
}

/* A step of the little model behind another, while it drafts. */
static int draft_step(struct bench *b, char err[ERR_MAX])
{
	enum { TIMES = 15, POS = 16 };
	double t[TIMES];

	for (int i = 0; i < TIMES; i++) {
		double start = clock_now();

		if (probe_little(b->e, b->ids + POS, POS, err) != 0)
			return -1;
		t[i] = (clock_now() - start) / PROBE_STEPS;
	}
	bench_add(b, bench_values(t, TIMES).median * 1e6, "us", "draft_step");
	return 0;
}

static int decode(struct bench *b, int depth, double gbps, char err[ERR_MAX])
{
	struct backend_counts before;
	double seconds = 0, per_s;

	if (!depth)
		probe_counts(b->e, &before);
	for (int i = 0; i < b->n_decode; i++) {
		double s = bench_rows(b, depth + i, 1, 1, err);

		if (s < 0)
			return -1;
		seconds += s;
	}
	per_s = b->n_decode / seconds;
	bench_add(b, per_s, "tokens/s", "decode@%d", depth);
	if (!depth)
		counts(b);
	if (!depth) {
		bench_add(b, per_s * (double)b->token_bytes / 1e9, "GB/s", "decode_read");
		bench_add(b, per_s * (double)b->token_bytes / 1e7 / gbps, "%", "decode_share");
	}
	return 0;
}

/* Seconds of a pass over the bridge that makes so many drafts; -1 on error. */
static double bridged(struct bench *b, int rows, char err[ERR_MAX])
{
	double start = clock_now();

	if (probe_bridge(b->probe, b->ids[BENCH_VERIFY_POS], BENCH_VERIFY_POS, rows, err) != 0)
		return -1;
	return clock_now() - start;
}

/* Rows 1..8, and drafts over the bridge, in turn, many times: the median of each against the median
 * of one row. */
static int verify_cost(struct bench *b, char err[ERR_MAX])
{
	enum { TIMES = 15 };
	double t[BENCH_ROWS_MAX][TIMES], drafts[BRIDGE_ROWS][TIMES], one;
	int times = b->opt->quick ? 5 : TIMES;
	int most = probe_drafts(b->e);

	for (int i = 0; i < times; i++) {
		for (int k = 0; k < BENCH_ROWS_MAX; k++) {
			t[k][i] = bench_rows(b, BENCH_VERIFY_POS, k + 1, k + 1, err);
			if (t[k][i] < 0)
				return -1;
		}
		for (int k = 0; k < most; k++)
			if ((drafts[k][i] = bridged(b, k + 1, err)) < 0)
				return -1;
	}
	one = bench_values(t[0], times).median;
	for (int k = 0; k < BENCH_ROWS_MAX; k++)
		bench_add(b, bench_values(t[k], times).median / one, "x", "R%d", k + 1);
	for (int k = 0; k < most; k++)
		bench_add(b, bench_values(drafts[k], times).median / one, "x", "D%d", k + 1);
	return 0;
}

int bench_probe_run(struct bench *b, int rep, char err[ERR_MAX])
{
	double gbps, seconds;

	bench_progress(b, rep, "streaming read, prompt, decode, R(k)");
	gbps = stream(b);
	bench_add(b, gbps, "GB/s", "stream");
	seconds = bench_rows(b, 0, PROMPT_ROWS, 1, err);
	if (seconds < 0)
		return -1;
	bench_add(b, PROMPT_ROWS / seconds, "tokens/s", "prompt@%d", PROMPT_ROWS);
	for (int i = 0; bench_depths[i] >= 0; i++)
		if (depth_fits(b, bench_depths[i]) && decode(b, bench_depths[i], gbps, err))
			return -1;
	if (b->e->strat.draft && draft_step(b, err))
		return -1;
	return verify_cost(b, err);
}
