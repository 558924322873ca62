/* timing.cu - seconds and bytes of each stage of the forward pass; how fast memory is copied.
 *
 * Events are marked behind each stage, and passes are not recorded, as soon as somebody has looked.
 * Invariant: who does not look pays nothing. */
#include "kernels/cuda/dev_api.cuh"
#include "kernels/cuda/pack.cuh"

/* For tests: what the stage left of the i-th layer of a group.  The inputs of its MLPs lie nowhere
 * as they are: behind both of its residual sums it is the residual stream, of the last layer. */
static int show(const struct step *s, enum stage stage, int layer, int i)
{
	struct dev *d = s->d;
	const struct model_config *c = &d->model->cfg;
	const float *from = stage == STAGE_QKV ? d->qkv : stage == STAGE_ATTEND ? d->heads.f :
			    stage == STAGE_GATE_UP ? d->ff.f : d->x;
	int width = stage == STAGE_QKV ? d->ld_qkv :
		    stage == STAGE_ATTEND ? c->n_heads * c->head_dim :
		    stage == STAGE_GATE_UP ? c->n_ff : c->n_embd;
	size_t bytes = (size_t)s->n * (size_t)width * sizeof(float);
	size_t skip = (size_t)i * (size_t)s->apart * (size_t)width;
	float *rows = (float *)malloc(bytes);
	int rc = rows ? 0 : fail(d->err, "no memory to show a stage");

	if (rc == 0)
		rc = dev_check(d, cudaMemcpyAsync(rows, from + skip, bytes, cudaMemcpyDeviceToHost,
						  d->stream), stage_name(stage));
	if (rc == 0)
		rc = dev_check(d, cudaStreamSynchronize(d->stream), stage_name(stage));
	if (rc == 0)
		d->watch(d->watch_ctx, stage_name(stage), layer, rows, s->n, width);
	free(rows);
	return rc;
}

static int show_all(const struct step *s, enum stage stage, const struct op *op)
{
	bool each = stage == STAGE_QKV || stage == STAGE_ATTEND || stage == STAGE_GATE_UP;
	int last = op->layer + op->n_group - 1, rc = 0;

	if (op->part == OP_ENTER)       /* whoever made these rows has shown them */
		return 0;
	if (!each)
		return show(s, stage, last, 0);
	for (int i = 0; i < op->n_group && rc == 0; i++)
		rc = show(s, stage, op->layer + i, i);
	return rc;
}

int stage_mark(const struct step *s, enum stage stage, const struct op *op)
{
	struct dev *d = s->d;

	if (d->watch && stage != STAGE_OUTPUT)
		return show_all(s, stage, op);
	if (!d->mark || d->marked + 1 >= d->marks)
		return 0;
	d->marked++;
	d->marked_stage[d->marked] = stage;
	return dev_check(d, cudaEventRecord(d->mark[d->marked], d->stream), "timing");
}

int stage_sum(struct dev *d)
{
	for (int i = 1; i <= d->marked; i++) {
		float ms = 0;

		if (dev_check(d, cudaEventElapsedTime(&ms, d->mark[i - 1], d->mark[i]),
			      "timing") != 0)
			return -1;
		d->stage[d->marked_stage[i]].seconds += (double)ms / 1e3;
	}
	d->marked = 0;
	return 0;
}

static size_t mat_bytes(const struct mat *m)
{
	return pack_bytes(m->type, m->rows, m->cols);
}

/* Of the cache, by a layer's attention. */
static size_t cache_bytes(const void *ctx, int layer)
{
	const struct step *s = (const struct step *)ctx;
	int last = s->d->mail->pos + s->n - 1;
	int seen = last + 1 - window_first(&s->d->model->cfg, layer, last);

	return kv_row_bytes(s->kv) * (size_t)seen;
}

static size_t weight_bytes(const void *ctx, const struct op *op, int layer, enum stage stage)
{
	const struct step *s = (const struct step *)ctx;
	const struct dev *d = s->d;
	struct stage_mats w = stage_mats(stage);
	size_t bytes = 0;

	if (op->part == OP_BRIDGE)
		return mat_bytes(&d->cross.weight);
	if (op->part == OP_OUTPUT)
		return mat_bytes(step_output(s));
	for (int i = w.first; i < w.first + w.n; i++)
		bytes += mat_bytes(&d->layer[layer].mat[i]);
	for (int i = 0; i < ADAPTS; i++) {
		const struct cuda_adapter *a = adapter_of(d, op, layer, (enum adapt)i);

		if (a && adapt_stage((enum adapt)i) == stage)
			bytes += mat_bytes(&a->down) + mat_bytes(&a->up);
	}
	return bytes;
}

void stage_count(const struct step *s)
{
	struct dev *d = s->d;

	if (!d->mark)
		return;
	pass_count(s->run, s->n_out, d->stage, weight_bytes, cache_bytes, s);
	if (cudaEventRecord(d->mark[0], d->stream) == cudaSuccess)
		d->marked = 0;
}

/* Events for every stage of a pass; without them nothing is timed. */
static void open_marks(struct dev *d)
{
	int n = 5 * d->model->cfg.n_layers + 3;

	d->mark = (cudaEvent_t *)calloc((size_t)n, sizeof(*d->mark));
	d->marked_stage = (enum stage *)calloc((size_t)n, sizeof(*d->marked_stage));
	for (d->marks = 0; d->mark && d->marked_stage && d->marks < n; d->marks++)
		if (cudaEventCreate(&d->mark[d->marks]) != cudaSuccess)
			break;
	if (d->marks < n)
		stage_close(d);
}

void stage_close(struct dev *d)
{
	for (int i = 0; d->mark && i < d->marks; i++)
		cudaEventDestroy(d->mark[i]);
	free(d->mark);
	free(d->marked_stage);
	d->mark = NULL;
	d->marked_stage = NULL;
	d->marks = d->marked = 0;
}

int stage_look(struct dev *d, struct backend_stage out[BACKEND_STAGES_MAX])
{
	memcpy(out, d->stage, sizeof(d->stage));
	for (int i = 0; i < STAGES; i++) {
		out[i].name = stage_name((enum stage)i);
		d->stage[i] = (struct backend_stage){ stage_name((enum stage)i), 0, 0 };
	}
	if (!d->mark)
		open_marks(d);
	return STAGES;
}

struct backend_counts counts_look(struct dev *d)
{
	struct backend_counts c = d->counts;

	d->counts = {};
	d->done_at = 0;
	return c;
}

/* Each thread sums every so many sixteen bytes. */
__global__ void stream_kernel(const uint4 *p, size_t n, unsigned *out)
{
	size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
	size_t all = (size_t)gridDim.x * blockDim.x;
	unsigned sum = 0;

	for (; i < n; i += all) {
		uint4 v = __ldg(p + i);

		sum += v.x ^ v.y ^ v.z ^ v.w;
	}
	if (sum == 1)           /* never: keeps the reads from being removed */
		*out = sum;
}

/* Memory that the device reads, and what is needed to time that. */
struct reading {
	const uint8_t *p;
	size_t bytes;
	unsigned *out;
	cudaStream_t stream;
	cudaEvent_t from, to;
	bool whole;             /* as long as the host waits for it, not as the device reads */
};

static cudaError_t read_once(const struct reading *r, double *seconds)
{
	size_t blocks = (r->bytes / 16 + 255) / 256;
	double start = clock_now();
	float ms = 0;
	cudaError_t rc = cudaEventRecord(r->from, r->stream);

	if (rc != cudaSuccess)
		return rc;
	LAUNCH(stream_kernel, dim3((unsigned)(blocks < 4096 ? blocks : 4096)), dim3(256), 0,
	       r->stream, (const uint4 *)r->p, r->bytes / 16, r->out);
	rc = cudaGetLastError();
	if (rc == cudaSuccess)
		rc = cudaEventRecord(r->to, r->stream);
	if (rc == cudaSuccess)
		rc = cudaEventSynchronize(r->to);
	if (rc == cudaSuccess)
		rc = cudaEventElapsedTime(&ms, r->from, r->to);
	*seconds = r->whole ? clock_now() - start : (double)ms / 1e3;
	return rc;
}

/* The shortest of four times; 0: not even that could be measured. */
static cudaError_t read_best(struct reading *r, double *best)
{
	cudaError_t rc = cudaEventCreate(&r->from);

	*best = 0;
	if (rc == cudaSuccess)
		rc = cudaEventCreate(&r->to);
	for (int i = 0; i < 4 && rc == cudaSuccess; i++) {
		double t = 0;

		rc = read_once(r, &t);
		*best = t > 0 && (*best <= 0 || t < *best) ? t : *best;
	}
	if (r->from)
		cudaEventDestroy(r->from);
	if (r->to)
		cudaEventDestroy(r->to);
	return rc;
}

double stream_time(struct dev *d, size_t bytes)
{
	struct reading r = { NULL, bytes, d->ticket, d->stream, NULL, NULL, false };
	uint8_t *p = NULL;
	double best = 0;

	if (cudaMalloc((void **)&p, bytes) == cudaSuccess &&
	    cudaMemsetAsync(p, 2, bytes, d->stream) == cudaSuccess) {
		r.p = p;
		read_best(&r, &best);
	}
	cudaGetLastError();             /* a failure here is an unknown figure, not an error */
	cudaFree(p);
	return best;
}

/* Memory as layers have it that are not on the device. */
static cudaError_t open_host(struct reading *r, void **host)
{
	void *device = NULL;
	cudaError_t rc = cudaHostAlloc(host, r->bytes, cudaHostAllocMapped);

	if (rc != cudaSuccess)
		return rc;
	memset(*host, 2, r->bytes);
	rc = cudaHostGetDevicePointer(&device, *host, 0);
	r->p = (const uint8_t *)device;
	return rc;
}

/* And as the others have it. */
static cudaError_t open_own(struct reading *r, void **own)
{
	cudaError_t rc = cudaMalloc(own, r->bytes);

	if (rc == cudaSuccess)
		rc = cudaMemset(*own, 2, r->bytes);
	r->p = (const uint8_t *)*own;
	return rc;
}

static cudaError_t bus_open(struct reading *r, void **host, void **own, enum bus_way way)
{
	cudaError_t rc = way == BUS_OWN ? open_own(r, own) : open_host(r, host);

	r->whole = way == BUS_CALL;
	if (rc == cudaSuccess)
		rc = cudaMalloc((void **)&r->out, sizeof(*r->out));
	if (rc == cudaSuccess)
		rc = cudaStreamCreateWithFlags(&r->stream, cudaStreamNonBlocking);
	return rc;
}

double bus_read(enum bus_way way, size_t bytes, char err[ERR_MAX])
{
	struct reading r = { NULL, bytes, NULL, NULL, NULL, NULL, false };
	void *host = NULL, *own = NULL;
	double best = 0;
	cudaError_t rc = bus_open(&r, &host, &own, way);

	if (rc == cudaSuccess)
		rc = read_best(&r, &best);
	if (r.stream)
		cudaStreamDestroy(r.stream);
	cudaFree(r.out);
	cudaFree(own);
	cudaFreeHost(host);
	if (cuda_check(err, rc, "timing the bus") != 0) {
		cudaGetLastError();     /* said: whoever comes next sees what still works */
		return -1;
	}
	return best > 0 ? best : fail(err, "cuda: the time of a read over the bus is unknown");
}

cudaError_t timing_load(void)
{
	return kernels_load(stream_kernel);
}
