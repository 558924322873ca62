/* stage.c - see stage.h.  No state. */
#include "kernels/stage.h"

const char *stage_name(enum stage stage)
{
#define X(id, name) name,
	static const char *const names[STAGES] = { STAGE_TABLE(X) };
#undef X

	return names[stage];
}

struct stage_mats stage_mats(enum stage stage)
{
#define X(id, at, ...) at,
	static const enum stage of[LAYER_MATS] = { LAYER_MAT_TABLE(X) };
#undef X
	struct stage_mats w = { 0, 0 };

	for (int i = LAYER_MATS - 1; i >= 0; i--)
		if (of[i] == stage)
			w = (struct stage_mats){ i, w.n + 1 };
	return w;
}

enum stage adapt_stage(enum adapt which)
{
	static const enum stage stage[ADAPTS] = {
		[ADAPT_QKV] = STAGE_QKV, [ADAPT_OUT] = STAGE_WO,
		[ADAPT_GATE_UP] = STAGE_GATE_UP, [ADAPT_DOWN] = STAGE_DOWN,
	};

	return stage[which];
}

int adapt_in(const struct model_config *c, enum adapt which)
{
	struct stage_mats w = stage_mats(adapt_stage(which));

	return (int)layer_mat_shape(c, (enum layer_mat)w.first).cols;
}

int adapt_out(const struct model_config *c, enum adapt which)
{
	struct stage_mats w = stage_mats(adapt_stage(which));
	int64_t rows = 0;

	for (int i = w.first; i < w.first + w.n; i++)
		rows += layer_mat_shape(c, (enum layer_mat)i).rows;
	return (int)rows;
}
