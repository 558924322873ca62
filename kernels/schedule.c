/* schedule.c - see schedule.h.  No state. */
#include "kernels/schedule.h"
#include "engine/gguf/quant.h"
#include "kernels/schedule_leg.h"

struct op_stages op_stages(const struct op *op)
{
	static const struct op_stages all[] = {
		[OP_EMBED] = { STAGE_EMBED, STAGE_EMBED },
		[OP_ATTN] = { STAGE_QKV, STAGE_WO },
		[OP_MLP] = { STAGE_GATE_UP, STAGE_DOWN },
		[OP_BRIDGE] = { STAGE_EMBED, STAGE_EMBED },
		[OP_OUTPUT] = { STAGE_OUTPUT, STAGE_OUTPUT },
		[OP_ENTER] = { STAGE_EMBED, STAGE_EMBED },
		[OP_LEAVE] = { STAGE_EMBED, STAGE_EMBED },
	};

	return all[op->part];
}

static struct op *add(struct schedule *s, enum op_part part, int layer)
{
	struct op *op = &s->op[s->n++];

	*op = (struct op){ .part = part, .layer = layer, .n_group = 1, .in = { -1, 1, NORM_ATTN } };
	return op;
}

static size_t adapter_bytes(const struct bridge *g, int layer, enum stage stage)
{
	const struct adapter *a = g->adapt[layer];
	size_t bytes = 0;

	for (int i = 0; i < ADAPTS; i++)
		if (a[i].down && adapt_stage((enum adapt)i) == stage)
			bytes += a[i].down->bytes + a[i].up->bytes;
	return bytes;
}

/* Bytes of what a stage of an operation's layer multiplies by. */
static size_t stage_bytes(const struct schedule *s, const struct model *m, const struct op *op,
			  int layer, enum stage stage)
{
	struct stage_mats w = stage_mats(stage);
	size_t bytes = op->adapted ? adapter_bytes(s->bridge, layer, stage) : 0;
	int keep = stage == STAGE_GATE_UP ? op->keep_in :
		   stage == STAGE_DOWN ? op->keep_hidden : 0;

	for (int i = w.first; i < w.first + w.n; i++) {
		const struct gguf_tensor *t = m->layer[layer].mat[i];

		bytes += keep ? quant_columns((int)t->type, t->bytes, keep, t->dim[0]) : t->bytes;
	}
	return bytes;
}

/* Of n columns those that act; 0: all. */
static int acting(double part, int n)
{
	int k = (int)(part * n + 1e-9);         /* .7 of 10 are 7, whatever .7 is in binary */

	return part <= 0 || k >= n ? 0 : k < 1 ? 1 : k;
}

/* Attention or MLP of n layers. */
static void add_sub_layer(struct schedule *s, const struct model *m, const struct plan *p,
			  enum op_part part, int layer, int n)
{
	struct op *op = add(s, part, layer);

	op->n_group = n;
	op->bypass = n > 1 ? p->group.bypass : 0;
	op->released = op->bypass && p->group.released;
	op->in = (struct norm_at){ layer, n, part == OP_MLP ? NORM_FFN : NORM_ATTN };
	op->adapted = s->bridge && s->bridge->adapt && layer >= s->bridge->s;
	if (part == OP_MLP) {
		op->keep_in = acting(p->prune.in, m->cfg.n_embd);
		op->keep_hidden = acting(p->prune.hidden, m->cfg.n_ff);
	}
	if (op->keep_in || op->keep_hidden) {
		s->norms = p->prune.norms;
		s->gamma = p->prune.gamma;
		s->warm = p->prune.warm;
	}
	for (int i = op_stages(op).first; i <= (int)op_stages(op).last; i++)
		for (int l = layer; l < layer + n; l++)
			op->bytes += stage_bytes(s, m, op, l, (enum stage)i);
}

/* How many layers run together from `layer` on. */
static int group_from(const struct plan *p, int n_layers, int layer)
{
	const struct grouping *g = &p->group;
	int to = g->to < n_layers ? g->to : n_layers, n = 0, end;

	if (g->size < 2 || layer < g->from || layer >= to)
		return 1;
	end = layer + g->size - (layer - g->from) % g->size;
	while (layer + n < end && layer + n < to && !plan_has(p->skip_attn, layer + n) &&
	       !plan_has(p->skip_mlp, layer + n))
		n++;
	return n > 1 ? n : 1;
}

static void add_bridge(struct schedule *s)
{
	struct op *op = add(s, OP_BRIDGE, s->bridge->s);

	op->bytes = s->bridge->weight->bytes;
}

static void add_output(struct schedule *s, const struct model *m)
{
	const struct gguf_tensor *t = m->output;
	struct op *op = add(s, OP_OUTPUT, -1);

	op->bytes = t->bytes;
	if (s->bridge && s->bridge->vocab)
		op->bytes = t->bytes / (size_t)t->dim[1] * (size_t)s->bridge->n_vocab;
}

/* Rows enter a layer even where it adds nothing to them: they are those that the next operation
 * reads. */
static void set_kept(struct schedule *s, const struct model *m, const struct plan *p)
{
	int entered = 0;        /* layers whose entering rows have had their operation */

	for (int i = 1; p->target && i < s->n; i++) {
		struct op *op = &s->op[i];
		int to = op->part == OP_OUTPUT ? m->cfg.n_layers : op->layer + op->n_group;

		op->keep_from = entered;
		op->keep_to = entered = to;
	}
}

static uint64_t mix(uint64_t h, uint64_t v)     /* FNV-1a, a word at a time */
{
	return (h ^ v) * 0x100000001b3u;
}

static uint64_t make_id(const struct schedule *s)
{
	uint64_t h = mix(0xcbf29ce484222325u, (uint64_t)(uintptr_t)s->bridge);

	h = mix(h, (uint64_t)(uintptr_t)s->norms);
	h = mix(h, (uint64_t)(s->gamma * 1e9f) << 1 | s->warm);
	for (int i = 0; i < s->n; i++) {
		const struct op *op = &s->op[i];

		h = mix(h, (uint64_t)op->part << 32 | (uint32_t)op->layer);
		h = mix(h, (uint64_t)op->keep_from << 32 | (uint32_t)op->keep_to);
		h = mix(h, (uint64_t)op->n_group << 32 | (uint32_t)op->bypass);
		h = mix(h, (uint64_t)op->apart << 2 | (uint64_t)op->released << 1 | op->adapted);
		h = mix(h, (uint64_t)op->keep_in << 32 | (uint32_t)op->keep_hidden);
	}
	return h;
}

static bool pruned(const struct schedule *s)
{
	for (int i = 0; i < s->n; i++)
		if (s->op[i].keep_in || s->op[i].keep_hidden)
			return true;
	return false;
}

/* All that follows from the operations together. */
static void finish(struct schedule *s)
{
	for (int i = 0; i < s->n; i++) {
		s->op[i].out = i + 1 < s->n ? s->op[i + 1].in : s->op[i].out;
		s->n_group = s->op[i].n_group > s->n_group ? s->op[i].n_group : s->n_group;
	}
	s->id = make_id(s);
}

void schedule_make(struct schedule *s, const struct model *m, const struct plan *p)
{
	int n_layers = m->cfg.n_layers;

	*s = (struct schedule){ .bridge = p->bridge, .n_group = 1 };
	add(s, OP_EMBED, -1);
	for (int l = 0, n; l < n_layers; l += n) {
		if (s->bridge && l == s->bridge->a) {
			add_bridge(s);
			l = s->bridge->s;
		}
		n = group_from(p, s->bridge && l < s->bridge->a ? s->bridge->a : n_layers, l);
		if (!plan_has(p->skip_attn, l))
			add_sub_layer(s, m, p, OP_ATTN, l, n);
		if (!plan_has(p->skip_mlp, l))
			add_sub_layer(s, m, p, OP_MLP, l, n);
	}
	add_output(s, m);
	set_kept(s, m, p);
	s->whole = !s->bridge && s->n == 2 * n_layers + 2 && !pruned(s);
	finish(s);
}

/* Of a group the layers from..to-1 of it, whose matrices have their share of its bytes. */
static void add_part(struct schedule *s, const struct op *op, int from, int to)
{
	struct op *part = &s->op[s->n++];

	*part = *op;
	if (op->n_group == 1)
		return;
	part->layer = part->in.layer = from;
	part->n_group = part->in.n = to - from;
	part->bytes = op->bytes / (size_t)op->n_group * (size_t)part->n_group;
	if (part->n_group == 1) {
		part->bypass = 0;
		part->released = false;
	}
	if (op->keep_from < op->keep_to) {
		part->keep_from = from > op->layer ? from : op->keep_from;
		part->keep_to = to < op->layer + op->n_group ? to : op->keep_to;
	}
}

/* Of an operation from a layer on: those from..mid-1 are of one half, mid..to-1 of the other. */
struct stretch {
	int from, mid, to;
	enum side side;
};

static enum side side_of(const uint64_t *host, int layer)
{
	return plan_has(host, layer) ? SIDE_HOST : SIDE_OTHER;
}

static struct stretch stretch_of(const struct op *op, const uint64_t *host, int from)
{
	int end = op->layer + op->n_group;
	struct stretch t = { from, from, from, SIDE_HOST };

	if (op->part != OP_ATTN && op->part != OP_MLP) {
		t.side = op->part == OP_EMBED ? SIDE_HOST : SIDE_OTHER;
		t.mid = t.to = end;
		return t;
	}
	t.side = side_of(host, from);
	while (t.mid < end && side_of(host, t.mid) == t.side)
		t.mid++;
	t.to = t.mid;
	while (!op->bypass && t.to < end && side_of(host, t.to) != t.side)
		t.to++;
	return t;
}

static struct stretch stretch_at(const struct schedule *s, const uint64_t *host,
				 const struct leg_at *at)
{
	const struct op *op = &s->op[at->op];

	return stretch_of(op, host, at->layer > op->layer ? at->layer : op->layer);
}

/* What is there goes into the leg: of a group attention, and the MLPs that come next. */
static void take_stretch(struct leg *leg, const struct schedule *s, struct leg_at *at,
			 const struct stretch *t)
{
	const struct op *op = &s->op[at->op];
	int n = op->n_group > 1 ? 2 : 1, last = op->layer + op->n_group;

	for (int i = 0; i < n; i++, op++) {
		add_part(&leg->run[t->side], op, t->from, t->mid);
		if (t->mid < t->to)
			add_part(&leg->run[!t->side], op, t->mid, t->to);
	}
	at->op += t->to == last ? n : 0;
	at->layer = t->to == last ? 0 : t->to;
}

static void leg_begin(struct schedule *run, const struct schedule *s, const struct leg_at *at)
{
	run->whole = false;
	run->norms = s->norms;
	run->gamma = s->gamma;
	run->warm = s->warm;
	run->bridge = NULL;
	run->n_group = 1;
	run->n = 0;
	if (s->op[at->op].part != OP_EMBED)
		add(run, OP_ENTER, -1);
}

static void leg_end(struct schedule *run, const struct schedule *s, bool apart)
{
	for (int i = 0; i < run->n; i++) {
		run->op[i].apart = apart && run->op[i].layer >= 0;
		if (run->op[i].part == OP_BRIDGE)
			run->bridge = s->bridge;
	}
	if (run->op[run->n - 1].part != OP_OUTPUT)
		add(run, OP_LEAVE, -1);
	finish(run);
}

static int leg_check(const struct schedule *s, const uint64_t *host, char err[ERR_MAX])
{
	if (s->n < 1)
		return fail(err, "forward of a schedule without operations");
	for (int l = s->bridge ? s->bridge->s : MODEL_MAX_LAYERS; l < MODEL_MAX_LAYERS; l++)
		if (plan_has(host, l))
			return fail(err, "a bridge to layer %d: it and the layers behind it are to "
				    "be on one device, and %d is the cpu's", s->bridge->s, l);
	return 0;
}

int schedule_leg(const struct schedule *s, const uint64_t *host, struct leg_at *at,
		 struct leg *leg, char err[ERR_MAX])
{
	struct stretch t, next;
	bool both;

	if (!at->op && leg_check(s, host, err) != 0)
		return -1;
	next = t = stretch_at(s, host, at);
	both = t.mid < t.to;
	for (int i = 0; i < SIDES; i++) {
		leg->on[i] = both || i == (int)t.side;
		leg_begin(&leg->run[i], s, at);
	}
	do {
		take_stretch(leg, s, at, &next);
		if (at->op < s->n)
			next = stretch_at(s, host, at);
	} while (!both && at->op < s->n && next.side == t.side && next.mid == next.to);
	for (int i = 0; i < SIDES; i++)
		if (leg->on[i])
			leg_end(&leg->run[i], s, both && i == SIDE_HOST);
	return 0;
}

size_t schedule_bytes(const struct schedule *s)
{
	size_t bytes = 0;

	for (int i = 0; i < s->n; i++)
		bytes += s->op[i].bytes;
	return bytes;
}

int schedule_rows(const struct schedule *s, int n_batch)
{
	return s->n_group == 1 ? n_batch : n_batch / s->n_group / 8 * 8;
}
