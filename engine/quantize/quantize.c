/* quantize.c - see quantize.h.  Rows of a tensor go through the threads in pieces: each decodes its
 * share, looks whether all are numbers, and encodes them; the piece is written, and the next
 * begins. */
#include "engine/quantize/quantize.h"
#include "base/file.h"
#include "engine/gguf/gguf_write.h"
#include "engine/quantize/encode.h"
#include "base/threads.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define PIECE ((int64_t)1 << 20)        /* numbers in one, about */

struct quantizer {
	struct gguf *file;
	const struct recipe *recipe;
	const struct importance *importance;
	enum quant_type *to;            /* (tensors) */
};

/* The rules ask for layers and heads; a file that does not say is not a model. */
static int read_facts(const struct gguf *g, const char *in, struct recipe_file *f,
		      char err[ERR_MAX])
{
	struct gguf_str arch;
	char key[128];
	int64_t layers, heads, kv;

	if (!gguf_string(g, "general.architecture", &arch) || arch.n > 64)
		return fail(err, "%s: does not say which architecture it is, so it is no model",
			    in);
	snprintf(key, sizeof(key), "%.*s.block_count", (int)arch.n, arch.s);
	if (!gguf_int(g, key, &layers) || layers < 1 || layers > 100000)
		return fail(err, "%s: does not say how many layers it has (%s), so it is no model",
			    in, key);
	snprintf(key, sizeof(key), "%.*s.attention.head_count", (int)arch.n, arch.s);
	if (!gguf_int(g, key, &heads) || heads < 1)
		heads = 1;
	snprintf(key, sizeof(key), "%.*s.attention.head_count_kv", (int)arch.n, arch.s);
	if (!gguf_int(g, key, &kv) || kv < 1)
		kv = heads;
	f->n_layers = (int)layers;
	f->gqa = (int)(heads / kv);
	f->tied = !gguf_tensor_find(g, "output.weight");
	return 0;
}

static int choose_types(struct quantizer *q, const char *in, char err[ERR_MAX])
{
	struct recipe_file f = { .file = q->file, .measured = q->importance != NULL };
	int64_t n = gguf_n_tensors(q->file);

	if (read_facts(q->file, in, &f, err))
		return -1;
	q->to = mem_new((size_t)n, sizeof(*q->to), err);
	if (!q->to)
		return -1;
	for (int64_t i = 0; i < n; i++)
		q->to[i] = recipe_type(q->recipe, &f, gguf_tensor_at(q->file, i));
	return 0;
}

struct quantizer *quantize_open(const char *in, const struct recipe *r, const struct importance *m,
				char err[ERR_MAX])
{
	struct quantizer *q = mem_new(1, sizeof(*q), err);

	if (!q)
		return NULL;
	q->recipe = r;
	q->importance = m;
	q->file = gguf_open(in, err);
	if (q->file && !choose_types(q, in, err))
		return q;
	quantize_close(q);
	return NULL;
}

void quantize_close(struct quantizer *q)
{
	if (!q)
		return;
	gguf_close(q->file);
	mem_free(q->to);
	mem_free(q);
}

int64_t quantize_tensors(const struct quantizer *q)
{
	return gguf_n_tensors(q->file);
}

static int64_t elements(const struct gguf_tensor *t)
{
	return t->dim[0] * t->dim[1] * t->dim[2] * t->dim[3];
}

/* How much errors in its columns count, or NULL. */
static const float *weights_of(const struct quantizer *q, const struct gguf_tensor *t)
{
	return importance_of(q->importance, t->name, t->dim[0]);
}

struct quantize_tensor quantize_tensor_at(const struct quantizer *q, int64_t i)
{
	const struct gguf_tensor *t = gguf_tensor_at(q->file, i);
	struct quantize_tensor s = {
		.name = t->name, .n_dims = t->n_dims, .from = t->type, .to = q->to[i],
		.bytes_from = t->bytes,
		.bytes = quant_bytes(quant_info((int)q->to[i]), elements(t)),
		.measured = q->to[i] != t->type && weights_of(q, t),
	};

	memcpy(s.dim, t->dim, sizeof(s.dim));
	return s;
}

struct quantize_size quantize_size(const struct quantizer *q)
{
	struct quantize_size s = { .weights = 0 };

	for (int64_t i = 0; i < quantize_tensors(q); i++) {
		struct quantize_tensor t = quantize_tensor_at(q, i);
		struct type_facts f = type_facts(t.from);

		s.bytes_from += t.bytes_from;
		s.bytes += t.bytes;
		s.weights += elements(gguf_tensor_at(q->file, i));
		s.again |= t.from != t.to && f.kind == TYPE_PACKED && f.bits < 8;
	}
	return s;
}

struct work {                   /* of one writing; threads share it */
	const struct quantizer *q;
	const struct quantize_job *job;
	struct pool *pool;
	float *x;               /* numbers of a piece */
	float *weight;          /* (columns) of the tensor at hand, or NULL where all count alike */
	float *weight_room;
	uint8_t *blocks;
	const uint8_t *src;     /* of the piece */
	const struct gguf_tensor *t;    /* of the input: tensors are written in its order */
	int64_t next;           /* of them */
	enum quant_type to;
	int rows;
	atomic_bool bad;        /* a number is none */
	int64_t done, all;      /* numbers */
	bool stopped;
};

static bool all_finite(const float *x, int64_t n)
{
	bool all = true;

	for (int64_t i = 0; i < n; i++)
		all &= isfinite(x[i]) != 0;
	return all;
}

static void piece(void *arg, int thread)
{
	struct work *w = arg;
	int64_t cols = w->t->dim[0];
	size_t row_from = quant_bytes(quant_info((int)w->t->type), cols);
	size_t row_to = quant_bytes(quant_info((int)w->to), cols);
	int from, to;

	pool_share(w->pool, thread, w->rows, &from, &to);
	for (int r = from; r < to; r++) {
		float *x = w->x + (int64_t)r * cols;

		quant_row(w->t->type, w->src + (size_t)r * row_from, x, cols);
		if (!all_finite(x, cols))
			atomic_store(&w->bad, true);
		else
			encode_row(w->to, x, w->weight, cols, w->blocks + (size_t)r * row_to);
	}
}

/* A column that the text never used still counts a little. */
static void take_weights(struct work *w)
{
	const float *mean = weights_of(w->q, w->t);
	double sum = 0;

	w->weight = NULL;
	for (int64_t i = 0; mean && i < w->t->dim[0]; i++)
		sum += (double)mean[i];
	if (!(sum > 0))
		return;
	sum /= (double)w->t->dim[0];
	w->weight = w->weight_room;
	for (int64_t i = 0; i < w->t->dim[0]; i++)
		w->weight[i] = (float)((double)mean[i] / sum + 1e-4);
}

static int tell(struct work *w, int64_t more, char err[ERR_MAX])
{
	w->done += more;
	if (w->job->progress)
		w->job->progress(w->job->ctx, (double)w->done / (double)w->all);
	w->stopped = w->job->stop && w->job->stop(w->job->ctx);
	return w->stopped ? fail(err, "stopped") : 0;
}

static int convert(struct work *w, struct gguf_writer *out, char err[ERR_MAX])
{
	int64_t cols = w->t->dim[0], rows = elements(w->t) / cols;
	int64_t most = PIECE / cols ? PIECE / cols : 1;

	take_weights(w);
	w->src = w->t->data;
	for (int64_t r = 0; r < rows; r += w->rows) {
		w->rows = (int)(rows - r < most ? rows - r : most);
		pool_run(w->pool, piece, w);
		if (atomic_load(&w->bad))
			return fail(err, "%.*s: some of its values are not finite",
				    (int)w->t->name.n, w->t->name.s);
		if (gguf_data(out, w->blocks, quant_bytes(quant_info((int)w->to), w->rows * cols),
			      err) || tell(w, w->rows * cols, err))
			return -1;
		w->src += quant_bytes(quant_info((int)w->t->type), w->rows * cols);
	}
	gguf_drop(w->q->file, w->t->data, w->t->bytes);
	return 0;
}

static int make(void *user, const struct gguf_tensor *t, struct gguf_writer *out,
		char err[ERR_MAX])
{
	struct work *w = user;

	w->t = gguf_tensor_at(w->q->file, w->next++);
	w->to = t->type;
	if (w->to != w->t->type)
		return convert(w, out, err);
	if (gguf_data(out, w->t->data, w->t->bytes, err))
		return -1;
	return tell(w, elements(w->t), err);
}

/* What the new file says differently. */
static bool replaced(struct gguf_str key)
{
	static const char *const ours[] = {
		"general.file_type", "general.quantization_version", "split.no", "split.count",
		"split.tensors.count",
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
		if (gguf_str_is(key, ours[i]))
			return true;
	return false;
}

static struct gguf_writer *describe(const struct quantizer *q, char err[ERR_MAX])
{
	struct gguf_writer *out = gguf_writer_new(err);

	if (!out)
		return NULL;
	for (int64_t i = 0; i < gguf_n_keys(q->file); i++)
		if (!replaced(gguf_key_at(q->file, i)))
			gguf_put_copy(out, q->file, i);
	gguf_put_u32(out, "general.quantization_version", 2);
	gguf_put_u32(out, "general.file_type", (uint32_t)q->recipe->file_type);
	for (int64_t i = 0; i < gguf_n_tensors(q->file); i++) {
		struct gguf_tensor t = *gguf_tensor_at(q->file, i);

		t.type = q->to[i];
		t.data = NULL;
		gguf_put_tensor(out, &t);
	}
	return out;
}

static int open_work(struct work *w, char err[ERR_MAX])
{
	int64_t widest = 1;

	for (int64_t i = 0; i < gguf_n_tensors(w->q->file); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(w->q->file, i);

		if (t->dim[0] > widest)
			widest = t->dim[0];
		w->all += elements(t);
	}
	w->pool = pool_open(w->job->n_threads, err);
	w->x = mem_new((size_t)(PIECE + widest), sizeof(float), err);
	w->blocks = mem_new((size_t)(PIECE + widest), sizeof(float), err);
	w->weight_room = mem_new((size_t)widest, sizeof(float), err);
	return w->pool && w->x && w->blocks && w->weight_room ? 0 : -1;
}

static int write_file(struct work *w, const char *path, struct gguf_writer *out, char err[ERR_MAX])
{
	struct file_new file;

	if (file_begin(&file, path, FILE_SHARED, err) != 0)
		return -1;
	if (gguf_write(out, file.f, make, w, err) == 0 || (ferror(file.f) && !w->stopped))
		return file_keep(&file, err);
	file_drop(&file);
	return w->stopped ? 1 : -1;
}

int quantize_write(struct quantizer *q, const char *path, const struct quantize_job *job,
		   char err[ERR_MAX])
{
	struct work w = { .q = q, .job = job };
	struct gguf_writer *out = describe(q, err);
	int rc = -1;

	if (out && !open_work(&w, err))
		rc = write_file(&w, path, out, err);
	gguf_writer_free(out);
	if (w.pool)
		pool_close(w.pool);
	mem_free(w.x);
	mem_free(w.blocks);
	mem_free(w.weight_room);
	return rc;
}
