/* backend_abi.h - the handshake between the program and a backend in a shared object of its own.
 *
 * No state.  Invariant: both sides are built from the same headers, or the entry refuses. */
#ifndef S3D_BACKEND_ABI_H
#define S3D_BACKEND_ABI_H
#include "kernels/backend_bus.h"
#include "kernels/backend_columns.h"
#include "kernels/backend_draft.h"
#include "kernels/schedule.h"
#include "kernels/backend_time.h"
#include <stdio.h>
#include <string.h>
#ifdef __cplusplus
extern "C" {
#endif

/* A backend in a file of its own is asked for by this name, with backend_abi of the program that
 * loads it.  NULL with the reason: it was built for another program, or finds no device. */
#define BACKEND_ENTRY "s3dcuda_open"
typedef const struct backend *backend_entry(const char *abi, char err[ERR_MAX]);
__attribute__((visibility("default"))) backend_entry s3dcuda_open;

/* The version, and the sizes of all that both sides look into. */
enum { BACKEND_ABI_MAX = 128 };
static inline const char *backend_abi(char out[BACKEND_ABI_MAX])
{
	snprintf(out, BACKEND_ABI_MAX,
		 "%s/%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu.%zu",
		 S3D_VERSION,
		 sizeof(struct backend), sizeof(struct backend_opt), sizeof(struct backend_memory),
		 sizeof(struct backend_stage), sizeof(struct batch), sizeof(struct lane),
		 sizeof(struct schedule), sizeof(struct model), sizeof(struct gguf_tensor),
		 sizeof(struct quant_info), sizeof(struct guess_batch), sizeof(struct bridge),
		 sizeof(struct backend_draft), sizeof(struct backend_bus),
		 sizeof(struct backend_counts), sizeof(struct backend_columns));
	return out;
}
/* What the entry asks first; -1 with the reason. */
static inline int backend_abi_check(const char *abi, char err[ERR_MAX])
{
	char mine[BACKEND_ABI_MAX];

	if (!strcmp(backend_abi(mine), abi))
		return 0;
	snprintf(err, ERR_MAX, "it was built for s3dchat %s, and this is %s; build both anew", mine,
		 abi);
	return -1;
}

#ifdef __cplusplus
}
#endif
#endif
