/* probe.c - see probe.h. */
#include "engine/probe.h"
#include "kernels/plan.h"
#include "kernels/peaks.h"

struct probe {
	struct engine *e;
	struct kv *kv;
};

static const float *run(struct engine *e, struct kv *kv, const struct batch *b, char err[ERR_MAX])
{
	const float *logits = e->be->forward(e->dev, kv, b);

	if (!logits)
		fail(err, "%s", e->be->error(e->dev));
	return logits;
}

const float *probe_look(struct engine *e, const int *tok, int n, int pos, int n_out,
			char err[ERR_MAX])
{
	struct batch b = { .tok = tok, .n = n, .pos = pos, .n_out = n_out,
			   .run = n_out ? &e->target.base : &e->target.prompt };

	return run(e, e->target.kv, &b, err);
}

const float *probe_row(const struct engine *e, const float *logits, int i)
{
	return row_at(logits, e->target.n_out, i);
}

/* The rows that a bridge needs, where the engine has one. */
static int keep(struct probe *p, char err[ERR_MAX])
{
	const struct engine *e = p->e;
	int fed[KEEP_LAYERS];

	if (!e->strat.bridged)
		return 0;
	bridge_fed(e->strat.bridged->bridge, &e->model->cfg, fed);
	return e->be->draft->kv_keep(p->kv, fed, KEEP_LAYERS, err);
}

struct probe *probe_open(struct engine *e, int n_ctx, char err[ERR_MAX])
{
	struct probe *p = mem_new(1, sizeof(*p), err);

	if (!p)
		return NULL;
	p->e = e;
	p->kv = e->be->kv_new(e->dev, n_ctx, err);
	if (p->kv && keep(p, err) == 0)
		return p;
	probe_close(p);
	return NULL;
}

void probe_close(struct probe *p)
{
	if (!p)
		return;
	if (p->kv)
		p->e->be->kv_free(p->kv);
	mem_free(p);
}

int probe_back(const struct probe *p)
{
	return p->e->be->kv_back(p->kv);
}

int probe_run(struct probe *p, const int *tok, int n, int pos, int n_out, char err[ERR_MAX])
{
	struct batch b = { .tok = tok, .n = n, .pos = pos, .n_out = n_out,
			   .run = &p->e->target.base };

	return run(p->e, p->kv, &b, err) ? 0 : -1;
}

int probe_drafts(const struct engine *e)
{
	return e->strat.bridged ? e->strat.bridged->bridge->k : 0;
}

int probe_bridge(struct probe *p, int tok, int pos, int drafts, char err[ERR_MAX])
{
	struct batch b = { .tok = &tok, .n = 1, .pos = pos, .run = p->e->strat.bridged,
			   .n_out = drafts };

	return run(p->e, p->kv, &b, err) ? 0 : -1;
}

int probe_little(struct engine *e, const int *tok, int pos, char err[ERR_MAX])
{
	const struct session *d = &e->draft;
	struct guess_batch g = { .run = &d->base, .tok = tok[0], .pos = pos, .n = PROBE_STEPS };
	bool itself = backend_guesses(d->be, d->dev);
	int rc = itself ? d->be->draft->guess(d->dev, d->kv, &g) : 0;

	for (int k = 0; !itself && !rc && k < PROBE_STEPS; k++) {
		struct batch b = { .tok = tok + k, .n = 1, .pos = pos + k, .n_out = 1,
				   .run = &d->base };

		rc = d->be->forward(d->dev, d->kv, &b) ? 0 : -1;
	}
	if (rc)
		fail(err, "%s", d->be->error(d->dev));
	session_truncate(&e->draft, 0);         /* its cache holds something else now */
	return rc ? -1 : 0;
}

double probe_stream(struct engine *e, size_t bytes)
{
	return e->be->stream(e->dev, bytes);
}

int probe_stages(struct engine *e, struct backend_stage out[BACKEND_STAGES_MAX])
{
	return e->be->stages(e->dev, out);
}

bool probe_counts(struct engine *e, struct backend_counts *out)
{
	if (e->be->counts)
		*out = e->be->counts(e->dev);
	return e->be->counts != NULL;
}
