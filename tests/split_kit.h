/* split_kit.h - models whose first layers the cpu computes and whose others the emulated GPU.
 *
 * Included once by a test program, whose main calls split_begin.  No state but the backends. */
#ifndef S3D_SPLIT_KIT_H
#define S3D_SPLIT_KIT_H
#include "kernels/devices/split.h"
#include "tests/bridge_kit.h"
#include "tests/cuda_device.h"

static const struct backend *cuda, *split;

static const struct mk_spec models[] = {
	MK_SMALL(.n_layers = 3, .n_embd = 96, .n_heads = 6, .n_kv_heads = 2, .n_ff = 160,
		 .type = "Q4_1", .embd_type = "Q8_0", .tied = true, .seed = 24),
	MK_SMALL(.n_layers = 3, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96,
		 .type = "F32", .seed = 8, .arch = "qwen3", .head_dim = 32),
	MK_SMALL(.n_layers = 7, .n_embd = 64, .n_heads = 4, .n_kv_heads = 1, .n_ff = 96,
		 .type = "Q8_0", .tied = true, .seed = 10, .arch = "gemma3", .head_dim = 32,
		 .window = 24),
};
enum { MODELS = sizeof(models) / sizeof(models[0]) };
static const struct mk_spec six = MK_SMALL(.n_layers = 6, .n_embd = 64, .n_heads = 4,
	.n_kv_heads = 2, .n_ff = 96, .type = "Q8_0", .seed = 3);

static inline struct rig open_split(const struct mk_spec *spec, enum cache cache, int at,
			     const char *kernels)
{
	struct backend_opt o = rig_opt(cache, kernels, 2);

	o.split = true;
	o.host_layers = at;
	return open_rig_on(split, spec, &o);
}

static inline struct rig open_cpu(const struct mk_spec *spec, enum cache cache, const char *kernels)
{
	struct backend_opt o = rig_opt(cache, kernels, 2);

	return open_rig_on(&backend_cpu, spec, &o);
}

/* Root mean square of the difference, against that of the values. */
static inline double distance(struct rig *a, struct rig *b, int pos, int n)
{
	float *x = run(a, NULL, pos, n, n), *y = run(b, NULL, pos, n, n);
	double diff = 0, sum = 0;

	for (int i = 0; i < n * a->m->cfg.n_vocab; i++) {
		diff += ((double)x[i] - (double)y[i]) * ((double)x[i] - (double)y[i]);
		sum += (double)x[i] * (double)x[i];
	}
	free(x);
	free(y);
	return sqrt(diff / sum);
}

/* The text before read a token at a time, and in pieces of 16. */
static inline void check_pieces(struct rig *r)
{
	float *one, *many;

	read_text(r, 50, 1);
	one = run(r, NULL, 50, 2, 2);
	read_text(r, 50, 16);
	many = run(r, NULL, 50, 2, 2);
	same_rows(one, many, 2, r);
	free(one);
	free(many);
}

static inline void check_text_lanes(struct rig *r)
{
	enum { LANES = 3 };
	static const int past[LANES] = { 20, 0, 33 };
	struct lane lane[LANES];
	int next[LANES], vocab = r->m->cfg.n_vocab;
	float *want[LANES];
	struct batch b = { .tok = next, .n = LANES, .n_out = LANES, .lanes = lane,
			   .run = &r->whole };
	const float *got;
	char err[ERR_MAX];

	for (int i = 0; i < LANES; i++) {
		struct batch text = { .tok = tokens, .n = past[i], .run = &r->whole };

		lane[i] = (struct lane){ split->kv_new(r->d, CTX, err), past[i] };
		assert_non_null(lane[i].kv);
		next[i] = tokens[past[i]];
		read_text(r, past[i], CTX);
		assert_true(!past[i] || split->forward(r->d, lane[i].kv, &text));
		want[i] = run(r, NULL, past[i], 1, 1);
	}
	assert_non_null(got = split->forward(r->d, NULL, &b));
	for (int i = 0; i < LANES; i++) {
		same_rows(want[i], row_at(got, vocab, i), 1, r);
		free(want[i]);
		split->kv_free(lane[i].kv);
	}
	b.n = 513;
	check_refused(r, b, "takes 512 rows");
}

/* For a program's main: false when there is no GPU. */
static inline bool split_begin(int argc, char **argv)
{
	cuda = cuda_begin(argc, argv);
	split = cuda ? backend_split(cuda) : NULL;
	make_tokens();
	return cuda;
}

/* n passes, all behind the first of one token; false with the text of the one that failed. */
static inline bool split_passes(struct dev *d, struct kv *kv, struct batch b, int n,
				char err[ERR_MAX])
{
	for (int i = 0; i < n; i++) {
		if (!split->forward(d, kv, &b)) {
			snprintf(err, ERR_MAX, "%s", split->error(d));
			return false;
		}
		b.pos += b.n;
		b.n = 1;
	}
	return true;
}
#endif
