/* registry.h - which backends there are, by name, and how many threads they may have.
 *
 * Their tables are static, or stay loaded until the process ends. */
#ifndef S3D_REGISTRY_H
#define S3D_REGISTRY_H
#include "kernels/backend.h"

extern const struct backend backend_cpu;
/* Threads for who asks for so many (0: as many as there may be): no more than processors, for they
 * wait for each other in every stage, and crawl when they share one.  note: "", or that it is so.
 */
int backend_threads(int asked, char note[ERR_MAX]);
/* The one in the shared object beside the program; NULL with the reason when it cannot be loaded or
 * there is no GPU that it can use. */
const struct backend *backend_cuda(char err[ERR_MAX]);
/* NULL or "auto": the best that works here; err then says why a better one does not, or is "". */
const struct backend *backend_find(const char *name, char err[ERR_MAX]);

/* What is wrong with a backend of this name: "cuda: " before a text that does not begin so. */
int backend_fail(const char *name, const char *text, const char *then, char err[ERR_MAX]);
#endif
