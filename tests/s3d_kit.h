/* s3d_kit.h - an engine whose model has a sidecar: its bridge hands the row before the skipped
 * layer on as it is, which random models often do not mind: drafts that hold, and some that do not.
 *
 * Included by a test program that sets SCRATCH, how the names of its files begin (no two
 * programs share one: they run side by side); owns `engine` between open_with and shut. */
#ifndef S3D_S3D_KIT_H
#define S3D_S3D_KIT_H
#include "tests/strategy_kit.h"
#include "tests/mk.h"

static const char MODEL[] = SCRATCH ".gguf", SIDE[] = SCRATCH ".s3d.gguf";
static struct mk_spec spec = MK_SMALL(.n_layers = 4, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2,
	.n_ff = 96, .type = "F16", .tied = true, .seed = 9);
enum { WIDTH = 64, K = 3 };
static const char *dip_draft;           /* of engines that open_with opens */

/* Row o is the row that comes in; only every second token can be drafted if half is set. */
static inline void write_sidecar(const char *path, const struct model *m, bool half)
{
	static float w[K * WIDTH][BRIDGE_PARTS * WIDTH], bias[K * WIDTH];
	static int vocab[MK_VOCAB_MIN / 2 / PEAK * PEAK];
	const double expected[BRIDGE_ROWS] = { 0.3, 0.1 };
	struct gguf_tensor weight = { .type = QUANT_F32, .n_dims = 2, .data = w, .bytes = sizeof(w),
				      .dim = { BRIDGE_PARTS * WIDTH, K * WIDTH, 1, 1 } };
	struct gguf_tensor b = { .type = QUANT_F32, .n_dims = 1, .data = bias,
				 .bytes = sizeof(bias), .dim = { K * WIDTH, 1, 1, 1 } };
	struct bridge g = { .a = 1, .s = 2, .k = K, .weight = &weight, .bias = &b };
	char err[ERR_MAX];

	for (int o = 0; o < K; o++)
		for (int i = 0; i < WIDTH; i++)
			w[o * WIDTH + i][i] = 1;
	for (int i = 0; i < MK_VOCAB_MIN / 2 / PEAK * PEAK; i++)
		vocab[i] = 2 * i + 1;
	if (half) {
		g.vocab = vocab;
		g.n_vocab = MK_VOCAB_MIN / 2 / PEAK * PEAK;
	}
	if (sidecar_write(path, m, &g, expected, "test_s3d", err) != 0)
		fail_msg("%s", err);
}

static inline void open_with(const char *backend, bool half, const char *little, int n_ctx)
{
	struct engine_opt o = { .model = MODEL, .sidecar = SIDE, .model_draft = little,
				.backend = backend, .n_ctx = n_ctx, .dip_draft = dip_draft,
				.be = { .n_threads = 1 } };
	struct model *m;
	char err[ERR_MAX];

	if (mk_write(MODEL, &spec, err) != 0 || !(m = model_open(MODEL, NULL, err)))
		fail_msg("%s", err);
	write_sidecar(SIDE, m, half);
	model_close(m);
	engine = engine_open(&o, err);
	if (!engine || !engine->strat.bridged)
		fail_msg("%s", engine ? engine->sidecar_err : err);
}

static inline void shut(void)
{
	engine_close(engine);
	engine = NULL;
	remove(MODEL);
	remove(SIDE);
}

static inline const char *s3d(int step)
{
	(void)step;
	return "s3d";
}
#endif
