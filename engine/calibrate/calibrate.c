/* calibrate.c - see calibrate.h: what fits, how long it takes, and the order of the parts.
 *
 * The model is opened twice: once with eyes on its residual rows, and once as a chat has it, to
 * weigh.  Between them the sums are solved and freed.
 * Invariant: before `begin` nothing that takes long has been done, and nothing was written. */
#include "engine/calibrate/calibrate_parts.h"
#include "base/file.h"
#include "kernels/devices/registry.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((size_t)1 << 20)
enum { OUT_ROWS = 32, LANES_LEAST = 4, LANES_FEW = 16, PASSES_LEAST = 110 };

/* ---- what is tried ---- */

static bool has(const int *v, int n, int x)
{
	for (int i = 0; i < n; i++)
		if (v[i] == x)
			return true;
	return false;
}

/* The likeliest to pay come first: shrink takes from the end. */
static int choose_shape(const struct model_config *m, struct shape *at, char err[ERR_MAX])
{
	static const double share[] = { 0.6, 0.67, 0.53, 0.73 };
	int lowest = m->n_layers;

	*at = (struct shape){ .width = m->n_embd, .n_layers = m->n_layers, .k = BRIDGE_ROWS };
	if (m->n_layers < 2)
		return fail(err, "a model of one layer has no middle that drafts could leave out");
	for (int i = 0; i < 4; i++) {
		int s = (int)lround(share[i] * m->n_layers);

		s = s < 1 ? 1 : s < m->n_layers ? s : m->n_layers - 1;
		if (!has(at->s, at->n_s, s))
			at->s[at->n_s++] = s;
		lowest = s < lowest ? s : lowest;
	}
	for (int a = 1; a <= 2 && a < lowest; a++)
		at->a[at->n_a++] = a;
	at->n_a += at->n_a == 0;
	return 0;
}

static bool shrink(struct shape *at)
{
	if (at->n_s > 2)
		at->n_s--;
	else if (at->n_a > 1)
		at->n_a--;
	else if (at->n_s > 1)
		at->n_s--;
	else if (at->k > 2)
		at->k--;
	else
		return false;
	return true;
}

static struct engine_opt engine_opts(const struct calibrate *c)
{
	struct engine_opt o = c->o->engine;

	o.n_ctx = c->context;
	o.spare_ctx = c->lanes * c->context;
	o.be.n_batch = CALIBRATE_BATCH;
	o.be.n_out = c->lanes > OUT_ROWS ? c->lanes : OUT_ROWS;
	o.strategy = "plain";
	return o;
}

struct needs {                  /* bytes */
	size_t model, lanes, sums, room, program;
};

static size_t needed(const struct calibrate *c, struct needs *n, const struct model *m, size_t kv)
{
	n->lanes = (size_t)c->lanes * kv;
	n->sums = sums_bytes(&c->shape, c->lanes + 1);
	n->room = sums_room(&c->shape) +
		  (size_t)m->cfg.n_vocab * (sizeof(long) + 16) + 4 * MIB;
	return n->model + n->lanes + n->sums + n->room + n->program;
}

/* As much as fits, and not more than bounds allow; refused if even one bridge does not. */
static int fit(struct calibrate *c, const struct model *m, bool device, struct needs *n,
	       char err[ERR_MAX])
{
	size_t most = c->o->sums_most ? c->o->sums_most : 1024 * MIB;
	size_t free = c->o->free ? c->o->free : machine_free();
	size_t kv = device ? 0 : memory_kv(m, &c->o->engine.be, memory_rows(c->context)), all;

	while (kv && c->lanes > LANES_LEAST && (size_t)c->lanes * kv > 512 * MIB)
		c->lanes--;
	while (sums_bytes(&c->shape, c->lanes + 1) > most && shrink(&c->shape))
		;
	for (;;) {
		all = needed(c, n, m, kv) - n->program;
		if (all <= free / 10 * 9)
			return 0;
		if (c->lanes > LANES_FEW)
			c->lanes = c->lanes / 2 > LANES_FEW ? c->lanes / 2 : LANES_FEW;
		else if (!shrink(&c->shape) && c->lanes <= LANES_LEAST)
			break;
		else if (c->lanes > LANES_LEAST && c->shape.k == 2)
			c->lanes = LANES_LEAST;
	}
	if (c->o->engine.force)
		return 0;
	return fail(err, "calibration needs %zu MiB even for one bridge (weights and buffers %zu, "
		    "caches %zu, sums %zu, their solution %zu), and of the %zu MiB that are free "
		    "it takes nine tenths at most; end other programs, take a smaller model, or "
		    "try it all the same with --force",
		    all / MIB, n->model / MIB, n->lanes / MIB, n->sums / MIB, n->room / MIB,
		    free / MIB);
}

/* Whether this backend takes bridges; "auto" goes on with one that does. */
static const struct backend *find_backend(struct calibrate *c, const char **name, char err[ERR_MAX])
{
	char why[ERR_MAX];
	const struct backend *be = backend_find(*name, why);

	if (!be) {
		fail(err, "%s", why);
	} else if (!be->draft) {
		if (*name && strcmp(*name, "auto") != 0) {
			fail(err, "the backend %s can not leave layers out yet; --backend cpu can",
			     be->name);
			return NULL;
		}
		calibrate_note(c, "this backend can not leave layers out yet; going on with cpu");
		be = &backend_cpu;
	}
	if (be)
		*name = be->name;
	return be;
}

/* Everything that is settled before something is loaded. */
static int plan(struct calibrate *c, const char **backend, size_t *bytes, char base[65],
		char err[ERR_MAX])
{
	struct model *m = model_open(c->o->engine.model, NULL, err);
	struct needs n = { .program = machine_taken() };
	const struct backend *be = m ? find_backend(c, backend, err) : NULL;
	struct backend_memory mem = { .work = 0 };
	struct engine_opt o;
	int rc = -1;

	c->lanes = c->o->text ? 0 : c->o->lanes ? c->o->lanes : LANES_MOST;
	c->context = CONTEXT;
	if (m && m->cfg.n_ctx_train > 0 && m->cfg.n_ctx_train < CONTEXT)
		c->context = m->cfg.n_ctx_train;
	o = engine_opts(c);
	if (be && choose_shape(&m->cfg, &c->shape, err) == 0 &&
	    (be->own_memory || be->plan(m, &o.be, c->context, &mem, err) == 0)) {
		n.model = mem.weights + mem.work + (be->own_memory ? 0 :
			  memory_kv(m, &o.be, memory_rows(c->context)));
		rc = fit(c, m, be->own_memory, &n, err);
		*bytes = needed(c, &n, m, n.lanes / (size_t)(c->lanes ? c->lanes : 1));
		sidecar_base(m, base);
	}
	model_close(m);
	return rc;
}

/* ---- how long it takes ---- */

static double pass_seconds(const struct calibrate *c, int n, char err[ERR_MAX])
{
	int tok[LANES_MOST] = { 0 };
	double best = INFINITY;

	for (int i = 0; i < 3; i++) {
		struct batch b = { .tok = tok, .n = n, .n_out = n, .run = &c->e->target.base };
		double start = clock_now();

		if (!c->e->be->forward(c->e->dev, c->e->target.kv, &b))
			return fail(err, "%s", c->e->be->error(c->e->dev));
		best = clock_now() - start < best ? clock_now() - start : best;
	}
	return best;
}

/* Factor and substitution of all bridges, cautiously. */
static double solve_seconds(const struct shape *at)
{
	double n = BRIDGE_PARTS * at->width, each = n * n * n / 3 / 2e9;

	return at->n_a * at->n_s * (each + 2 * n * n * at->k * at->width / 2e10);
}

static int set_times(struct calibrate *c, char err[ERR_MAX])
{
	double one = pass_seconds(c, 1, err), some = one < 0 ? -1 : pass_seconds(c, 32, err);
	double lanes = some * (c->lanes > 8 ? c->lanes : 8) / 32, weigh, solve, least;

	if (some < 0)
		return -1;
	c->all_s = c->o->minutes * 60;
	weigh = weigh_seconds(&c->shape, one, some);
	solve = solve_seconds(&c->shape);
	least = solve + 0.12 * weigh + (c->o->text ? 8 : PASSES_LEAST) * lanes;
	weigh = weigh < 0.25 * c->all_s ? weigh : 0.25 * c->all_s;
	if (c->all_s < 1.1 * least + 1)
		c->all_s = 1.1 * least + 1;
	c->end = c->start + c->all_s - 1.2 * (weigh + solve);
	return 0;
}

/* ---- the parts in order ---- */

static int thread_count(const struct calibrate *c)
{
	char note[ERR_MAX];

	return backend_threads(c->o->engine.be.n_threads, note);
}

static int open_state(struct calibrate *c, const char base[65], char err[ERR_MAX])
{
	char *path = NULL, note[ERR_MAX];

	if (asprintf(&path, "%s.part", c->o->out) < 0)
		return fail(err, "out of memory");
	c->state = state_open(path, c->o->text ? NULL : base, c->e->model->cfg.n_vocab, c->context,
			      note, err);
	free(path);
	if (!c->state)
		return -1;
	if (*note)
		calibrate_note(c, note);
	return 0;
}

int calibrate_check_out(const char *out, char err[ERR_MAX])
{
	struct file_new w;

	if (file_begin(&w, out, FILE_SHARED, err) != 0)
		return -1;
	file_drop(&w);
	return 0;
}

static int open_first(struct calibrate *c, struct engine_opt *o, char err[ERR_MAX])
{
	c->sums = sums_open(&c->shape, c->lanes + 1, CALIBRATE_BATCH, thread_count(c), err);
	if (!c->sums)
		return -1;
	o->be.watch = sums_watch;
	o->be.watch_ctx = c->sums;
	c->e = engine_open(o, err);
	if (!c->e)
		return -1;
	if (*c->e->notes[NOTE_THREADS])
		calibrate_note(c, c->e->notes[NOTE_THREADS]);
	c->count = mem_new((size_t)c->e->model->cfg.n_vocab, sizeof(*c->count), err);
	return c->count ? 0 : -1;
}

static int solve_all(struct calibrate *c, char err[ERR_MAX])
{
	const struct shape *at = &c->shape;

	for (int i = 0; i < at->n_a * at->n_s; i++) {
		if (calibrate_stop(c))
			return 1;
		calibrate_tell(c, -1, "solving");
		c->r->n = i + 1;
		if (sums_solve(c->sums, i % at->n_a, i / at->n_a, &c->built[i], NULL,
			       err) != 0)
			return -1;
	}
	return 0;
}

/* The model as a chat has it. */
static int open_again(struct calibrate *c, struct engine_opt *o, char err[ERR_MAX])
{
	sums_close(c->sums);
	engine_close(c->e);
	c->sums = NULL;
	o->be.watch = NULL;
	o->spare_ctx = 0;
	o->be.n_out = OUT_ROWS;
	c->e = engine_open(o, err);
	c->weighs = clock_now();
	return c->e ? 0 : -1;
}

static int write_chosen(struct calibrate *c, char err[ERR_MAX])
{
	struct built *b = &c->built[c->r->chosen];
	const struct calibrate_row *r = &c->r->row[c->r->chosen];
	int rows = r->best * c->shape.width;

	b->weight.bytes = b->weight.bytes / (size_t)b->weight.dim[1] * (size_t)rows;
	b->weight.dim[1] = b->bias.dim[0] = rows;
	b->bias.bytes = (size_t)rows * sizeof(float);
	b->g.k = r->best;
	return sidecar_write(c->o->out, c->e->model, &b->g, r->run, "s3dchat calibrate "
			     S3D_VERSION, err);
}

static int run(struct calibrate *c, char err[ERR_MAX])
{
	struct engine_opt engine;
	const char *backend = c->o->engine.backend;
	char base[65];
	size_t bytes = 0;
	int rc;

	if (calibrate_check_out(c->o->out, err) != 0 || plan(c, &backend, &bytes, base, err) != 0)
		return -1;
	engine = engine_opts(c);
	engine.backend = backend;
	if (open_first(c, &engine, err) != 0 || open_state(c, base, err) != 0 ||
	    set_times(c, err) != 0)
		return -1;
	if (c->o->begin)
		c->o->begin(c->o->ctx, c->all_s, bytes);
	rc = c->o->text ? corpus_run(c, err) : dialog_run(c, err);
	c->r->text_s = clock_now() - c->start;
	c->r->sums_s = sums_seconds(c->sums);
	c->r->rows = sums_rows(c->sums);
	c->r->held = c->held_tokens;
	c->r->n_layers = c->shape.n_layers;
	if (rc == 0 && (!c->n_held || !c->r->rows))
		rc = fail(err, "the text is too short to calibrate with");
	rc = rc ? rc : solve_all(c, err);
	c->r->solve_s = clock_now() - c->start - c->r->text_s;
	rc = rc ? rc : open_again(c, &engine, err);
	rc = rc ? rc : weigh_run(c, err);
	c->r->vocab = c->n_vocab;
	return rc ? rc : write_chosen(c, err);
}

int calibrate_run(const struct calibrate_opt *o, struct calibrate_result *r, char err[ERR_MAX])
{
	struct calibrate *c = mem_new(1, sizeof(*c), err);
	int rc;

	if (!c)
		return -1;
	*r = (struct calibrate_result){ .n = 0 };
	c->o = o;
	c->r = r;
	c->start = clock_now();
	rc = run(c, err);
	r->seconds = clock_now() - c->start;
	for (int i = 0; i < r->n; i++)
		built_free(&c->built[i]);
	for (int i = 0; i < c->n_held; i++)
		mem_free(c->held[i].ids);
	r->kept = state_kept(c->state);
	state_close(c->state, rc == 0);
	sums_close(c->sums);
	engine_close(c->e);
	mem_free(c->count);
	mem_free(c->vocab);
	mem_free(c);
	return rc;
}
