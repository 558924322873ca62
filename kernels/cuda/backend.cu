/* backend.cu - the cuda backend: opens a model on the GPU and owns its memory.
 *
 * Two blocks of device memory, weights and work (caches and bridges add their own); what does not
 * fit stays in pinned host memory, whole layers of it.  All that is done to a device's memory is
 * done in its one stream, with which the default stream keeps no order.  Invariant: dev_close
 * accepts what a failed open, or a device that was lost, left. */
#include "kernels/cuda/op/attend.cuh"
#include "kernels/cuda/op/choose.cuh"
#include "kernels/cuda/dev_api.cuh"
#include "kernels/cuda/op/embed.cuh"
#include "kernels/cuda/pack.cuh"
#include "kernels/cuda/op/post.cuh"
#include "kernels/cuda/op/prune.cuh"
#include "kernels/cuda/op/product.cuh"
#include "kernels/cuda/op/prompt.cuh"
#include "kernels/backend_abi.h"
#include <stddef.h>

static const size_t MIB = (size_t)1 << 20;

int cuda_check(char err[ERR_MAX], cudaError_t rc, const char *doing)
{
	if (rc == cudaSuccess)
		return 0;
	if (rc == cudaErrorMemoryAllocation)
		return fail(err, "cuda: out of memory (%s); a smaller -c, -ctk q8_0 -ctv q8_0, or "
			    "--backend cpu would do", doing);
	if (rc == cudaErrorNoKernelImageForDevice)
		return fail(err, "cuda: this build has no code for the GPU's architecture (%s); "
			    "build it with CUDA_ARCHS=all, or use --backend cpu", doing);
	return fail(err, "cuda: %s (%s, %s)", cudaGetErrorString(rc), cudaGetErrorName(rc), doing);
}

/* ---- work buffers ---- */

/* Kernels make whole blocks of columns: there are rows behind the last one that nobody reads. */
void act_place(struct act *a, struct arena *from, int n, int k)
{
	size_t rows = (size_t)(n + COLUMNS);

	a->k = k;
	a->ld = (k + GROUP - 1) / GROUP * GROUP_BYTES;
	a->q = (uint8_t *)arena_take(from, rows, (size_t)a->ld);
	a->f = (float *)arena_take(from, rows * (size_t)k, sizeof(float));
}

static int widest(const struct model_config *c)
{
	int heads = c->n_heads * c->head_dim, most = c->n_embd > c->n_ff ? c->n_embd : c->n_ff;

	return heads > most ? heads : most;
}

static size_t tickets(const struct dev *d)
{
	const struct model_config *c = &d->model->cfg;
	size_t blocks = (size_t)(d->n_batch + COLUMNS - 1) / COLUMNS;
	size_t product = (size_t)(c->n_heads + 2 * c->n_kv_heads) * blocks;
	size_t attend = (size_t)(FEW_ROWS * c->n_heads);
	size_t join = (size_t)(c->n_embd / TILE * ((FEW_ROWS + COLUMNS - 1) / COLUMNS));
	size_t most = product > attend ? product : attend;

	return most > join ? most : join;
}

/* Sets d->work_bytes. */
static void place_work(struct dev *d)
{
	const struct model_config *c = &d->model->cfg;
	size_t n = (size_t)d->n_batch, f = sizeof(float);
	struct arena a = { d->work, 0 };

	d->place = (struct place *)arena_take(&a, 1, sizeof(*d->place));
	d->chain = (struct chain *)arena_take(&a, 1, sizeof(*d->chain));
	d->ticket = (unsigned *)arena_take(&a, tickets(d), sizeof(*d->ticket));
	d->turn = (float *)arena_take(&a, n * (size_t)(rope_sets(c) * c->n_rot), f);
	d->x = (float *)arena_take(&a, n * (size_t)c->n_embd, f);
	d->made = (float *)arena_take(&a, n * (size_t)c->n_embd, f);
	d->qkv = (float *)arena_take(&a, n * (size_t)d->ld_qkv, f);
	act_place(&d->in, &a, d->n_batch, c->n_embd);
	act_place(&d->heads, &a, d->n_batch, c->n_heads * c->head_dim);
	act_place(&d->ff, &a, d->n_batch, c->n_ff);
	d->squares.n = c->n_embd / TILE;
	d->squares.cols = c->n_embd;
	d->squares.eps = c->norm_eps;
	d->squares.sum = (float *)arena_take(&a, (n + COLUMNS) * (size_t)d->squares.n, f);
	d->logits = (float *)arena_take(&a, (size_t)d->n_out * (size_t)d->ld_out, f);
	d->half = (uint16_t *)arena_take(&a, n * (size_t)widest(c), sizeof(*d->half));
	d->half_scale = (float *)arena_take(&a, n, f);
	if (!d->shares) {
		d->wide = (uint16_t *)arena_take(&a, WIDE, sizeof(*d->wide));
		d->product = (float *)arena_take(&a, n * WIDE_ROWS, f);
		d->blas_room = (uint8_t *)arena_take(&a, BLAS_ROOM, 1);
	} else if (d->share) {
		d->wide = d->share->wide;
		d->product = d->share->product;
		d->blas_room = d->share->blas_room;
	}
	d->work_bytes = a.at;
}

static size_t mail_bytes(const struct dev *d)
{
	return offsetof(struct mail, tok) + (size_t)d->n_batch * sizeof(int);
}

static size_t rows_bytes(const struct dev *d)
{
	return (size_t)d->n_out * (size_t)d->ld_out * sizeof(float);
}

/* What another device leaves. */
static size_t enter_bytes(const struct dev *d)
{
	return d->split ? (size_t)d->n_batch * (size_t)d->model->cfg.n_embd * sizeof(float) : 0;
}

/* ---- devices ---- */

static int check_shape(const struct model_config *c, char err[ERR_MAX])
{
	if (pass_widths(c, BLOCK, err) != 0)
		return -1;
	if (c->head_dim > CUDA_MAX_DIM || c->head_dim % TILE)
		return fail(err, "heads of %d dimensions: the cuda backend takes multiples of %d "
			    "up to %d; --backend cpu takes this model", c->head_dim, TILE,
			    CUDA_MAX_DIM);
	return 0;
}

/* Layers whose weights are not in its memory: read over the bus, or another device's. */
static int *elsewhere(struct dev *d)
{
	return d->split ? &d->elsewhere : &d->host_layers;
}

/* So many of them. */
static void put_elsewhere(struct dev *d, const struct backend_opt *opt, int n)
{
	int all = d->model->cfg.n_layers;

	*elsewhere(d) = n < all ? n : all;
	spread_layers(&opt->spread, all, d->elsewhere, d->has);
	for (int i = 0; i < MODEL_MAX_LAYERS / 64; i++)
		d->has[i] = ~d->has[i];
}

/* All that takes no memory of the device. */
static struct dev *dev_new(const struct model *m, const struct backend_opt *opt, char err[ERR_MAX])
{
	const struct model_config *c = &m->cfg;
	struct dev *d = (struct dev *)mem_new(1, sizeof(*d), err);

	if (!d)
		return NULL;
	d->model = m;
	d->share = opt->share;
	d->shares = opt->share || opt->shares;
	d->watch = opt->watch;
	d->watch_ctx = opt->watch_ctx;
	d->n_batch = opt->n_batch > 0 ? opt->n_batch : BATCH_DEFAULT;
	d->n_back = opt->n_back;
	d->n_out = opt->n_out > 0 ? opt->n_out : 32;
	d->ld_qkv = (c->n_heads + 2 * c->n_kv_heads) * c->head_dim;
	d->ld_out = c->n_out + row_peaks(c->n_out);
	d->split = opt->split;
	put_elsewhere(d, opt, opt->host_layers);
	d->layer = (struct cuda_layer *)mem_new((size_t)c->n_layers, sizeof(*d->layer), err);
	if (d->share && d->n_batch > d->share->n_batch)
		d->n_batch = d->share->n_batch;         /* what its room is for */
	if (d->layer && check_shape(c, err) == 0 &&
	    quant_cache(opt->cache_k, &d->q8_k, err) == 0 &&
	    quant_cache(opt->cache_v, &d->q8_v, err) == 0)
		return d;
	mem_free(d->layer);
	mem_free(d);
	return NULL;
}

static int free_bytes(size_t *bytes, char err[ERR_MAX])
{
	size_t total;

	return cuda_check(err, cudaMemGetInfo(bytes, &total), "asking for free memory");
}

static int refuse(const struct dev *d, size_t least, size_t cache, size_t budget, char err[ERR_MAX])
{
	return fail(err, "cuda: this model (%s, %d layers) needs %zu MiB on the GPU even with all "
		    "layers in host memory (cache %zu MiB), %zu MiB are allowed; a smaller -c, "
		    "-ctk q8_0 -ctv q8_0, a larger --vram, or --backend cpu would do",
		    d->model->cfg.arch, d->model->cfg.n_layers, (least + MIB - 1) / MIB,
		    cache / MIB, budget / MIB);
}

/* As few layers as the budget asks for are elsewhere.  Sets all sizes. */
static int fit(struct dev *d, const struct backend_opt *opt, int n_ctx, size_t *cache,
	       size_t *parts, char err[ERR_MAX])
{
	struct kv kv = {};
	size_t budget = opt->budget, all;

	if (!budget && free_bytes(&budget, err) != 0)
		return -1;
	kv.dev = d;
	kv.head.n_ctx = memory_rows(n_ctx);
	place_work(d);
	for (;; put_elsewhere(d, opt, *elsewhere(d) + 1)) {
		*parts = kv_place(&kv);
		*cache = kv.bytes;
		*parts -= kv.bytes;
		weights_place(d);
		all = d->arena_bytes + d->work_bytes + *cache + *parts;
		if (all <= budget)
			return 0;
		if (*elsewhere(d) == d->model->cfg.n_layers)
			return refuse(d, all, *cache, budget, err);
	}
}

static void dev_close(struct dev *d)
{
	if (!d)
		return;
	if (d->stream)
		cudaStreamSynchronize(d->stream);
	blas_close(d->blas);
	bridge_close(d);
	if (d->graphs)
		graphs_close(d);
	stage_close(d);
	if (d->stream)
		cudaStreamDestroy(d->stream);
	cudaFree(d->arena);
	cudaFree(d->work);
	cudaFreeHost(d->host_arena);
	cudaFreeHost(d->mail);
	cudaFreeHost(d->guess);
	cudaFreeHost(d->rows);
	cudaFreeHost(d->enter);
	mem_free(d->layer);
	mem_free(d);
}

/* Pinned memory, and the device's pointer to it. */
static int pin(void **p, void **device, size_t bytes, const char *what, char err[ERR_MAX])
{
	if (cuda_check(err, cudaHostAlloc(p, bytes, cudaHostAllocMapped), what) != 0)
		return -1;
	memset(*p, 0, bytes);
	return cuda_check(err, cudaHostGetDevicePointer(device, *p, 0), what);
}

static int take_memory(struct dev *d, char err[ERR_MAX])
{
	void *host = NULL;

	if (cuda_check(err, cudaMalloc((void **)&d->arena, d->arena_bytes), "weights") != 0 ||
	    cuda_check(err, cudaMemsetAsync(d->arena, 0, d->arena_bytes, d->stream),
		       "weights") != 0 ||
	    cuda_check(err, cudaMalloc((void **)&d->work, d->work_bytes), "work buffers") != 0 ||
	    cuda_check(err, cudaMemsetAsync(d->work, 0, d->work_bytes, d->stream),
		       "work buffers") != 0 ||
	    pin((void **)&d->mail, (void **)&d->mail_device, mail_bytes(d), "a mailbox",
		err) != 0 ||
	    pin((void **)&d->guess, (void **)&d->guess_device, sizeof(*d->guess), "guesses",
		err) != 0 ||
	    pin((void **)&d->rows, (void **)&d->rows_device, rows_bytes(d), "room for logits",
		err) != 0 ||
	    (d->split && pin((void **)&d->enter, (void **)&d->enter_device, enter_bytes(d),
			     "room for rows", err) != 0))
		return -1;
	if (!d->host_bytes)
		return 0;
	if (pin((void **)&d->host_arena, &host, d->host_bytes, "layers in host memory", err) != 0)
		return -1;
	d->host_device = (uint8_t *)host;
	return 0;
}

static int describe(struct dev *d, char err[ERR_MAX])
{
	cudaDeviceProp p;
	int id = 0, n = 0;

	if (cuda_check(err, cudaGetDevice(&id), "asking for the device") != 0 ||
	    cuda_check(err, cudaGetDeviceProperties(&p, id), "asking for the device") != 0)
		return -1;
	n = snprintf(d->describe, sizeof(d->describe), "%.48s, sm_%d%d%s%s%s", p.name, p.major,
		     p.minor, d->q8_k ? ", keys q8_0" : "", d->q8_v ? ", values q8_0" : "",
		     d->blas ? "" : ", no cuBLAS");
	if (d->host_layers && n > 0 && (size_t)n < sizeof(d->describe))
		snprintf(d->describe + n, sizeof(d->describe) - (size_t)n,
			 ", %d layers in host memory", d->host_layers);
	return 0;
}

static int dev_fill(struct dev *d, const struct backend_opt *opt, char err[ERR_MAX])
{
	if (cuda_check(err, cudaStreamCreateWithFlags(&d->stream, cudaStreamNonBlocking),
		       "making a stream") != 0 ||
	    take_memory(d, err) != 0 || graphs_open(d, err) != 0)
		return -1;
	place_work(d);
	weights_place(d);
	d->blas = blas_open(d->stream, d->blas_room, BLAS_ROOM, d->wide);
	cudaGetLastError();     /* whatever cuBLAS could not do: it is then not used */
	if (weights_load(d, opt, err) != 0 ||
	    cuda_check(err, cudaStreamSynchronize(d->stream), "loading weights") != 0)
		return -1;
	return describe(d, err);
}

static struct dev *dev_open(const struct model *m, const struct backend_opt *opt, char err[ERR_MAX])
{
	struct dev *d = dev_new(m, opt, err);

	if (!d)
		return NULL;
	place_work(d);
	weights_place(d);
	if (dev_fill(d, opt, err) != 0) {
		dev_close(d);
		return NULL;
	}
	return d;
}

static struct backend_memory dev_memory(const struct dev *d)
{
	return (struct backend_memory){
		.weights = d->arena_bytes + d->cross.weights,
		.work = d->work_bytes + d->cross.work,
		.host = d->host_bytes + mail_bytes(d) + rows_bytes(d) + enter_bytes(d),
		.host_weights = d->host_layer_bytes,
		.host_layers = d->split ? d->elsewhere : d->host_layers,
	};
}

static int dev_plan(const struct model *m, const struct backend_opt *opt, int n_ctx,
		    struct backend_memory *out, char err[ERR_MAX])
{
	struct dev *d = dev_new(m, opt, err);
	size_t cache, parts;
	int rc;

	if (!d)
		return -1;
	rc = fit(d, opt, n_ctx, &cache, &parts, err);
	if (rc == 0) {
		*out = dev_memory(d);
		out->work += parts;
	}
	mem_free(d->layer);
	mem_free(d);
	return rc;
}

static const char *dev_error(const struct dev *d)
{
	return d->err;
}

static const char *dev_describe(const struct dev *d)
{
	return d->describe;
}

static size_t dev_free(void)
{
	size_t bytes;
	char err[ERR_MAX];

	return free_bytes(&bytes, err) == 0 ? bytes : SIZE_MAX;
}

static int bus_name(char out[BUS_NAME], char err[ERR_MAX])
{
	cudaDeviceProp p;
	int id = 0;

	if (cuda_check(err, cudaGetDevice(&id), "asking for the device") != 0 ||
	    cuda_check(err, cudaGetDeviceProperties(&p, id), "asking for the device") != 0)
		return -1;
	snprintf(out, BUS_NAME, "%.63s", p.name);
	return 0;
}

static const struct backend_bus bus = {
	.name = bus_name,
	.read = bus_read,
};

static const struct backend_draft draft = {
	.kv_keep = kv_keep,
	.bridge = bridge_open,
	.guess = cuda_guess,
	.guesses = NULL,
};

static const struct backend backend = {
	.name = "cuda",
	.own_memory = true,
	.can_be_lost = true,
	.groups = true,
	.prunes = true,
	.weighs = false,
	.draft = &draft,
	.bus = &bus,
	.columns = nullptr,
	.free = dev_free,
	.used = nvml_used,
	.plan = dev_plan,
	.open = dev_open,
	.close = dev_close,
	.kv_new = kv_new,
	.kv_free = kv_free,
	.lay = nullptr,
	.kv_bytes = kv_bytes,
	.kv_back = kv_back,
	.forward = cuda_forward,
	.wait = cuda_wait,
	.error = dev_error,
	.memory = dev_memory,
	.describe = dev_describe,
	.stream = stream_time,
	.stages = stage_look,
	.counts = counts_look,
};

/* Kernels, and what cuBLAS loads with its first product, take memory that cudaMemGetInfo is then no
 * longer to count as free. */
static cudaError_t load_all(void)
{
	cudaError_t (*const load[])(void) = { product_load, attend_load, pack_load, embed_load,
					      post_load, choose_load, bridge_load, prompt_load,
					      timing_load, prune_load };
	cudaStream_t stream = NULL;
	uint8_t *room = NULL;
	cudaError_t rc = cudaSuccess;

	for (size_t i = 0; rc == cudaSuccess && i < sizeof(load) / sizeof(load[0]); i++)
		rc = load[i]();
	if (rc != cudaSuccess)
		return rc;
	if (cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess &&
	    cudaMalloc((void **)&room, BLAS_ROOM + BLAS_TRIAL) == cudaSuccess)
		blas_close(blas_open(stream, room, BLAS_ROOM, room + BLAS_ROOM));
	cudaFree(room);
	if (stream)
		cudaStreamDestroy(stream);
	cudaGetLastError();     /* whoever opens a device sees what works */
	return cudaSuccess;
}

/* Whether there is a GPU that this build has code for. */
static int probe(char err[ERR_MAX])
{
	int driver = 0, runtime = 0, n = 0;
	cudaError_t rc = cudaDriverGetVersion(&driver);

	if (rc != cudaSuccess || !driver)
		return fail(err, "no NVIDIA driver is installed");
	cudaRuntimeGetVersion(&runtime);
	rc = cudaGetDeviceCount(&n);
	if (rc == cudaErrorInsufficientDriver)
		return fail(err, "the NVIDIA driver is too old: it does CUDA %d.%d, this build "
			    "needs %d.%d; a newer driver would do", driver / 1000,
			    driver / 10 % 100, runtime / 1000, runtime / 10 % 100);
	if (rc == cudaErrorNoDevice || (rc == cudaSuccess && n == 0))
		return fail(err, "there is no NVIDIA GPU here");
	if (cuda_check(err, rc, "counting devices") != 0 ||
	    cuda_check(err, cudaSetDevice(0), "choosing the first GPU") != 0)
		return -1;
	return cuda_check(err, load_all(), "looking for kernels");
}

const struct backend *s3dcuda_open(const char *abi, char err[ERR_MAX])
{
	return backend_abi_check(abi, err) == 0 && probe(err) == 0 ? &backend : NULL;
}
