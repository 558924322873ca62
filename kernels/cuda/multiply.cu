/* multiply.cu - products of a stage's layers: one, or those of a group together, with what acts
 * beside them, and what joins them.
 *
 * No state.  Invariant: what a stage queues depends on the step and the operation alone. */
#include "kernels/cuda/dev_api.cuh"
#include "kernels/cuda/op/post.cuh"
#include "kernels/cuda/op/prompt.cuh"

void step_rows(struct step *s, int n)
{
	s->n = n;
	s->apart = (n + COLUMNS - 1) / COLUMNS * COLUMNS;
}

/* Weights of the i-th of some norms. */
const float *norm_weights(const struct dev *d, struct norm_at at, int i)
{
	return at.layer < 0 ? d->norm : d->layer[at.layer + i].norm[at.which];
}

/* Rows of activations from `row` on. */
struct act act_from(struct act a, int row)
{
	a.q += (size_t)row * (size_t)a.ld;
	a.f += (size_t)row * (size_t)a.k;
	return a;
}

/* What comes of the residual stream when it has got all of what an operation makes: the inputs of
 * the next one, which may be a group's. */
struct join join_before(const struct step *s, struct norm_at next)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	struct join j = {};

	j.made = d->made;
	j.eps = c->norm_eps;
	j.scale = c->residual_scale;
	j.x = d->x;
	j.width = c->n_embd;
	j.apart = s->apart;
	j.n_out = next.n;
	for (int i = 0; i < next.n; i++)
		j.w[i] = norm_weights(d, next, i);
	j.out = d->in;
	j.squares = d->squares;
	j.ticket = d->ticket;
	return j;
}

/* Tiles of the matrices behind each other. */
static void count_tiles(struct product *p)
{
	for (int i = 0; i < p->n_mats; i++)
		p->first[i + 1] = p->first[i] + (p->m[i].rows + TILE - 1) / TILE;
	if (p->kind == FINISH_GATE_UP)
		p->first[1] = (p->m[0].rows + TILE - 1) / TILE;
}

int multiply(struct dev *d, struct product *p, const char *doing)
{
	count_tiles(p);
	if (p->n > FEW_ROWS && d->blas && !d->blas_failed)
		return prompt_product(d, p);
	return dev_check(d, product_few(p, d->stream), doing);
}

/* The matrices that a stage of a layer multiplies by. */
void take_mats(struct product *p, const struct cuda_layer *w, enum stage stage)
{
	struct stage_mats from = stage_mats(stage);

	p->n_mats = from.n;
	for (int i = 0; i < from.n; i++)
		p->m[i] = w->mat[from.first + i];
}

/* Of the layers of a group together, and joined if g->join asks for that; prompts one after the
 * other. */
int multiply_group(const struct step *s, struct products *g, const char *doing)
{
	struct dev *d = s->d;

	if (g->n == 1 && !g->join.n_group)
		return multiply(d, &g->p[0], doing);
	for (int i = 0; i < g->n; i++) {
		count_tiles(&g->p[i]);
		if (s->n > FEW_ROWS && multiply(d, &g->p[i], doing) != 0)
			return -1;
	}
	if (s->n <= FEW_ROWS)
		return dev_check(d, product_group(g, d->stream), doing);
	return g->join.n_group ? dev_check(d, post_run(&g->join, s->n, d->stream), doing) : 0;
}

/* What acts in a pass over a bridge beside the matrices of products, which are all known but for
 * this: their rows get up (down in) more.  A layer whose stage has no adapter goes without. */
int adapt(const struct step *s, const struct op *op, enum adapt which, struct products *g)
{
	struct dev *d = s->d;
	struct products low = {}, up = {};

	for (int i = 0; i < g->n; i++) {
		const struct cuda_adapter *a = adapter_of(d, op, op->layer + i, which);
		struct product *p = &g->p[i], *l = &low.p[low.n], *u = &up.p[up.n];
		int row = low.n * BRIDGE_ROWS;

		if (!a)
			continue;
		low.n++;
		up.n++;
		l->kind = FINISH_LOW;
		l->n_mats = 1;
		l->m[0] = a->down;
		l->n = p->n;
		l->row0 = p->row0;
		l->in = p->in;
		l->norm = p->norm;
		l->out = act_from(d->cross.low, row);
		u->kind = FINISH_FLOATS;
		u->n_mats = 1;
		u->m[0] = a->up;
		u->n = p->n;
		u->row0 = row;
		u->in = d->cross.low;
		u->y = d->cross.up + (size_t)row * (size_t)a->up.rows;
		u->ld = a->up.rows;
		p->add = u->y;
		p->ld_add = a->up.rows;
	}
	if (!low.n)
		return 0;
	return multiply_group(s, &low, "an adapter") ||
	       multiply_group(s, &up, "an adapter") ? -1 : 0;
}
