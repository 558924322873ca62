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

/* For a program's main: false when there is no GPU. */
static inline bool split_begin(int argc, char **argv)
{
	cuda = cuda_begin(argc, argv);
	split = cuda ? backend_split(cuda) : NULL;
	make_tokens();
	return cuda;
}
#endif
