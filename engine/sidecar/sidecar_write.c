/* sidecar_write.c - a sidecar to a file, as sidecar.c reads it.
 *
 * The file is as open to others as a model, as the umask has it. */
#include "base/file.h"
#include "engine/gguf/gguf_write.h"
#include "engine/sidecar/sidecar.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static void put_tensor(struct gguf_writer *w, const struct gguf_tensor *from, const char *name)
{
	struct gguf_tensor t = *from;

	t.name = (struct gguf_str){ name, strlen(name) };
	gguf_put_tensor(w, &t);
}

static void put_tensors(struct gguf_writer *w, const struct bridge *b, int n_layers)
{
	char name[40];

	put_tensor(w, b->weight, "bridge.weight");
	put_tensor(w, b->bias, "bridge.bias");
	for (int l = b->s; b->adapt && l < n_layers; l++)
		for (int i = 0; i < ADAPTS; i++) {
			if (!b->adapt[l][i].down)
				continue;
			snprintf(name, sizeof(name), "blk.%d.%s.down", l, sidecar_part[i]);
			put_tensor(w, b->adapt[l][i].down, name);
			snprintf(name, sizeof(name), "blk.%d.%s.up", l, sidecar_part[i]);
			put_tensor(w, b->adapt[l][i].up, name);
		}
}

static void put_keys(struct gguf_writer *w, const struct model *base, const struct bridge *b,
		     const double *expected, const char *maker)
{
	struct gguf_str name = { "", 0 };
	float chance[BRIDGE_ROWS];
	char hash[65];

	sidecar_base(base, hash);
	gguf_string(base->file, "general.name", &name);
	for (int i = 0; i < BRIDGE_ROWS; i++)
		chance[i] = (float)expected[i];
	gguf_put_text(w, "general.architecture", "s3d-sidecar");
	gguf_put_string(w, "general.name", name);
	gguf_put_text(w, "s3d.base.sha256", hash);
	gguf_put_text(w, "s3d.maker", maker);
	gguf_put_u32(w, "s3d.a", (uint32_t)b->a);
	gguf_put_u32(w, "s3d.s", (uint32_t)b->s);
	gguf_put_u32(w, "s3d.k", (uint32_t)b->k);
	gguf_put_u32(w, "s3d.rank", (uint32_t)(b->adapt ? b->rank : 0));
	gguf_put_array(w, "s3d.expected", GGUF_F32, chance, b->k);
	if (b->vocab)
		gguf_put_array(w, "s3d.vocabulary", GGUF_I32, b->vocab, b->n_vocab);
}

static int write_file(const char *path, struct gguf_writer *w, char err[ERR_MAX])
{
	struct file_new file;

	if (file_begin(&file, path, FILE_SHARED, err) != 0)
		return -1;
	if (gguf_write(w, file.f, NULL, NULL, err) == 0 || ferror(file.f))
		return file_keep(&file, err);
	file_drop(&file);
	return -1;
}

int sidecar_write(const char *path, const struct model *base, const struct bridge *b,
		  const double expected[BRIDGE_ROWS], const char *maker, char err[ERR_MAX])
{
	struct gguf_writer *w = gguf_writer_new(err);
	int rc = -1;

	if (w) {
		put_keys(w, base, b, expected, maker);
		put_tensors(w, b, base->cfg.n_layers);
		rc = write_file(path, w, err);
	}
	gguf_writer_free(w);
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
