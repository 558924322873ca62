/* backend_bus.h - the way from a device with memory of its own to the host's, for who decides
 * whether layers are read over it in every pass.
 *
 * No state, and no device is open: what is measured is the machine. */
#ifndef S3D_BACKEND_BUS_H
#define S3D_BACKEND_BUS_H
#include "base/util.h"
#ifdef __cplusplus
extern "C" {
#endif

enum { BUS_NAME = 64 };
enum bus_way {
	BUS_HOST,               /* of pinned host memory */
	BUS_OWN,                /* of its own */
	BUS_CALL,               /* of the host's, from the call until the host knows of the end */
};
struct backend_bus {
	/* What the device is called, as its driver says. */
	int (*name)(char out[BUS_NAME], char err[ERR_MAX]);
	/* Seconds in which it reads so many bytes, as its kernels do; -1 with the reason. */
	double (*read)(enum bus_way, size_t bytes, char err[ERR_MAX]);
};

#ifdef __cplusplus
}
#endif
#endif
