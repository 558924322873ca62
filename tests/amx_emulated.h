/* amx_emulated.h - the tile instructions in plain C, for machines without them.
 *
 * After the operations in Intel's SDM, volume 2: what would trap there fails an assertion here.  A
 * thread has its own tiles.  Invariant: only what amx.h offers is offered. */
#ifndef S3D_AMX_EMULATED_H
#define S3D_AMX_EMULATED_H

struct tile_config;
void tile_configure(const struct tile_config *);
void tile_release(void);
void tile_zero(int t);
void tile_load(int t, const void *p, long stride);
void tile_store(int t, void *p, long stride);
void tile_dot(int sum, int a, int b);           /* tdpbssd */
#endif
