/* host_speed.h - how fast weights in host memory are read: over the bus by a device that has none
 * of them, and by the cpu as it computes with them; and how fast those are that the device has, and
 * a call of it.  What --host-layers auto and groups that both compute go by.
 *
 * Measured once for a model and a machine, and then kept in a small file of text.  No state.
 * Invariant: a speed is measured, here or when the file was written, or there is none. */
#ifndef S3D_HOST_SPEED_H
#define S3D_HOST_SPEED_H
#include "kernels/backend.h"

enum { HOST_DATE = 11 };
struct host_speed {
	double bus, cpu, own;   /* bytes a second; 0: not measured */
	double cross;           /* seconds until rows are handed over */
	char date[HOST_DATE];   /* of the measurement, as in 2026-11-30 */
};

/* What a measurement holds for. */
struct host_key {
	char model[65];         /* its hash, see sidecar_base */
	char device[64];        /* that reads over the bus */
	int threads;            /* of the cpu */
	const char *kernels;    /* as in backend_opt */
};

/* -1: no file at path, damaged, or it does not say. */
int host_speed_read(const char *path, const struct host_key *, struct host_speed *);
/* Beside what it says of others, in one step. */
int host_speed_write(const char *path, const struct host_key *, const struct host_speed *,
		     char err[ERR_MAX]);

/* From the file (NULL: there is none), else measured, which takes about a second, and written
 * there.  -1 with the reason.  note: "", or that it could not be written. */
int host_speed(const char *path, const struct backend *, const struct model *,
	       const struct backend_opt *, struct host_speed *, char note[ERR_MAX],
	       char err[ERR_MAX]);
#endif
