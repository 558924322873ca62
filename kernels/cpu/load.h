/* load.h - a tensor of a file becomes a matrix of the cpu backend.
 *
 * A matrix points into an arena of its owner's, where its type is packed, or into the file.
 * Invariant: mat_load takes exactly mat_packed bytes of the arena. */
#ifndef S3D_CPU_LOAD_H
#define S3D_CPU_LOAD_H
#include "kernels/cpu/dev.h"

/* How a packed matrix lies: unit by unit, or by columns, where its type can. */
enum lie { BY_UNITS, BY_COLUMNS };

enum { ARENA_PAST = 4096 };             /* kernels prefetch past the end of an arena */
bool mat_packs(const struct dev *, const struct gguf_tensor *);
size_t mat_packed(const struct dev *, const struct gguf_tensor *, enum lie);   /* 0: it is not */
/* With all threads; *at moves on.  file: whose pages need not stay in memory, or NULL. */
void mat_load(struct dev *, struct mat *, const struct gguf_tensor *, const struct gguf *file,
	      enum lie, uint8_t **at);
/* Again, in the place of a matrix that has room for `most` bytes; without it, nothing happens. */
void mat_lay(struct dev *, struct mat *, const struct gguf_tensor *, const struct gguf *file,
	     enum lie, size_t most);
#endif
