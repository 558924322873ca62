/* setup.c - see setup.h. */
#include "app/config/setup.h"
#include "app/config/model_path.h"
#include <math.h>
#include <string.h>

/* Who names kernels of the cpu backend wants to see them at work. */
static const char *backend(const struct options *o)
{
	bool named = strcmp(o->kernels, "auto") != 0;

	return named && !strcmp(o->backend, "auto") ? "cpu" : o->backend;
}

struct engine_opt setup_engine(const struct options *o)
{
	return (struct engine_opt){
		.backend = backend(o), .n_ctx = o->ctx, .self_skip = o->self_skip,
		.cqil = o->cqil, .cqil_draft = o->cqil_draft,
		.dip = { .spec = o->dip, .weighted = !strcmp(o->dip_score, "weighted"),
			 .prompts = o->dip_prompt, .aware = o->dip_ca,
			 .cache = { .bytes = isinf(o->dip_cache) ? 0 :
					     (size_t)((double)o->dip_cache * (1 << 20)),
				    .policy = strcmp(o->dip_policy, "lru") ? SLOTS_LFU :
									     SLOTS_LRU } },
		.dip_draft = o->dip_draft,
		.cqil_released = !strcmp(o->cqil_form, "released"),
		.force = o->force,
		.limit_layers = o->gpu_layers >= 0, .gpu_layers = o->gpu_layers,
		.host = !strcmp(o->host_layers, "cpu") ? HOST_CPU :
			!strcmp(o->host_layers, "auto") ? HOST_AUTO : HOST_BUS,
		.be = { .n_threads = o->threads, .kernels = o->kernels,
			.cache_k = quant_find(o->cache_type_k),
			.cache_v = quant_find(o->cache_type_v),
			.budget = (size_t)o->vram << 20 },
	};
}

char *setup_host_file(const struct options *o)
{
	bool groups = *o->cqil && strcmp(o->cqil, "off") != 0;
	bool asked = !strcmp(o->host_layers, "auto") ||
		     (!strcmp(o->host_layers, "cpu") && groups);
	char *path = !asked ? NULL :
		     model_path_xdg("XDG_STATE_HOME", ".local/state", "host-layers");

	if (path)
		model_path_make(path);
	return path;
}
