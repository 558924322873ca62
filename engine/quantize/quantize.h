/* quantize.h - a model file with other tensor types: a smaller copy of it.
 *
 * Everything but the data of tensors is copied as it stands.  One tensor is worked on at a time, in
 * pieces, so memory does not grow with the model; the new file takes its place when it is whole, or
 * not at all.  struct quantizer owns the open file and the list of types.
 * Invariant: of the input nothing is written to. */
#ifndef S3D_QUANTIZE_H
#define S3D_QUANTIZE_H
#include "engine/quantize/importance.h"
#include "engine/quantize/recipe.h"

struct quantizer;

/* importance: kept by the caller, or NULL.  Fails for what is no model, for a part of one, and for
 * types that cannot be written. */
struct quantizer *quantize_open(const char *in, const struct recipe *, const struct importance *,
				char err[ERR_MAX]);
void quantize_close(struct quantizer *);

struct quantize_tensor {        /* one of the new file */
	struct gguf_str name;
	int n_dims;
	int64_t dim[4];
	enum quant_type from, to;
	size_t bytes_from, bytes;
	bool measured;          /* errors are weighted by its activations */
};
int64_t quantize_tensors(const struct quantizer *);
struct quantize_tensor quantize_tensor_at(const struct quantizer *, int64_t i);
struct quantize_size {
	size_t bytes_from, bytes;       /* of all tensors */
	int64_t weights;                /* numbers in them */
	bool again;             /* some of the input were quantised already, to fewer than 8 bits */
};
struct quantize_size quantize_size(const struct quantizer *);

struct quantize_job {
	int n_threads;
	void (*progress)(void *ctx, double done);       /* or NULL */
	bool (*stop)(void *ctx);                        /* or NULL */
	void *ctx;
};
/* 0; -1 with err; 1: asked to stop.  Then there is no new file. */
int quantize_write(struct quantizer *, const char *out, const struct quantize_job *,
		   char err[ERR_MAX]);
#endif
