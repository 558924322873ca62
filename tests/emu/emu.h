/* emu.h - what a test may ask of the emulated device: order, faults, sizes and counts.
 *
 * Plain C, so that C tests can use it; errors are numbers of cudaError_t.  Everything here is about
 * the one emulated driver of the process.  Invariant: without these calls and without EMU_* in the
 * environment the device is healthy, has 8 GiB and runs threads in order. */
#ifndef EMU_EMU_H
#define EMU_EMU_H
#include <stdbool.h>
#include <stddef.h>
#ifdef __cplusplus
extern "C" {
#endif

struct emu_settings {           /* each from the environment variable behind it, if that is set */
	int devices;            /* EMU_DEVICES */
	int driver;             /* EMU_DRIVER, like 13000; 0: there is none */
	int major, minor;       /* EMU_ARCH, like 75: compute capability */
	bool image;             /* EMU_IMAGE: the program has code for that capability */
	size_t memory;          /* EMU_MEMORY (MiB), the device's bytes */
	size_t others;          /* bytes that other programs use */
	int multiprocessors;
	bool integrated, map_host;
	int order;              /* EMU_ORDER, see emu_set_order */
	bool lazy;              /* EMU_LAZY, see emu_set_lazy */
	bool libraries;         /* EMU_LIBRARIES: cuBLAS and NVML can be opened */
	bool trace;             /* EMU_TRACE: every numbered call is written to stderr */
};
struct emu_settings *emu_device(void);        /* to read or to change */

/* In which order the warps of a block, the lanes of a warp and the blocks of a grid run: 0 forward,
 * 1 backward, more: at random from that seed. */
void emu_set_order(int order);
/* true: what is put into a stream runs only when somebody waits for it, as late as is allowed.
 * What cudaMemset and cudaMemcpy leave to the default stream always does. */
void emu_set_lazy(bool lazy);
void emu_libraries(bool present);

/* Calls of the runtime, of libraries and launches are numbered from 1; the n-th from now fails with
 * the error, 0 takes that back.  Also EMU_FAIL=n or n:error. */
void emu_fail_at(long n, int error);
long emu_calls(void);                   /* how many there were */

struct emu_use {
	size_t device, device_peak;     /* bytes as a driver counts them, in steps of 512 */
	size_t pinned, pinned_peak;     /* bytes, registered ones too */
	/* what exists */
	long allocations, pinned_allocations, streams, graphs, execs, events, libraries;
	/* what was done */
	long launches, graph_launches, kernels, captures, instantiations, mallocs, syncs;
	long loads;                     /* kernels that had a first use */
	long products;                  /* of matrices, by cuBLAS */
	size_t copied;
};
struct emu_use emu_memory(void);

/* Settings from the environment, counters and peaks from now, no fault; what exists stays. */
void emu_reset(void);

void *emu_dlopen(const char *name, int flags);
void *emu_dlsym(void *library, const char *name);
int emu_dlclose(void *library);

#ifdef __cplusplus
}
#endif
#endif
