/* engine_sidecar.c - see engine_sidecar.h. */
#include "engine/engine_sidecar.h"

size_t engine_sidecar_weights(const struct engine *e)
{
	const struct gguf_tensor *out = e->model->output;
	size_t sum = 0;

	if (e->sidecar && e->sidecar->bridge.vocab)
		sum = out->bytes / (size_t)out->dim[1] * (size_t)e->sidecar->bridge.n_vocab;
	for (int64_t i = 0; e->sidecar && i < gguf_n_tensors(e->sidecar->file); i++)
		sum += gguf_tensor_at(e->sidecar->file, i)->bytes;
	return sum;
}

size_t engine_sidecar_kept(const struct engine *e)
{
	size_t row = (size_t)e->model->cfg.n_embd * sizeof(float);

	return e->sidecar ? KEEP_ROWS * KEEP_LAYERS * row : 0;
}

void engine_sidecar_group(struct engine *e)
{
	if (e->sidecar)
		schedule_make(&e->bridged, e->model, &(struct plan){
			      .bridge = &e->sidecar->bridge, .group = e->draft_group,
			      .prune = e->draft_dip.keep });
}

static int attach(struct engine *e, char err[ERR_MAX])
{
	const struct bridge *b = &e->sidecar->bridge;
	int fed[KEEP_LAYERS];

	if (!e->be->draft)
		return fail(err, "the %s backend takes no bridges; --backend cpu does",
			    e->be->name);
	bridge_fed(b, &e->model->cfg, fed);
	if (e->be->draft->kv_keep(e->target.kv, fed, KEEP_LAYERS, err) != 0 ||
	    e->be->draft->bridge(e->dev, b, err) != 0)
		return -1;
	gguf_drop_all(e->sidecar->file);   /* packed, or read again */
	engine_sidecar_group(e);
	e->strat.bridge_smp = sampler_open(b->vocab ? b->n_vocab : e->model->cfg.n_out, b->vocab,
					   err);
	if (!e->strat.bridge_smp)
		return -1;
	sampler_spare(e->strat.bridge_smp, tokenizer_ends(e->tok), tokenizer_size(e->tok));
	return 0;
}

void engine_sidecar_attach(struct engine *e)
{
	if (!e->sidecar)
		return;
	if (attach(e, e->sidecar_err) != 0)
		engine_sidecar_detach(e);
	else
		e->strat.bridged = &e->bridged;
}

void engine_sidecar_detach(struct engine *e)
{
	char err[ERR_MAX];

	e->strat.bridged = NULL;
	if (e->dev && e->be->draft)
		e->be->draft->bridge(e->dev, NULL, err);
	sampler_close(e->strat.bridge_smp);
	e->strat.bridge_smp = NULL;
}
