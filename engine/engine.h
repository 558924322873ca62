/* engine.h - the public door: a model opened for answering.
 *
 * Owns model, tokenizer, device, session, sampler and the running strategy.  One thread uses an
 * engine at a time.  A turn: engine_prompt, engine_prefill until 0, engine_step until done. */
#ifndef S3D_ENGINE_H
#define S3D_ENGINE_H
#include "engine/approx/pruning.h"
#include "engine/place/memory.h"
#include "engine/sidecar/sidecar.h"
#include "engine/strategy/strategies.h"
#include "engine/frame/template.h"
#include "engine/text/tokenizer.h"

struct engine_opt {
	const char *model;              /* path */
	const char *model_draft;        /* path of a little model, or NULL */
	const char *sidecar;            /* path, or NULL: none */
	const char *backend;            /* NULL or "auto": the best; "cpu", "cuda" */
	const char *strategy;           /* NULL or "": STRATEGY_DEFAULT; "plain" when its little
					 * model fails that it needs */
	const char *self_skip;          /* see skip.h; NULL: "auto" */
	const char *cqil;               /* see grouping.h; NULL: "off" */
	const char *cqil_draft;         /* of drafts by the model itself; NULL, "": the same */
	bool cqil_released;
	const char *cqil_file;          /* path of what "auto" takes there, or NULL: none */
	struct dip_opt dip;
	const char *dip_draft;          /* of drafts by the model itself; NULL, "": the same */
	const char *chat_template;      /* NULL: by fingerprint */
	int n_ctx;                      /* 0: the model's own, at most 4096 */
	int spare_ctx;                  /* positions of caches that the caller will add */
	/* A backend with memory of its own: gpu_layers counts, the layers whose weights may be
	 * there; and be.budget, 0: what is free there, less a margin. */
	bool limit_layers;
	int gpu_layers;
	enum { HOST_BUS, HOST_CPU, HOST_AUTO } host;    /* who reads the others: the gpu over the
				 * bus, the cpu (split.h), or the faster one (host_speed.h) */
	const char *host_file;          /* path of what was measured for that, or NULL */
	size_t free;                    /* host memory that may be taken; 0: what there is */
	bool force;                     /* load what does not fit into it, with a note */
	void (*planned)(void *ctx, const struct memory_plan *); /* before weights load, or NULL */
	void *planned_ctx;
	struct backend_opt be;
};

/* Threads that are too many, of the little model (draft_compat_note), why the strategy is plain,
 * why the cpu computes though a better backend is there, what is odd about the model file, that it
 * does not fit into memory, a context that the model does not know, that "auto" found no groups, or
 * not which way to layers is faster, that pruned MLPs read all columns. */
enum engine_note { NOTE_THREADS, NOTE_DRAFT, NOTE_STRATEGY, NOTE_BACKEND, NOTE_MODEL,
	NOTE_MEMORY, NOTE_CONTEXT, NOTE_GROUPS, NOTE_LAYERS, NOTE_COLUMNS, NOTES };

struct engine {
	struct model *model;
	struct tokenizer *tok;
	const struct template *tmpl;    /* NULL: the file has none that is known */
	char tmpl_err[ERR_MAX];         /* why tmpl is NULL */
	const struct backend *be;
	char be_err[ERR_MAX];           /* why "auto" is not a better one; "": nothing to say */
	struct dev *dev;
	struct session target;
	struct grouping group;          /* its layers', see plan.h */
	struct grouping draft_group;    /* in drafts that the model makes itself */
	bool drafts_apart;              /* these are not the target's */
	struct dip dip, draft_dip;
	bool dip_apart;                 /* the latter is not the former */
	struct column_norms *norms;     /* that they weigh by; NULL: nobody has asked */
	char *cqil_file;                /* what "auto" takes; NULL: none */
	struct memory_plan plan;
	struct model *draft_model;      /* NULL: no little model, and draft_err says why if asked */
	struct dev *draft_dev;
	struct session draft;
	char draft_err[ERR_MAX];
	struct sidecar *sidecar;        /* NULL: none, and sidecar_err says why if asked */
	struct schedule bridged;        /* over its bridge */
	char sidecar_err[ERR_MAX];
	char notes[NOTES][ERR_MAX];     /* what works otherwise than asked; "": nothing */
	struct skip skip;               /* what strategy self leaves out */
	struct cost cost;               /* of all answers so far */
	struct strat strat;             /* .law, .opt and .stats are the caller's to set and read */
	struct halt halt;               /* the caller's to set: .asked ends engine_prefill early */
	double load_s;
};

struct engine *engine_open(const struct engine_opt *, char err[ERR_MAX]);
void engine_close(struct engine *);
/* A pass has failed on a backend that can lose its device: this engine is only good for closing,
 * the cpu backend can go on. */
bool engine_lost(const struct engine *);
/* Another sidecar, or the first one: between steps.  When it fails the one before stays in use. */
int engine_sidecar(struct engine *, const char *path, char err[ERR_MAX]);
/* Another chat frame, by name (NULL: by fingerprint); tmpl_err when that cannot be used. */
void engine_template(struct engine *, const char *name);
/* Other groups of layers (see grouping.h), or none: between steps.  The text so far is read again.
 * When it fails all stays as it was. */
int engine_group(struct engine *, const char *spec, bool released, char err[ERR_MAX]);
/* Other MLPs read less, or all again: likewise. */
int engine_prune(struct engine *, const struct dip_opt *, char err[ERR_MAX]);
/* What is written now is what the model itself would write. */
bool engine_exact(const struct engine *);
/* Between steps; when it fails the strategy before goes on. */
int engine_strategy(struct engine *, const char *name, char err[ERR_MAX]);

/* The context becomes ids[0..n-1]; refuses when it does not leave room for one token. */
int engine_prompt(struct engine *, const int *ids, int n, char err[ERR_MAX]);
/* Runs a piece of the prompt; returns the tokens still to run (0: ready), -1 on error.  A halt that
 * is asked for meanwhile comes soon; another call goes on where the last whole piece ended. */
int engine_prefill(struct engine *, char err[ERR_MAX]);
/* One step.  Returns the tokens emitted (cut after the first end-of-turn token and at limit,
 * limit >= 1), -1 on error.  *done: end of turn was emitted (it is the last in out). When the
 * context is full 0 is returned. */
int engine_step(struct engine *, int limit, struct emit out[STEP_MAX], bool *done,
		char err[ERR_MAX]);
/* Between answers, while nothing is asked: a small piece of what the strategy may find out then,
 * which changes no answer.  1: there is more, 0: there is none, -1 on error. */
int engine_idle(struct engine *, char err[ERR_MAX]);
#endif
