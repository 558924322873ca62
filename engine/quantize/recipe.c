/* recipe.c - see recipe.h. */
#include "engine/quantize/recipe.h"

#include <string.h>
#include <strings.h>

const struct recipe *recipe_find(const char *name)
{
#define X(name_, type_, number) { .name = (name_), .type = QUANT_##type_, .file_type = (number) },
	static const struct recipe all[] = { RECIPES(X) };
#undef X

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!strcasecmp(all[i].name, name))
			return &all[i];
	return NULL;
}

static bool has(const struct gguf_str *name, const char *part)
{
	return memmem(name->s, name->n, part, strlen(part)) != NULL;
}

/* Matrices that all activations of a layer go through; not norms, convolutions, routers or small
 * tables, whose rounding costs more than their bytes. */
static bool is_matrix(const struct gguf_tensor *t)
{
	static const char *const small[] = {
		"_norm.weight", "ffn_gate_inp.weight", "altup", "laurel", "per_layer_model_proj",
		"ssm_conv1d", "shortconv.conv.weight", "position_embd", "token_types",
	};

	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++)
		if (has(&t->name, small[i]))
			return false;
	return t->n_dims >= 2 && t->name.n > 6 && !memcmp(t->name.s + t->name.n - 6, "weight", 6);
}

/* The layer in "blk.N.REST"; -1: none.  *rest: where REST begins. */
static int layer_of(const struct gguf_str *name, size_t *rest)
{
	int layer = 0;
	size_t i = 4;

	if (name->n < 6 || memcmp(name->s, "blk.", 4))
		return -1;
	for (; i < name->n && name->s[i] >= '0' && name->s[i] <= '9' && layer < 100000; i++)
		layer = layer * 10 + name->s[i] - '0';
	*rest = i;
	return layer;
}

/* How many tensors of that name lower layers have, and how many there are at all. */
static void place_of(const struct gguf *file, const struct gguf_str *name, int *place, int *all)
{
	size_t rest = 0, r;
	int layer = layer_of(name, &rest), other;

	*place = *all = 0;
	for (int64_t i = 0; i < gguf_n_tensors(file); i++) {
		struct gguf_str n = gguf_tensor_at(file, i)->name;

		other = layer_of(&n, &r);
		if (other < 0 || n.n - r != name->n - rest ||
		    memcmp(n.s + r, name->s + rest, n.n - r))
			continue;
		*all += 1;
		*place += other < layer;
	}
}

/* The first and the last eighth of the layers, and every third between them. */
static bool more_bits(int place, int all)
{
	return place < all / 8 || place >= 7 * all / 8 || (place - all / 8) % 3 == 2;
}

static enum quant_type output_type(enum quant_type type, const struct gguf_tensor *t)
{
	if (t->dim[0] % quant_info((int)type)->block || type == QUANT_Q8_0)
		return QUANT_Q8_0;
	return QUANT_Q6_K;
}

/* Values suffer most; with many heads for each of keys and values they are a small matrix. */
static enum quant_type values_type(const struct recipe_file *f, enum quant_type type, bool more)
{
	if (type == QUANT_IQ4_NL && f->gqa >= 4)
		return QUANT_Q5_K;
	if ((type == QUANT_Q4_K || type == QUANT_Q5_K) && more)
		return QUANT_Q6_K;
	if (type == QUANT_Q4_K && f->n_layers == 80 && f->gqa > 1)
		return QUANT_Q5_K;
	return type;
}

static enum quant_type down_type(const struct recipe_file *f, enum quant_type type, int place,
				 int all)
{
	bool first = place < all / 8;

	if ((type == QUANT_Q4_K || type == QUANT_Q5_K) && more_bits(place, all))
		return QUANT_Q6_K;
	if (type == QUANT_IQ4_NL && first && !f->measured)
		return QUANT_Q5_K;
	return type == QUANT_Q4_0 && first && f->measured ? QUANT_Q4_1 : type;
}

static enum quant_type layer_type(const struct recipe_file *f, enum quant_type type,
				  const struct gguf_tensor *t)
{
	int place, all;

	place_of(f->file, &t->name, &place, &all);
	if (has(&t->name, "attn_v.weight"))
		return values_type(f, type, more_bits(place, all));
	if (has(&t->name, "ffn_down.weight"))
		return down_type(f, type, place, all);
	if (has(&t->name, "attn_qkv.weight") && type == QUANT_Q4_K)
		return QUANT_Q5_K;
	return has(&t->name, "attn_qkv.weight") && type == QUANT_Q5_K ? QUANT_Q6_K : type;
}

enum quant_type recipe_type(const struct recipe *r, const struct recipe_file *f,
			    const struct gguf_tensor *t)
{
	bool embeddings = gguf_str_is(t->name, "token_embd.weight");
	enum quant_type type = r->type;

	if (!is_matrix(t))
		return t->type;
	if (type_facts(type).kind == TYPE_FLOAT)
		return type;
	if (gguf_str_is(t->name, "output.weight") || (f->tied && embeddings))
		type = output_type(type, t);
	else if (!embeddings)
		type = layer_type(f, type, t);
	if (t->dim[0] % quant_info((int)type)->block)
		type = type_facts(type).instead;
	return t->dim[0] % quant_info((int)type)->block ? QUANT_F16 : type;
}
