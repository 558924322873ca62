/* forward_kit.h - a tiny random model on a backend, and what is asked of every backend's forward.
 *
 * Included once by a test program; a rig owns its model, device and cache. */
#ifndef S3D_FORWARD_KIT_H
#define S3D_FORWARD_KIT_H
#include "kernels/backend_draft.h"
#include "kernels/schedule.h"
#include "kernels/devices/registry.h"
#include "tests/mk.h"
#include "kernels/peaks.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { CTX = 640, LONG = 300, WIDE = 768 };

static int tokens[CTX];

/* The same ones in every test. */
static inline void make_tokens(void)
{
	srand(3);
	for (int i = 0; i < CTX; i++)
		tokens[i] = rand() % MK_VOCAB_MIN;
}

struct rig {
	const struct backend *be;
	struct model *m;
	struct dev *d;
	struct kv *kv;
	/* The model itself; with groups of layers, and pruned, if that is asked for. */
	struct schedule whole;
	struct grouping group;
	struct pruning prune;
};

static inline void make_whole(struct rig *r)
{
	schedule_make(&r->whole, r->m, &(struct plan){ .target = true, .group = r->group,
						       .prune = r->prune });
}

/* From now on layers run in such groups. */
static inline void group_layers(struct rig *r, const struct grouping *g)
{
	r->group = *g;
	make_whole(r);
}

/* From now on MLPs read so much. */
static inline void prune_mlps(struct rig *r, struct pruning p)
{
	r->prune = p;
	make_whole(r);
}

/* What the cache holds: f16, or q8_0 for keys, values or both. */
enum cache { F16, Q8_KEYS, Q8_VALUES, Q8 };

static inline struct rig open_rig_file(const struct backend *be, const char *path,
				       const struct backend_opt *o, int n_ctx)
{
	char err[ERR_MAX] = "";
	struct rig r = { .be = be };

	if (!(r.m = model_open(path, NULL, err)) || !(r.d = be->open(r.m, o, err)) ||
	    !(r.kv = be->kv_new(r.d, n_ctx, err)))
		fail_msg("%s", err);
	make_whole(&r);
	return r;
}

static inline struct rig open_rig_on(const struct backend *be, const struct mk_spec *spec,
			      const struct backend_opt *o)
{
	char err[ERR_MAX] = "", path[] = "build/test-XXXXXX";
	int fd = mkstemp(path);
	struct rig r;

	assert_true(fd >= 0);
	if (mk_write(path, spec, err) != 0)
		fail_msg("%s", err);
	r = open_rig_file(be, path, o, CTX);
	close(fd);
	remove(path);
	return r;
}

static inline struct backend_opt rig_opt(enum cache cache, const char *kernels, int threads)
{
	const struct quant_info *q8 = quant_find("q8_0");

	return (struct backend_opt){ .n_threads = threads, .kernels = kernels, .n_batch = 512,
				     .n_out = 512, .cache_k = cache & Q8_KEYS ? q8 : NULL,
				     .cache_v = cache & Q8_VALUES ? q8 : NULL };
}

static inline void close_rig(struct rig *r)
{
	r->be->kv_free(r->kv);
	r->be->close(r->d);
	model_close(r->m);
}

static inline void check_peaks(const float *row, int n)
{
	for (int i = 0; i < row_peaks(n); i++) {
		float most = -INFINITY;

		for (int j = PEAK * i; j < PEAK * (i + 1) && j < n; j++)
			most = row[j] > most ? row[j] : most;
		assert_true(row[n + i] == most);
	}
}

/* Copies of the logits of the last n_out rows, without their peaks, which must be right.  p NULL:
 * of the model itself. */
static inline float *run(struct rig *r, const struct plan *p, int pos, int n, int n_out)
{
	struct schedule what = r->whole;
	struct batch b = { .tok = tokens + pos, .n = n, .pos = pos, .run = &what, .n_out = n_out };
	const float *l;
	int vocab = r->m->cfg.n_vocab;
	size_t size = (size_t)vocab * sizeof(float);
	float *copy = malloc((size_t)n_out * size + 1);

	if (p)
		schedule_make(&what, r->m, p);
	l = r->be->forward(r->d, r->kv, &b);
	if (!l)
		fail_msg("%s", r->be->error(r->d));
	for (int i = 0; i < n_out; i++) {
		check_peaks(row_at(l, vocab, i), vocab);
		memcpy(copy + (size_t)i * (size_t)vocab, row_at(l, vocab, i), size);
	}
	return copy;
}

static inline void same_rows(const float *a, const float *b, size_t rows, const struct rig *r)
{
	assert_memory_equal(a, b, rows * (size_t)r->m->cfg.n_vocab * sizeof(float));
}

/* A row's logits do not depend on how many rows ran with it: so many of them from pos on, up to 17,
 * which are as many as a step has; the counts end with 0.  The text before is read so many rows at
 * a time. */
enum { ALIKE = 17 };
static inline void check_counts_alike(struct rig *r, int pos, int step, const int *counts)
{
	size_t vocab = (size_t)r->m->cfg.n_vocab;
	float *one[ALIKE], *many;

	for (int at = 0; at < pos; at += step)
		free(run(r, NULL, at, pos - at < step ? pos - at : step, 1));
	for (int i = 0; i < ALIKE; i++)
		one[i] = run(r, NULL, pos + i, 1, 1);
	for (; *counts; counts++) {
		many = run(r, NULL, pos, *counts, *counts);
		for (int i = 0; i < *counts; i++)
			same_rows(one[i], many + (size_t)i * vocab, 1, r);
		free(many);
	}
	for (int i = 0; i < ALIKE; i++)
		free(one[i]);
}

static const int all_counts[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 0 };
static inline void check_rows_alike(struct rig *r, int pos, int step)
{
	check_counts_alike(r, pos, step, all_counts);
}

/* Rows written ahead, by drafts that failed or by a pass that skipped layers, leave no trace. */
static inline void check_rollback(struct rig *r)
{
	struct plan half = { .skip_attn = { 1 }, .skip_mlp = { 2 } };
	float *fresh, *again;

	free(run(r, NULL, 0, 100, 1));
	fresh = run(r, NULL, 100, 4, 4);
	for (int i = 100; i < 116; i++)
		tokens[i] = (tokens[i] + 1) % MK_VOCAB_MIN;
	free(run(r, NULL, 100, 16, 16));
	free(run(r, &half, 100, 16, 16));
	for (int i = 100; i < 116; i++)
		tokens[i] = (tokens[i] + MK_VOCAB_MIN - 1) % MK_VOCAB_MIN;
	again = run(r, NULL, 100, 4, 4);
	same_rows(fresh, again, 4, r);
	free(fresh);
	free(again);
}

static inline void check_refused(struct rig *r, struct batch b, const char *says)
{
	if (!b.run)
		b.run = &r->whole;
	assert_null(r->be->forward(r->d, r->kv, &b));
	assert_non_null(strstr(r->be->error(r->d), says));
}

/* Batches that no backend takes: the rig has room for 512 rows. */
static inline void check_refusals(struct rig *r)
{
	int bad = MK_VOCAB_MIN;
	struct schedule nothing = { .n = 0 };
	const struct { struct batch b; const char *says; } all[] = {
		{ { .tok = tokens, .n = 1, .run = &nothing }, "without operations" },
		{ { .tok = &bad, .n = 1 }, "vocabulary" },
		{ { .tok = tokens, .n = 513 }, "rows" },
		{ { .tok = tokens, .n = 1, .pos = CTX }, "positions" },
		{ { .tok = tokens, .n = 1, .pos = -1 }, "positions" },
		{ { .tok = tokens, .n = 0 }, "rows" },
		{ { .tok = tokens, .n = 1, .n_out = 2 }, "outputs" },
		{ { .tok = tokens, .n = 1, .n_out = -1 }, "outputs" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		check_refused(r, all[i].b, all[i].says);
}
#endif
