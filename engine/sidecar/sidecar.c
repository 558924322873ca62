/* sidecar.c - see sidecar.h: reading one, and what names a model.
 *
 * Invariant: nothing of the file is believed before bridge_fits has seen it, and no name before the
 * hash. */
#include "engine/sidecar/sidecar.h"
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>

enum { SAMPLE = 4096 };         /* bytes of each end of a tensor */
const char *const sidecar_part[ADAPTS] = { "qkv", "out", "gate_up", "down" };

static void hash_u32(struct sha256_ctx *c, uint32_t v)
{
	const uint8_t b[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16),
			       (uint8_t)(v >> 24) };

	sha256_update(c, sizeof(b), b);
}

static void hash_tensor(struct sha256_ctx *c, const struct gguf_tensor *t)
{
	size_t n = t->bytes < SAMPLE ? t->bytes : SAMPLE;

	sha256_update(c, t->name.n, (const uint8_t *)t->name.s);
	sha256_update(c, 1, (const uint8_t *)"");
	hash_u32(c, t->type);
	hash_u32(c, (uint32_t)t->n_dims);
	for (int i = 0; i < t->n_dims; i++) {
		hash_u32(c, (uint32_t)t->dim[i]);
		hash_u32(c, (uint32_t)((uint64_t)t->dim[i] >> 32));
	}
	sha256_update(c, n, t->data);
	sha256_update(c, n, (const uint8_t *)t->data + t->bytes - n);
}

void sidecar_base(const struct model *m, char hex[65])
{
	struct sha256_ctx c;
	uint8_t digest[SHA256_DIGEST_SIZE];

	sha256_init(&c);
	for (int64_t i = 0; i < gguf_n_tensors(m->file); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(m->file, i);

		hash_tensor(&c, t);
		gguf_drop(m->file, t->data, t->bytes);
	}
	sha256_digest(&c, sizeof(digest), digest);
	for (int i = 0; i < SHA256_DIGEST_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

static bool is(struct gguf_str s, const char *what)
{
	return s.n == strlen(what) && !memcmp(s.s, what, s.n);
}

static int check_base(const struct gguf *g, const struct model *base, char err[ERR_MAX])
{
	struct gguf_str arch = { "", 0 }, want = { "", 0 }, name = { "?", 1 };
	char have[65];

	if (!gguf_string(g, "general.architecture", &arch) || !is(arch, "s3d-sidecar"))
		return fail(err, "%s is not a sidecar: its general.architecture is '%.*s', not "
			    "'s3d-sidecar'", gguf_path(g), (int)arch.n, arch.s);
	if (!gguf_string(g, "s3d.base.sha256", &want) || want.n != 64)
		return fail(err, "%s: s3d.base.sha256 is not the 64 digits of a SHA-256",
			    gguf_path(g));
	sidecar_base(base, have);
	gguf_string(g, "general.name", &name);
	if (!is(want, have))
		return fail(err, "%s was made for another model ('%.*s', %.12s...), and this is "
			    "%.12s...; 's3dchat calibrate -m FILE' makes one for this",
			    gguf_path(g), (int)name.n, name.s, want.s, have);
	return 0;
}

static bool small(const struct gguf *g, const char *key, int *out)
{
	int64_t v = -1;

	if (!gguf_int(g, key, &v) || v < 0 || v > 1 << 20)
		return false;
	*out = (int)v;
	return true;
}

static int read_vocabulary(struct sidecar *s, char err[ERR_MAX])
{
	enum gguf_type type;
	int64_t n;

	if (!gguf_has(s->file, "s3d.vocabulary"))
		return 0;
	if (!gguf_array(s->file, "s3d.vocabulary", &type, &n) || type != GGUF_I32 || n < 1 ||
	    n > 1 << 20)
		return fail(err, "%s: s3d.vocabulary is not an array of whole numbers",
			    gguf_path(s->file));
	s->vocab = mem_new((size_t)n, sizeof(*s->vocab), err);
	if (!s->vocab)
		return -1;
	for (int64_t i = 0; i < n; i++)
		s->vocab[i] = (int)gguf_array_int(s->file, "s3d.vocabulary", i);
	s->bridge.vocab = s->vocab;
	s->bridge.n_vocab = (int)n;
	return 0;
}

static int read_adapters(struct sidecar *s, int n_layers, char err[ERR_MAX])
{
	if (!small(s->file, "s3d.rank", &s->bridge.rank) || !s->bridge.rank)
		return 0;
	s->adapt = mem_new((size_t)n_layers, sizeof(*s->adapt), err);
	if (!s->adapt)
		return -1;
	for (int l = 0; l < n_layers; l++)
		for (int i = 0; i < ADAPTS; i++) {
			char name[64];
			int end = snprintf(name, sizeof(name), "blk.%d.%s.", l, sidecar_part[i]);

			snprintf(name + end, 8, "down");
			s->adapt[l][i].down = gguf_tensor_find(s->file, name);
			snprintf(name + end, 8, "up");
			s->adapt[l][i].up = gguf_tensor_find(s->file, name);
		}
	s->bridge.adapt = s->adapt;
	return 0;
}

static void read_expected(struct sidecar *s)
{
	enum gguf_type type;
	int64_t n = 0;

	if (!gguf_array(s->file, "s3d.expected", &type, &n) || type != GGUF_F32)
		return;
	for (int i = 0; i < BRIDGE_ROWS && i < n; i++) {
		double v = gguf_array_float(s->file, "s3d.expected", i);

		s->expected[i] = v > 0 && v <= 1 ? v : 0;
	}
}

static int bind(struct sidecar *s, const struct model *base, char err[ERR_MAX])
{
	char why[ERR_MAX];
	struct bridge *b = &s->bridge;

	if (check_base(s->file, base, err) != 0)
		return -1;
	if (!small(s->file, "s3d.a", &b->a) || !small(s->file, "s3d.s", &b->s) ||
	    !small(s->file, "s3d.k", &b->k))
		return fail(err, "%s: one of s3d.a, s3d.s and s3d.k is missing or no small number",
			    gguf_path(s->file));
	b->weight = gguf_tensor_find(s->file, "bridge.weight");
	b->bias = gguf_tensor_find(s->file, "bridge.bias");
	if (read_vocabulary(s, err) != 0 || read_adapters(s, base->cfg.n_layers, err) != 0)
		return -1;
	read_expected(s);
	if (bridge_fits(&base->cfg, b, why) != 0)
		return fail(err, "%s: %s", gguf_path(s->file), why);
	return 0;
}

struct sidecar *sidecar_open(const char *path, const struct model *base, char err[ERR_MAX])
{
	struct sidecar *s = mem_new(1, sizeof(*s), err);

	if (!s)
		return NULL;
	s->file = gguf_open(path, err);
	if (s->file && bind(s, base, err) == 0)
		return s;
	sidecar_close(s);
	return NULL;
}

void sidecar_close(struct sidecar *s)
{
	if (!s)
		return;
	mem_free(s->vocab);
	mem_free(s->adapt);
	gguf_close(s->file);
	mem_free(s);
}
