/* dev_api.cuh - what the parts of the cuda backend ask of each other on the host. */
#ifndef S3D_CUDA_DEV_API_CUH
#define S3D_CUDA_DEV_API_CUH
#include "kernels/backend_bus.h"
#include "kernels/cuda/op/product.cuh"

/* x_load: every kernel of a part has its first use, see kernels_load. */

/* 0, or -1 with err saying what went wrong while `doing`. */
int cuda_check(char err[ERR_MAX], cudaError_t, const char *doing);
static inline int dev_check(struct dev *d, cudaError_t rc, const char *doing)
{
	return rc == cudaSuccess ? 0 : cuda_check(d->err, rc, doing);
}

/* Memory that is handed out from its beginning on; base NULL: only to see how much it takes. */
struct arena {
	uint8_t *base;
	size_t at;
};
static inline void *arena_take(struct arena *a, size_t n, size_t size)
{
	uint8_t *p = a->base + a->at;

	a->at += align_up(n * size);
	return p;
}

/* backend.cu: activations of n rows, of k columns. */
void act_place(struct act *, struct arena *, int n, int k);

/* cache.cu: see backend.h.  kv_place sets all sizes, from dev and n_ctx, and places, from arena on,
 * which may be NULL to see how much it takes; this is returned. */
struct kv *kv_new(struct dev *, int n_ctx, char err[ERR_MAX]);
void kv_free(struct kv *);
size_t kv_bytes(const struct kv *);
int kv_back(const struct kv *);
size_t kv_place(struct kv *);
size_t kv_row_bytes(const struct kv *);         /* keys and values of a position in one layer */
struct heads kv_heads(const struct kv *, int layer);

/* load.cu: where the weights lie, from the two arenas on; these may be NULL to see how much they
 * take, which goes into d->arena_bytes and d->host_bytes.  Then their contents, on the device's
 * stream.  The same for one matrix, and for n numbers of four bytes. */
void weights_place(struct dev *);
int weights_load(struct dev *, const struct backend_opt *, char err[ERR_MAX]);
struct mat mat_place(struct arena *, const struct gguf_tensor *);
int mat_load(struct dev *, const struct mat *, const struct gguf_tensor *, char err[ERR_MAX]);
int words_load(struct dev *, const void *to, const void *from, size_t n, char err[ERR_MAX]);

/* nvml.cu: bytes of the current device that this process takes; 0: unknown. */
size_t nvml_used(void);

/* graph.cu: the passes that were recorded.  0, or -1 with d->err. */
int graphs_open(struct dev *, char err[ERR_MAX]);
void graphs_close(struct dev *);
int graph_run(const struct step *, int (*record)(const struct step *));
void graphs_drop(struct dev *, const struct kv *);      /* those of a cache, NULL: all */

/* bridge.cu: rows that caches keep, and the bridge of a device, see backend_draft.h. */
int kv_keep(struct kv *, const int *layer, int n, char err[ERR_MAX]);
int bridge_open(struct dev *, const struct bridge *, char err[ERR_MAX]);
void bridge_close(struct dev *);
/* The rows that an operation is about to read, if the cache keeps these. */
int keep_rows(const struct step *, const struct op *);
/* What the bridge's matrix takes, from the row that is about to cross. */
int put_features(const struct step *);
/* What acts beside a stage of a layer, or NULL. */
const struct cuda_adapter *adapter_of(const struct dev *, const struct op *, int layer, enum adapt);
cudaError_t bridge_load(void);

/* multiply.cu */
struct product;
struct products;
void step_rows(struct step *, int n);           /* it has so many rows now */
const float *norm_weights(const struct dev *, struct norm_at, int i);   /* of the i-th of them */
struct act act_from(struct act, int row);       /* rows from there on */
struct join join_before(const struct step *, struct norm_at next);
void take_mats(struct product *, const struct cuda_layer *, enum stage);
int multiply(struct dev *, struct product *, const char *doing);
int multiply_group(const struct step *, struct products *, const char *doing);
int adapt(const struct step *, const struct op *, enum adapt, struct products *);

/* Rows in the end. */
static inline int step_end_rows(const struct step *s)
{
	return s->run->bridge ? s->n_out : s->n;
}

/* What makes the logits: all, or those of the draft vocabulary. */
static inline const struct mat *step_output(const struct step *s)
{
	const struct bridge *g = s->run->bridge;

	return g && g->vocab ? &s->d->cross.output : &s->d->output;
}

/* forward.cu */
int pass_queue(const struct step *);    /* all that a pass does goes into the stream */

/* call.cu */
const float *cuda_forward(struct dev *, struct kv *, const struct batch *);
const float *cuda_wait(struct dev *);
int cuda_guess(struct dev *, struct kv *, struct guess_batch *);

/* timing.cu: time and bytes of stages, copy bandwidth. */
int stage_look(struct dev *, struct backend_stage out[BACKEND_STAGES_MAX]);
void stage_count(const struct step *);
int stage_mark(const struct step *, enum stage, const struct op *);     /* it was queued */
int stage_sum(struct dev *);            /* the pass has ended: adds up what was marked */
void stage_close(struct dev *);
struct backend_counts counts_look(struct dev *);
double stream_time(struct dev *, size_t bytes);
double bus_read(enum bus_way, size_t bytes, char err[ERR_MAX]);
cudaError_t timing_load(void);
#endif
