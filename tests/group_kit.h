/* group_kit.h - models of nine layers for tests of layers that run as a group.  No state.
 *
 * Included once by a test program. */
#ifndef S3D_GROUP_KIT_H
#define S3D_GROUP_KIT_H
#include "tests/mk.h"

enum { LAYERS = 9 };

static const struct mk_spec specs[] = {
	MK_SMALL(.n_layers = LAYERS, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96,
		 .type = "F32", .seed = 21),
	MK_SMALL(.n_layers = LAYERS, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96,
		 .type = "F32", .tied = true, .seed = 22, .arch = "qwen3", .head_dim = 32),
	MK_SMALL(.n_layers = LAYERS, .n_embd = 64, .n_heads = 4, .n_kv_heads = 1, .n_ff = 96,
		 .type = "F32", .tied = true, .seed = 23, .arch = "gemma3", .head_dim = 32,
		 .window = 24),
	MK_SMALL(.n_layers = LAYERS, .n_embd = 96, .n_heads = 6, .n_kv_heads = 2, .n_ff = 160,
		 .type = "Q4_1", .embd_type = "Q8_0", .tied = true, .seed = 24, .arch = "qwen2"),
};
enum { N_SPECS = sizeof(specs) / sizeof(specs[0]) };
#endif
