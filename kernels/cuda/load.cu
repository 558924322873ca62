/* load.cu - where the weights lie, and how they get there.
 *
 * Of the layers that the device has, the matrices of those that fit, norms and biases, and the
 * output matrix, are in device memory; the others, and a table of embeddings that is nothing else,
 * in pinned host memory.
 * Invariant: placing twice from the same bases gives the same pointers. */
#include "engine/model/rope.h"
#include "kernels/cuda/dev_api.cuh"
#include "kernels/cuda/pack.cuh"

struct mat mat_place(struct arena *a, const struct gguf_tensor *t)
{
	int rows = (int)t->dim[1], cols = (int)t->dim[0];

	return pack_place(t->type, rows, cols,
			  (uint8_t *)arena_take(a, pack_bytes(t->type, rows, cols), 1));
}

static const float *place_words(struct arena *a, int64_t n)
{
	return (const float *)arena_take(a, (size_t)n, sizeof(float));
}

static void place_layer(struct dev *d, int l, struct arena *device, struct arena *mats)
{
	const struct layer *from = &d->model->layer[l];
	struct cuda_layer *to = &d->layer[l];

	for (int i = 0; i < LAYER_MATS; i++)
		to->mat[i] = mat_place(mats, from->mat[i]);
	for (int i = 0; i < LAYER_NORMS; i++)
		if (from->norm[i])
			to->norm[i] = place_words(device, from->norm[i]->dim[0]);
	if (from->bias[0])
		to->qkv_bias = place_words(device, d->ld_qkv);
}

/* Whether another device has the table of embeddings already. */
static bool shares_embd(const struct dev *d)
{
	return d->share && !d->share->elsewhere && d->share->model->embd == d->model->embd;
}

void weights_place(struct dev *d)
{
	const struct model *m = d->model;
	struct arena device = { d->arena, 0 }, host = { d->host_device, 0 };
	int on_device = m->cfg.n_layers - d->host_layers;

	for (int l = 0; l < m->cfg.n_layers; l++)
		if (plan_has(d->has, l))
			place_layer(d, l, &device, l < on_device ? &device : &host);
	d->norm = place_words(&device, m->cfg.n_embd);
	d->inv_freq = place_words(&device, rope_sets(&m->cfg) * m->cfg.n_rot / 2);
	d->out_id = m->out_id ? (const int *)place_words(&device, m->cfg.n_out) : NULL;
	d->mute = m->mute ? (const uint8_t *)place_words(&device, (m->cfg.n_out + 3) / 4) : NULL;
	d->output = shares_embd(d) && m->output == m->embd ? d->share->output :
		    mat_place(&device, m->output);
	d->host_layer_bytes = host.at;
	if (!d->elsewhere)
		d->embd = shares_embd(d) ? d->share->embd :
			  m->embd == m->output ? d->output : mat_place(&host, m->embd);
	d->arena_bytes = device.at;
	d->host_bytes = host.at;
}

/* The file's rows in pieces through the room for wide weights, which nothing else uses yet. */
int mat_load(struct dev *d, const struct mat *m, const struct gguf_tensor *t, char err[ERR_MAX])
{
	size_t in_file = quant_bytes(quant_info((int)m->type), m->cols);
	int step = (int)(WIDE * sizeof(*d->wide) / in_file);

	for (int row = 0; row < m->rows; row += step) {
		int n = m->rows - row < step ? m->rows - row : step;
		const uint8_t *from = (const uint8_t *)t->data + (size_t)row * in_file;

		if (cuda_check(err, cudaMemcpyAsync(d->wide, from, (size_t)n * in_file,
						    cudaMemcpyHostToDevice, d->stream),
			       "copying weights") != 0 ||
		    cuda_check(err, pack_rows(m, (const uint8_t *)d->wide, row, n, d->stream),
			       "sorting weights") != 0)
			return -1;
	}
	return cuda_check(err, cudaStreamSynchronize(d->stream), "loading weights");
}

int words_load(struct dev *d, const void *to, const void *from, size_t n, char err[ERR_MAX])
{
	return cuda_check(err, cudaMemcpyAsync((void *)to, from, n * 4, cudaMemcpyHostToDevice,
					       d->stream), "loading weights");
}

/* Tensors of floats behind each other. */
static int load_vectors(struct dev *d, const float *to, const struct gguf_tensor *const t[], int n,
			char err[ERR_MAX])
{
	size_t all = 0;
	float *f;
	int rc;

	for (int i = 0; i < n; i++)
		all += (size_t)t[i]->dim[0];
	f = (float *)mem_new(all, sizeof(*f), err);
	if (!f)
		return -1;
	all = 0;
	for (int i = 0; i < n; i++) {
		quant_row(t[i]->type, t[i]->data, f + all, t[i]->dim[0]);
		all += (size_t)t[i]->dim[0];
	}
	rc = words_load(d, to, f, all, err);
	mem_free(f);
	return rc;
}

static int load_freqs(struct dev *d, char err[ERR_MAX])
{
	int sets = rope_sets(&d->model->cfg), half = d->model->cfg.n_rot / 2;
	float freq[ROPE_SETS * CUDA_MAX_DIM / 2];

	for (int i = 0; i < sets; i++)
		rope_freqs(d->model, i, freq + i * half);
	return words_load(d, d->inv_freq, freq, (size_t)(sets * half), err);
}

static int load_layer(struct dev *d, int l, char err[ERR_MAX])
{
	const struct layer *from = &d->model->layer[l];
	struct cuda_layer *to = &d->layer[l];

	for (int i = 0; i < LAYER_MATS; i++)
		if (mat_load(d, &to->mat[i], from->mat[i], err) != 0)
			return -1;
	for (int i = 0; i < LAYER_NORMS; i++)
		if (from->norm[i] && load_vectors(d, to->norm[i], &from->norm[i], 1, err) != 0)
			return -1;
	return from->bias[0] ? load_vectors(d, to->qkv_bias, from->bias, 3, err) : 0;
}

int weights_load(struct dev *d, const struct backend_opt *opt, char err[ERR_MAX])
{
	const struct model *m = d->model;
	bool own_embd = !shares_embd(d);

	for (int l = 0; l < m->cfg.n_layers; l++) {
		if (plan_has(d->has, l) && load_layer(d, l, err) != 0)
			return -1;
		if (opt->progress)
			opt->progress(opt->progress_ctx, (l + 1.0) / (m->cfg.n_layers + 1.0));
	}
	if (load_vectors(d, d->norm, &m->norm, 1, err) != 0 || load_freqs(d, err) != 0 ||
	    (m->out_id && words_load(d, d->out_id, m->out_id, (size_t)m->cfg.n_out, err) != 0) ||
	    (m->mute && words_load(d, d->mute, m->mute, (size_t)(m->cfg.n_out + 3) / 4, err) != 0))
		return -1;
	if ((own_embd || m->output != m->embd) && mat_load(d, &d->output, m->output, err) != 0)
		return -1;
	if (!d->elsewhere && own_embd && m->embd != m->output &&
	    mat_load(d, &d->embd, m->embd, err) != 0)
		return -1;
	if (opt->progress)
		opt->progress(opt->progress_ctx, 1.0);
	return 0;
}
