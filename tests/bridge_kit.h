/* bridge_kit.h - bridges of random numbers for tests: small enough that what crosses is like what
 * the layers are used to.
 *
 * struct crossing owns the tensors' bytes. */
#ifndef S3D_BRIDGE_KIT_H
#define S3D_BRIDGE_KIT_H
#include "tests/forward_kit.h"

enum { ROWS = BRIDGE_ROWS, RANK = 32, TENSORS_MAX = 2 + 2 * ADAPTS * 8 };

struct crossing {
	struct bridge g;
	struct plan p;
	struct gguf_tensor t[TENSORS_MAX];
	int n;
	struct adapter adapt[8][ADAPTS];
};

/* A hundred codes and a scale, or numbers: mean square `size` squared / 3. */
static inline const struct gguf_tensor *random_tensor(struct crossing *x, enum quant_type type,
						      int rows, int cols, float size)
{
	struct gguf_tensor *t = &x->t[x->n++];
	size_t n = (size_t)rows * (size_t)cols, bytes = quant_bytes(quant_info((int)type),
								    (int64_t)n);
	uint8_t *data = malloc(bytes);

	assert_true(x->n <= TENSORS_MAX);
	for (size_t i = 0; i < n; i++) {
		float v = (float)(rand() % 2001 - 1000) / 1000.0f * size;
		uint16_t h = quant_f32_to_f16(type == QUANT_Q8_0 ? size / 100 : v);

		if (type == QUANT_F32)
			memcpy(data + 4 * i, &v, 4);
		else if (type == QUANT_F16)
			memcpy(data + 2 * i, &h, 2);
		else if (i % 32 == 0)
			memcpy(data + i / 32 * 34, &h, 2);
		if (type == QUANT_Q8_0)
			data[i / 32 * 34 + 2 + i % 32] = (uint8_t)(rand() % 201 - 100);
	}
	*t = (struct gguf_tensor){ .type = type, .n_dims = rows == 1 ? 1 : 2, .data = data,
				   .dim = { cols, rows, 1, 1 }, .bytes = bytes };
	return t;
}

static inline void make_adapters(struct crossing *x, const struct model_config *c,
				 enum quant_type type)
{
	for (int l = x->g.s; l < c->n_layers; l++)
		for (int i = 0; i < ADAPTS; i++) {
			enum adapt which = (enum adapt)i;
			int in = adapt_in(c, which);

			if (l == x->g.s && which == ADAPT_OUT)
				continue;       /* one is missing */
			x->adapt[l][i].down = random_tensor(x, type, RANK, in,
							    1 / sqrtf((float)in));
			x->adapt[l][i].up = random_tensor(x, type, adapt_out(c, which), RANK,
							  0.3f);
		}
	x->g.rank = RANK;
	x->g.adapt = x->adapt;
}

/* For the device and cache of the rig, which keep it until the next one. */
static inline void make_bridge(struct crossing *x, struct rig *r, int a, int s,
			       enum quant_type type, bool adapters)
{
	const struct model_config *c = &r->m->cfg;
	int width = c->n_embd, fed[] = { s, c->n_layers - 1 }, in = BRIDGE_PARTS * width;
	char err[ERR_MAX];

	*x = (struct crossing){ .g = { .a = a, .s = s, .k = ROWS } };
	x->g.weight = random_tensor(x, type, ROWS * width, in, 1.7f / sqrtf((float)in));
	x->g.bias = random_tensor(x, QUANT_F32, 1, ROWS * width, 0.1f);
	x->p = (struct plan){ .bridge = &x->g };
	if (adapters)
		make_adapters(x, c, type);
	if (r->be->kv_keep(r->kv, fed, 2, err) != 0 || r->be->bridge(r->d, &x->g, err) != 0)
		fail_msg("%s", err);
}

static inline void free_bridge(struct crossing *x)
{
	for (int i = 0; i < x->n; i++)
		free((void *)(uintptr_t)x->t[i].data);
}

/* Copies of all logits of n rows behind the bridge, for tokens[pos]. */
static inline float *cross_rows(struct rig *r, const struct crossing *x, int pos, int rows)
{
	struct batch b = { .tok = tokens + pos, .n = 1, .pos = pos, .plan = &x->p, .n_out = rows };
	const float *l = r->be->forward(r->d, r->kv, &b);
	int n = x->g.vocab ? x->g.n_vocab : r->m->cfg.n_out;
	float *copy = malloc((size_t)(rows * n) * sizeof(*copy));

	if (!l)
		fail_msg("%s", r->be->error(r->d));
	for (int i = 0; i < rows; i++) {
		check_peaks(row_at(l, n, i), n);
		memcpy(copy + (size_t)i * (size_t)n, row_at(l, n, i), (size_t)n * sizeof(*copy));
	}
	return copy;
}

static inline float *cross(struct rig *r, const struct crossing *x, int pos)
{
	return cross_rows(r, x, pos, ROWS);
}
#endif
