/* sidecar_write.c - a sidecar to a file, as sidecar.c reads it.
 *
 * The file is as open to others as a model, as the umask has it.  Invariant: every byte is written
 * in the order of the file, and offsets are known before. */
#include "base/file.h"
#include "engine/sidecar.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ALIGN = 32, TENSORS_MAX = 2 + 2 * ADAPTS * MODEL_MAX_LAYERS };

struct named {
	char name[40];
	const struct gguf_tensor *t;
};

struct out {
	FILE *f;
	struct named *tensor;
	int n;
};

static void put(const struct out *o, const void *p, size_t n)
{
	fwrite(p, 1, n, o->f);          /* ferror tells in the end */
}

static void put_u32(const struct out *o, uint32_t v)
{
	put(o, &v, sizeof(v));
}

static void put_u64(const struct out *o, uint64_t v)
{
	put(o, &v, sizeof(v));
}

static void put_str(const struct out *o, const char *s, size_t n)
{
	put_u64(o, n);
	put(o, s, n);
}

static void put_key(const struct out *o, const char *key, enum gguf_type type)
{
	put_str(o, key, strlen(key));
	put_u32(o, type);
}

static void put_text(const struct out *o, const char *key, const char *s, size_t n)
{
	put_key(o, key, GGUF_STRING);
	put_str(o, s, n);
}

static void put_number(const struct out *o, const char *key, int v)
{
	put_key(o, key, GGUF_U32);
	put_u32(o, (uint32_t)v);
}

static void put_array(const struct out *o, const char *key, enum gguf_type type, const void *p,
		      int n)
{
	put_key(o, key, GGUF_ARRAY);
	put_u32(o, type);
	put_u64(o, (uint64_t)n);
	put(o, p, 4 * (size_t)n);
}

static void add(struct out *o, const struct gguf_tensor *t, const char *name)
{
	struct named *to = &o->tensor[o->n++];

	to->t = t;
	snprintf(to->name, sizeof(to->name), "%s", name);
}

static void list(struct out *o, const struct bridge *b, int n_layers)
{
	char name[40];

	add(o, b->weight, "bridge.weight");
	add(o, b->bias, "bridge.bias");
	for (int l = b->s; b->adapt && l < n_layers; l++)
		for (int i = 0; i < ADAPTS; i++) {
			if (!b->adapt[l][i].down)
				continue;
			snprintf(name, sizeof(name), "blk.%d.%s.down", l, sidecar_part[i]);
			add(o, b->adapt[l][i].down, name);
			snprintf(name, sizeof(name), "blk.%d.%s.up", l, sidecar_part[i]);
			add(o, b->adapt[l][i].up, name);
		}
}

static void put_keys(const struct out *o, const struct model *base, const struct bridge *b,
		     const double *expected, const char *maker)
{
	struct gguf_str name = { "", 0 };
	float chance[BRIDGE_ROWS];
	char hash[65];

	sidecar_base(base, hash);
	gguf_string(base->file, "general.name", &name);
	for (int i = 0; i < BRIDGE_ROWS; i++)
		chance[i] = (float)expected[i];
	put_text(o, "general.architecture", "s3d-sidecar", 11);
	put_text(o, "general.name", name.s, name.n);
	put_text(o, "s3d.base.sha256", hash, 64);
	put_text(o, "s3d.maker", maker, strlen(maker));
	put_number(o, "s3d.a", b->a);
	put_number(o, "s3d.s", b->s);
	put_number(o, "s3d.k", b->k);
	put_number(o, "s3d.rank", b->adapt ? b->rank : 0);
	put_array(o, "s3d.expected", GGUF_F32, chance, b->k);
	if (b->vocab)
		put_array(o, "s3d.vocabulary", GGUF_I32, b->vocab, b->n_vocab);
}

static uint64_t aligned(uint64_t n)
{
	return (n + ALIGN - 1) & ~(uint64_t)(ALIGN - 1);
}

static void put_table(const struct out *o)
{
	uint64_t at = 0;

	for (int i = 0; i < o->n; i++) {
		const struct gguf_tensor *t = o->tensor[i].t;

		put_str(o, o->tensor[i].name, strlen(o->tensor[i].name));
		put_u32(o, (uint32_t)t->n_dims);
		for (int j = 0; j < t->n_dims; j++)
			put_u64(o, (uint64_t)t->dim[j]);
		put_u32(o, t->type);
		put_u64(o, at);
		at += aligned(t->bytes);
	}
}

static void pad(const struct out *o, uint64_t n)
{
	static const char zeros[ALIGN];

	put(o, zeros, (size_t)(aligned(n) - n));
}

static void put_all(struct out *o, const struct model *base, const struct bridge *b,
		    const double *expected, const char *maker)
{
	enum { KEYS = 9 };

	list(o, b, base->cfg.n_layers);
	put(o, "GGUF", 4);
	put_u32(o, 3);
	put_u64(o, (uint64_t)o->n);
	put_u64(o, KEYS + (b->vocab != NULL));
	put_keys(o, base, b, expected, maker);
	put_table(o);
	pad(o, (uint64_t)ftell(o->f));
	for (int i = 0; i < o->n; i++) {
		put(o, o->tensor[i].t->data, o->tensor[i].t->bytes);
		pad(o, o->tensor[i].t->bytes);
	}
}

int sidecar_write(const char *path, const struct model *base, const struct bridge *b,
		  const double expected[BRIDGE_ROWS], const char *maker, char err[ERR_MAX])
{
	struct out o = { .tensor = mem_new(TENSORS_MAX, sizeof(*o.tensor), err) };
	struct file_new w;
	int rc = -1;

	if (o.tensor && file_begin(&w, path, FILE_SHARED, err) == 0) {
		o.f = w.f;
		put_all(&o, base, b, expected, maker);
		rc = file_keep(&w, err);
	}
	mem_free(o.tensor);
	return rc;
}

void sidecar_q8(const float *x, void *blocks, int64_t n)
{
	uint8_t *to = blocks;

	for (int64_t i = 0; i < n; i += 32, to += 34) {
		float most = 0;
		uint16_t scale;

		for (int j = 0; j < 32; j++)
			most = fmaxf(most, fabsf(x[i + j]));
		scale = quant_f32_to_f16(most / 127);
		memcpy(to, &scale, sizeof(scale));
		for (int j = 0; j < 32; j++)
			to[2 + j] = (uint8_t)(int8_t)(most > 0 ? lrintf(x[i + j] / (most / 127))
							       : 0);
	}
}
