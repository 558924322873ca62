/* arch_kit.h - the models of mk_arch.h on a backend against what transformers made of them
 * (tests/vectors/arch-NAME.txt), and what must be the same to the bit around a window's edges.
 *
 * Included once by a test program, which sets SCRATCH, how the names of its files begin (no two
 * programs share one: they run side by side); whoever reads a vector frees it.  The text is in
 * tokens. */
#ifndef S3D_ARCH_KIT_H
#define S3D_ARCH_KIT_H
#include "tests/forward_kit.h"
#include "tests/mk_arch.h"

enum { TEXT = 300, PASSES = 2, KEPT = 8 };

struct vector {
	char sha256[65];        /* of the GGUF file */
	int n_passes;
	struct pass {
		int n, kept;    /* positions read, and those whose logits were kept */
		int pos[KEPT];
		float *logits;  /* (kept, n_vocab) */
	} pass[PASSES];
};

static inline void read_pass(FILE *f, struct pass *p)
{
	const int vocab = MK_VOCAB_MIN;

	assert_int_equal(fscanf(f, "%d %d", &p->n, &p->kept), 2);
	assert_in_range(p->n, 1, TEXT);
	assert_in_range(p->kept, 1, KEPT);
	p->logits = malloc(sizeof(float) * (size_t)(p->kept * vocab));
	for (int i = 0; i < p->kept; i++) {
		assert_int_equal(fscanf(f, "%d", &p->pos[i]), 1);
		assert_in_range(p->pos[i], 0, p->n - 1);
		for (int j = 0; j < vocab; j++)
			assert_int_equal(fscanf(f, "%f", &p->logits[i * vocab + j]), 1);
	}
}

static inline struct vector read_vector(const char *name)
{
	struct vector v = { .n_passes = 0 };
	char path[64], word[8];
	int n;
	FILE *f;

	snprintf(path, sizeof(path), "tests/vectors/arch-%s.txt", name);
	f = fopen(path, "r");
	if (!f)
		fail_msg("%s cannot be read", path);
	assert_int_equal(fscanf(f, "#%*[^\n] sha256 %64s tokens %d", v.sha256, &n), 2);
	assert_int_equal(n, TEXT);
	for (int i = 0; i < n; i++)
		assert_int_equal(fscanf(f, "%d", &tokens[i]), 1);
	while (fscanf(f, "%7s", word) == 1) {
		assert_string_equal(word, "run");
		assert_true(v.n_passes < PASSES);
		read_pass(f, &v.pass[v.n_passes++]);
	}
	assert_true(v.n_passes > 0);
	fclose(f);
	return v;
}

static inline void free_vector(struct vector *v)
{
	while (v->n_passes)
		free(v->pass[--v->n_passes].logits);
}

/* A model of mk_arch.h whose cache has n_ctx positions: how long it is decides how some turn.  With
 * few rows in a batch the caches of local layers are rings. */
static inline struct rig open_arch(const struct backend *be, const struct mk_spec *spec,
				   const char *kernels, int n_batch, int n_ctx)
{
	static const char path[] = SCRATCH ".gguf";
	struct backend_opt o = rig_opt(F16, kernels, 1);
	char err[ERR_MAX] = "";
	struct rig r;

	o.n_batch = n_batch;
	if (mk_write_calm(path, spec, err) != 0)
		fail_msg("%s", err);
	r = open_rig_file(be, path, &o, n_ctx);
	remove(path);
	return r;
}

/* Logits (n, n_vocab) of the first n positions, which run in these numbers of rows, over and over
 * until 0. */
static inline float *read_text(struct rig *r, int n, const int *rows)
{
	size_t vocab = (size_t)r->m->cfg.n_vocab;
	float *all = malloc(sizeof(float) * (size_t)n * vocab);

	for (int pos = 0, i = 0; pos < n; i = rows[i + 1] ? i + 1 : 0) {
		int some = n - pos < rows[i] ? n - pos : rows[i];
		float *l = run(r, NULL, pos, some, some);

		memcpy(all + (size_t)pos * vocab, l, sizeof(float) * (size_t)some * vocab);
		pos += some;
		free(l);
	}
	return all;
}

/* The largest distance from what transformers has. */
static inline double distance_from(const struct rig *r, const struct pass *p, const float *all)
{
	int vocab = r->m->cfg.n_vocab;
	double worst = 0;

	for (int i = 0; i < p->kept; i++)
		for (int j = 0; j < vocab; j++) {
			double e = fabs((double)all[p->pos[i] * vocab + j] -
					(double)p->logits[i * vocab + j]);

			worst = e > worst || isnan(e) ? e : worst;
		}
	return worst;
}

/* ---- to the bit ---- */

/* One pass of rows and others, the rows of which may differ. */
static inline void check_pieces(struct rig *r, int n, const int *one, const int *other)
{
	float *a = read_text(r, n, one), *b = read_text(r, n, other);

	same_rows(a, b, (size_t)n, r);
	free(a);
	free(b);
}

static inline void other_tokens(int pos, int n, int by)
{
	for (int i = pos; i < pos + n; i++)
		tokens[i] = (tokens[i] + by) % MK_VOCAB_MIN;
}

/* Drafts of n tokens behind pos that fail, twice, leave no trace, where all before pos was read. */
static inline void check_failed(struct rig *r, int pos, int n)
{
	float *fresh = run(r, NULL, pos, 3, 3), *again;

	for (int by = 1; by <= 2; by++) {
		other_tokens(pos + 1, n, by);
		free(run(r, NULL, pos, n + 1, n + 1));
		other_tokens(pos + 1, n, MK_VOCAB_MIN - by);
	}
	again = run(r, NULL, pos, 3, 3);
	same_rows(fresh, again, 3, r);
	free(fresh);
	free(again);
}

/* Where the window's edge, a ring's end or a block of attention's lies within the drafts. */
static inline void check_edges(struct rig *r, int n, int step)
{
	int w = r->m->cfg.window ? r->m->cfg.window : 40, pos = 0;
	const int at[] = { w - 5, w - 1, w, 2 * w - 2, 126, 127, 128, 200, 254, 256 };

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		while (pos < at[i]) {
			int some = at[i] - pos < step ? at[i] - pos : step;

			free(run(r, NULL, pos, some, 0));
			pos += some;
		}
		check_failed(r, pos, n);
	}
}

#endif
