/* platform.cuh - CUDA as nvcc has it, or the emulation of tests/emu for machines without a GPU.
 *
 * Owns nothing.  Invariant: kernels are launched by LAUNCH alone, and shared memory whose size is
 * known at the launch is named by DYNAMIC_SHARED, so the same source runs in both worlds. */
#ifndef S3D_CUDA_PLATFORM_CUH
#define S3D_CUDA_PLATFORM_CUH
#ifdef __CUDACC__
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <dlfcn.h>
#define LAUNCH(kernel, grid, block, shared, stream, ...) \
	kernel<<<(grid), (block), (shared), (stream)>>>(__VA_ARGS__)
#define DYNAMIC_SHARED(T, name) extern __shared__ __align__(16) unsigned char shared_bytes[]; \
	T *name = (T *)shared_bytes
/* A function of its own, whose registers the kernel does not have to spare. */
#define APART __noinline__
#define library_open(name) dlopen((name), RTLD_NOW | RTLD_LOCAL)
#define library_symbol dlsym
#else
#include "tests/emu/cuda_emu.h"
#define APART
#define library_open(name) emu_dlopen((name), 0)
#define library_symbol emu_dlsym
#endif
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* A kernel that is loaded at its first use wants memory, and may wait for the device: at a time
 * when all memory is planned for, or a pass is recorded.  This is its first use. */
template <class... F> static inline cudaError_t kernels_load(F *...kernel)
{
	struct cudaFuncAttributes a;
	cudaError_t rc = cudaSuccess;

	((rc = rc == cudaSuccess ? cudaFuncGetAttributes(&a, kernel) : rc), ...);
	return rc;
}
#endif
