/* info.c - see info.h. */
#include "engine/info.h"
#include "kernels/devices/registry.h"

const char *engine_backend(const struct engine *e)
{
	return e->be->name;
}

const char *engine_device(const struct engine *e)
{
	return e->be->describe(e->dev);
}

bool engine_calibrates(const struct engine *e)
{
	return e->be->draft != NULL;
}

struct engine_memory engine_memory(const struct engine *e)
{
	struct backend_memory big = e->be->memory(e->dev), little = { .weights = 0 };
	struct engine_memory m = { .weights = big.weights, .work = big.work,
				   .kv = e->be->kv_bytes(e->target.kv) };

	if (e->draft_dev) {
		little = e->be->memory(e->draft_dev);
		m.little = little.weights + little.work + e->be->kv_bytes(e->draft.kv);
	}
	return m;
}

size_t engine_token_bytes(const struct engine *e)
{
	return schedule_bytes(&e->target.base);
}

struct column_counts engine_columns(const struct engine *e)
{
	return e->be->columns ? e->be->columns->kv_counts(e->target.kv) :
				(struct column_counts){ .rows = 0 };
}

size_t engine_used(const struct engine *e)
{
	return e->plan.device ? e->be->used() : 0;
}

int engine_fail(const struct engine *e, const char *then, char err[ERR_MAX])
{
	return backend_fail(e->be->name, err, then, err);
}
