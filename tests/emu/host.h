/* host.h - the CUDA runtime's names: what of them kernels/cuda may use, as in CUDA 13.
 *
 * Numbers, signatures and results are the real ones; structs have only the members that somebody
 * reads.  Owners: whoever creates a thing destroys it, as with the real runtime. */
#ifndef EMU_HOST_H
#define EMU_HOST_H
#include "tests/emu/types.h"
#include <cstddef>

/* name, number, text */
#define EMU_ERRORS(_) \
	_(cudaSuccess, 0, "no error") \
	_(cudaErrorInvalidValue, 1, "invalid argument") \
	_(cudaErrorMemoryAllocation, 2, "out of memory") \
	_(cudaErrorInitializationError, 3, "initialization error") \
	_(cudaErrorInvalidConfiguration, 9, "invalid configuration argument") \
	_(cudaErrorInsufficientDriver, 35, \
	  "CUDA driver version is insufficient for CUDA runtime version") \
	_(cudaErrorDevicesUnavailable, 46, "CUDA-capable device(s) is/are busy or unavailable") \
	_(cudaErrorInvalidDeviceFunction, 98, "invalid device function") \
	_(cudaErrorNoDevice, 100, "no CUDA-capable device is detected") \
	_(cudaErrorInvalidDevice, 101, "invalid device ordinal") \
	_(cudaErrorNoKernelImageForDevice, 209, \
	  "no kernel image is available for execution on the device") \
	_(cudaErrorECCUncorrectable, 214, "uncorrectable ECC error encountered") \
	_(cudaErrorUnsupportedPtxVersion, 222, \
	  "the provided PTX was compiled with an unsupported toolchain.") \
	_(cudaErrorOperatingSystem, 304, "OS call failed or operation not supported on this OS") \
	_(cudaErrorInvalidResourceHandle, 400, "invalid resource handle") \
	_(cudaErrorNotReady, 600, "device not ready") \
	_(cudaErrorIllegalAddress, 700, "an illegal memory access was encountered") \
	_(cudaErrorLaunchOutOfResources, 701, "too many resources requested for launch") \
	_(cudaErrorLaunchTimeout, 702, "the launch timed out and was terminated") \
	_(cudaErrorAssert, 710, "device-side assert triggered") \
	_(cudaErrorHostMemoryAlreadyRegistered, 712, \
	  "part or all of the requested memory range is already mapped") \
	_(cudaErrorHostMemoryNotRegistered, 713, \
	  "pointer does not correspond to a registered memory region") \
	_(cudaErrorHardwareStackError, 714, "hardware stack error") \
	_(cudaErrorIllegalInstruction, 715, "an illegal instruction was encountered") \
	_(cudaErrorMisalignedAddress, 716, "misaligned address") \
	_(cudaErrorLaunchFailure, 719, "unspecified launch failure") \
	_(cudaErrorNotPermitted, 800, "operation not permitted") \
	_(cudaErrorNotSupported, 801, "operation not supported") \
	_(cudaErrorSystemNotReady, 802, "system not yet initialized") \
	_(cudaErrorSystemDriverMismatch, 803, \
	  "system has unsupported display driver / cuda driver combination") \
	_(cudaErrorStreamCaptureUnsupported, 900, \
	  "operation not permitted when stream is capturing") \
	_(cudaErrorStreamCaptureInvalidated, 901, \
	  "operation failed due to a previous error during capture") \
	_(cudaErrorStreamCaptureUnmatched, 903, \
	  "capture was not ended in the same stream as it began") \
	_(cudaErrorCapturedEvent, 907, "operation not permitted on an event last recorded in a " \
	  "capturing stream") \
	_(cudaErrorStreamCaptureWrongThread, 908, \
	  "attempt to terminate a thread-local capture sequence from another thread") \
	_(cudaErrorUnknown, 999, "unknown error")
enum cudaError {
#define EMU_ERROR(name, number, text) name = number,
	EMU_ERRORS(EMU_ERROR)
#undef EMU_ERROR
};
typedef enum cudaError cudaError_t;

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;
typedef struct CUgraphNode_st *cudaGraphNode_t;

enum cudaMemcpyKind { cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost,
	cudaMemcpyDeviceToDevice, cudaMemcpyDefault };
enum cudaStreamCaptureMode { cudaStreamCaptureModeGlobal, cudaStreamCaptureModeThreadLocal,
	cudaStreamCaptureModeRelaxed };
enum cudaStreamCaptureStatus { cudaStreamCaptureStatusNone, cudaStreamCaptureStatusActive,
	cudaStreamCaptureStatusInvalidated };
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize = 8,
	cudaFuncAttributePreferredSharedMemoryCarveout = 9 };
enum { cudaHostAllocDefault = 0, cudaHostAllocPortable = 1, cudaHostAllocMapped = 2,
	cudaHostAllocWriteCombined = 4 };
enum { cudaHostRegisterDefault = 0, cudaHostRegisterPortable = 1, cudaHostRegisterMapped = 2,
	cudaHostRegisterIoMemory = 4, cudaHostRegisterReadOnly = 8 };
enum { cudaStreamDefault = 0, cudaStreamNonBlocking = 1 };
enum { cudaEventDefault = 0, cudaEventBlockingSync = 1, cudaEventDisableTiming = 2 };
enum { cudaDeviceScheduleAuto = 0, cudaDeviceScheduleSpin = 1, cudaDeviceScheduleYield = 2,
	cudaDeviceScheduleBlockingSync = 4, cudaDeviceMapHost = 8 };
enum cudaDeviceAttr {
	cudaDevAttrMaxThreadsPerBlock = 1, cudaDevAttrMaxSharedMemoryPerBlock = 8,
	cudaDevAttrWarpSize = 10, cudaDevAttrClockRate = 13, cudaDevAttrMultiProcessorCount = 16,
	cudaDevAttrIntegrated = 18, cudaDevAttrCanMapHostMemory = 19, cudaDevAttrPciBusId = 33,
	cudaDevAttrPciDeviceId = 34, cudaDevAttrMemoryClockRate = 36,
	cudaDevAttrGlobalMemoryBusWidth = 37, cudaDevAttrL2CacheSize = 38,
	cudaDevAttrMaxThreadsPerMultiProcessor = 39, cudaDevAttrUnifiedAddressing = 41,
	cudaDevAttrPciDomainId = 50, cudaDevAttrComputeCapabilityMajor = 75,
	cudaDevAttrComputeCapabilityMinor = 76, cudaDevAttrMaxSharedMemoryPerMultiprocessor = 81,
	cudaDevAttrPageableMemoryAccess = 88, cudaDevAttrCanUseHostPointerForRegisteredMem = 91,
	cudaDevAttrMaxSharedMemoryPerBlockOptin = 97, cudaDevAttrHostRegisterSupported = 99,
	cudaDevAttrHostRegisterReadOnlySupported = 113,
};

struct cudaDeviceProp {
	char name[256];
	size_t totalGlobalMem, sharedMemPerBlock, sharedMemPerBlockOptin;
	size_t sharedMemPerMultiprocessor;
	int major, minor, multiProcessorCount, warpSize, maxThreadsPerBlock;
	int maxThreadsPerMultiProcessor, regsPerBlock, l2CacheSize, memoryBusWidth;
	int pciBusID, pciDeviceID, pciDomainID;
	int integrated, canMapHostMemory, unifiedAddressing, hostRegisterSupported;
};
struct cudaFuncAttributes {
	size_t sharedSizeBytes, constSizeBytes, localSizeBytes;
	int maxThreadsPerBlock, numRegs, ptxVersion, binaryVersion, maxDynamicSharedSizeBytes;
};

cudaError_t cudaGetLastError(void);
cudaError_t cudaPeekAtLastError(void);
const char *cudaGetErrorString(cudaError_t);
const char *cudaGetErrorName(cudaError_t);

cudaError_t cudaDriverGetVersion(int *);
cudaError_t cudaRuntimeGetVersion(int *);
cudaError_t cudaGetDeviceCount(int *);
cudaError_t cudaSetDevice(int);
cudaError_t cudaGetDevice(int *);
cudaError_t cudaSetDeviceFlags(unsigned);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *, int device);
cudaError_t cudaDeviceGetAttribute(int *, enum cudaDeviceAttr, int device);
cudaError_t cudaDeviceGetPCIBusId(char *, int size, int device);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaDeviceReset(void);

cudaError_t cudaMemGetInfo(size_t *free, size_t *total);
cudaError_t cudaMalloc(void **, size_t);
cudaError_t cudaFree(void *);
cudaError_t cudaHostAlloc(void **, size_t, unsigned flags);
cudaError_t cudaMallocHost(void **, size_t);
cudaError_t cudaFreeHost(void *);
cudaError_t cudaHostGetDevicePointer(void **, void *, unsigned flags);
cudaError_t cudaHostRegister(void *, size_t, unsigned flags);
cudaError_t cudaHostUnregister(void *);
cudaError_t cudaMemcpy(void *to, const void *from, size_t, enum cudaMemcpyKind);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t, enum cudaMemcpyKind,
			    cudaStream_t = nullptr);
cudaError_t cudaMemset(void *, int value, size_t);
cudaError_t cudaMemsetAsync(void *, int value, size_t, cudaStream_t = nullptr);

cudaError_t cudaStreamCreate(cudaStream_t *);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaStreamQuery(cudaStream_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned flags = 0);
cudaError_t cudaStreamBeginCapture(cudaStream_t, enum cudaStreamCaptureMode);
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t *);
cudaError_t cudaStreamIsCapturing(cudaStream_t, enum cudaStreamCaptureStatus *);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *, cudaGraph_t, unsigned long long flags = 0);
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t);
cudaError_t cudaGraphGetNodes(cudaGraph_t, cudaGraphNode_t *, size_t *);
cudaError_t cudaGraphDestroy(cudaGraph_t);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t);

cudaError_t cudaEventCreate(cudaEvent_t *);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *, unsigned flags);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t = nullptr);
cudaError_t cudaEventQuery(cudaEvent_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to);
cudaError_t cudaEventDestroy(cudaEvent_t);

cudaError_t cudaFuncSetAttribute(const void *, enum cudaFuncAttribute, int value);
cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *, const void *);
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *, int threads,
							  size_t shared);

/* As cuda_runtime.h has them for C++. */
template <class T> static inline cudaError_t cudaMalloc(T **p, size_t n)
{
	return cudaMalloc((void **)p, n);
}
template <class T> static inline cudaError_t cudaHostAlloc(T **p, size_t n, unsigned flags)
{
	return cudaHostAlloc((void **)p, n, flags);
}
template <class T> static inline cudaError_t cudaMallocHost(T **p, size_t n)
{
	return cudaMallocHost((void **)p, n);
}
template <class T>
static inline cudaError_t cudaHostGetDevicePointer(T **p, void *host, unsigned flags)
{
	return cudaHostGetDevicePointer((void **)p, host, flags);
}
template <class T>
static inline cudaError_t cudaFuncSetAttribute(T *f, enum cudaFuncAttribute which, int value)
{
	return cudaFuncSetAttribute((const void *)f, which, value);
}
template <class T>
static inline cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attr, T *f)
{
	return cudaFuncGetAttributes(attr, (const void *)f);
}
template <class T>
static inline cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, T *f,
									int threads, size_t shared)
{
	return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, (const void *)f, threads,
							     shared);
}
#endif
