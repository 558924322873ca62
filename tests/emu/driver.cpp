/* driver.cpp - the emulated driver: numbered calls, errors, the device's properties.
 *
 * Owns the state that inside.h describes.  Invariant: a lost device gives the same error to every
 * call but those that need no device, until cudaDeviceReset. */
#include "tests/emu/inside.h"
#include <cstdio>
#include <cstdlib>
#include <map>

enum { RUNTIME = 13000, SHARED_DEFAULT = 48 << 10, SHARED_MOST = 227 << 10 };

struct emu_state emu;
static thread_local cudaError_t last_error;

struct kernel {
	size_t fixed;           /* bytes of static shared memory */
	size_t allowed;         /* and most of dynamic */
};
static std::map<const void *, struct kernel> kernels;

static long from_environment(const char *name, long otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtol(s, nullptr, 10) : otherwise;
}

static void fault_from_environment(void)
{
	const char *s = getenv("EMU_FAIL");
	char *end;

	emu.fail_in = s ? strtol(s, &end, 10) : 0;
	emu.fail_with = cudaErrorUnknown;
	if (emu.fail_in && *end == ':')
		emu.fail_with = (cudaError_t)strtol(end + 1, nullptr, 10);
}

static void set_up(void)
{
	long arch = from_environment("EMU_ARCH", 90);

	emu.set = {};
	emu.set.devices = (int)from_environment("EMU_DEVICES", 1);
	emu.set.driver = (int)from_environment("EMU_DRIVER", RUNTIME);
	emu.set.major = (int)arch / 10;
	emu.set.minor = (int)arch % 10;
	emu.set.image = from_environment("EMU_IMAGE", 1);
	emu.set.memory = (size_t)from_environment("EMU_MEMORY", 8192) << 20;
	emu.set.others = (size_t)256 << 20;
	emu.set.multiprocessors = 16;
	emu.set.map_host = true;
	emu.set.order = (int)from_environment("EMU_ORDER", 0);
	emu.set.lazy = from_environment("EMU_LAZY", 0);
	emu.set.libraries = from_environment("EMU_LIBRARIES", 1);
	emu.set.trace = from_environment("EMU_TRACE", 0);
	if (emu.set.others > emu.set.memory / 2)
		emu.set.others = emu.set.memory / 2;
	fault_from_environment();
}

/* Before main, so that no call can come first. */
__attribute__((constructor(102))) static void at_start(void) { set_up(); }

struct emu_settings *emu_device(void) { return &emu.set; }
void emu_set_order(int order) { emu.set.order = order; }
void emu_libraries(bool present) { emu.set.libraries = present; }
long emu_calls(void) { return emu.calls; }
struct emu_use emu_memory(void) { return emu.use; }

void emu_set_lazy(bool lazy)
{
	std::lock_guard<std::recursive_mutex> hold(emu.lock);

	emu_finish();
	emu.set.lazy = lazy;
}

void emu_fail_at(long n, int error)
{
	emu.fail_in = n;
	emu.fail_with = (cudaError_t)error;
}

void emu_reset(void)
{
	std::lock_guard<std::recursive_mutex> hold(emu.lock);
	struct emu_use now = emu.use;

	emu_finish();
	set_up();
	emu.use = {};
	emu.use.device = emu.use.device_peak = now.device;
	emu.use.pinned = emu.use.pinned_peak = now.pinned;
	emu.use.allocations = now.allocations;
	emu.use.pinned_allocations = now.pinned_allocations;
	emu.use.streams = now.streams;
	emu.use.graphs = now.graphs;
	emu.use.execs = now.execs;
	emu.use.events = now.events;
	emu.use.libraries = now.libraries;
	emu.calls = 0;
	emu.lost = cudaSuccess;
	last_error = cudaSuccess;
}

/* After these the real device is of no use to the process. */
static bool is_sticky(cudaError_t e)
{
	return e == cudaErrorIllegalAddress || e == cudaErrorLaunchFailure ||
	       e == cudaErrorECCUncorrectable || e == cudaErrorLaunchTimeout ||
	       e == cudaErrorAssert || e == cudaErrorHardwareStackError ||
	       e == cudaErrorIllegalInstruction || e == cudaErrorMisalignedAddress;
}

static cudaError_t fault(void)
{
	if (!emu.fail_in || --emu.fail_in)
		return cudaSuccess;
	if (is_sticky(emu.fail_with))
		emu.lost = emu.fail_with;
	return emu.fail_with;
}

cudaError_t emu_enter(const char *name, int kind)
{
	cudaError_t e = fault();

	emu.calls++;
	if (emu.set.trace)
		fprintf(stderr, "emu: %ld %s%s%s\n", emu.calls, name, e ? " fails: " : "",
			e ? cudaGetErrorName(e) : "");
	if (e || kind & CALL_ANYWHERE)
		return e;
	if (emu.lost)
		return emu.lost;
	if (emu.set.driver / 1000 < RUNTIME / 1000)
		return cudaErrorInsufficientDriver;
	if (emu.set.devices == 0)
		return cudaErrorNoDevice;
	if (kind & CALL_UNSAFE && emu.capturing) {
		emu_break_captures();
		return cudaErrorStreamCaptureUnsupported;
	}
	return cudaSuccess;
}

cudaError_t emu_note(cudaError_t e)
{
	if (e && e != cudaErrorNotReady)
		last_error = e;
	return e;
}

cudaError_t cudaPeekAtLastError(void)
{
	std::lock_guard<std::recursive_mutex> hold(emu.lock);

	return emu.lost ? emu.lost : last_error;
}

cudaError_t cudaGetLastError(void)
{
	cudaError_t e = cudaPeekAtLastError();

	last_error = cudaSuccess;
	return e;
}

struct error_text {
	cudaError_t error;
	const char *name, *text;
};
static const struct error_text errors[] = {
#define EMU_ERROR(name, number, text) { name, #name, text },
	EMU_ERRORS(EMU_ERROR)
};

static const struct error_text *find_error(cudaError_t e)
{
	static const struct error_text unknown = { e, "unrecognized error code",
						   "unrecognized error code" };

	for (const struct error_text &t : errors)
		if (t.error == e)
			return &t;
	return &unknown;
}

const char *cudaGetErrorString(cudaError_t e) { return find_error(e)->text; }
const char *cudaGetErrorName(cudaError_t e) { return find_error(e)->name; }

cudaError_t cudaDriverGetVersion(int *version)
{
	return emu_call("cudaDriverGetVersion", CALL_ANYWHERE, [=] {
		*version = emu.set.driver;
		return cudaSuccess;
	});
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
	return emu_call("cudaRuntimeGetVersion", CALL_ANYWHERE, [=] {
		*version = RUNTIME;
		return cudaSuccess;
	});
}

cudaError_t cudaGetDeviceCount(int *n)
{
	*n = 0;
	return emu_call("cudaGetDeviceCount", CALL_PLAIN, [=] {
		*n = emu.set.devices;
		return cudaSuccess;
	});
}

static cudaError_t check_device(int device)
{
	return device >= 0 && device < emu.set.devices ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaSetDevice(int device)
{
	return emu_call("cudaSetDevice", CALL_PLAIN, [=] { return check_device(device); });
}

cudaError_t cudaGetDevice(int *device)
{
	return emu_call("cudaGetDevice", CALL_PLAIN, [=] {
		*device = 0;
		return cudaSuccess;
	});
}

cudaError_t cudaSetDeviceFlags(unsigned)
{
	return emu_call("cudaSetDeviceFlags", CALL_PLAIN, [] { return cudaSuccess; });
}

static void describe(struct cudaDeviceProp *p, int device)
{
	*p = {};
	snprintf(p->name, sizeof(p->name), "Emulated GPU");
	p->totalGlobalMem = emu.set.memory;
	p->sharedMemPerBlock = SHARED_DEFAULT;
	p->sharedMemPerBlockOptin = SHARED_MOST;
	p->sharedMemPerMultiprocessor = SHARED_MOST + 1024;
	p->major = emu.set.major;
	p->minor = emu.set.minor;
	p->multiProcessorCount = emu.set.multiprocessors;
	p->warpSize = 32;
	p->maxThreadsPerBlock = 1024;
	p->maxThreadsPerMultiProcessor = 2048;
	p->regsPerBlock = 65536;
	p->l2CacheSize = 4 << 20;
	p->memoryBusWidth = 256;
	p->pciBusID = device + 1;
	p->integrated = emu.set.integrated;
	p->canMapHostMemory = emu.set.map_host;
	p->unifiedAddressing = 1;
	p->hostRegisterSupported = 1;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int device)
{
	return emu_call("cudaGetDeviceProperties", CALL_PLAIN, [=] {
		cudaError_t e = check_device(device);

		if (!e)
			describe(p, device);
		return e;
	});
}

static cudaError_t attribute(enum cudaDeviceAttr which, const struct cudaDeviceProp *p, int *value)
{
	switch (which) {
	case cudaDevAttrMaxThreadsPerBlock: *value = p->maxThreadsPerBlock; break;
	case cudaDevAttrMaxSharedMemoryPerBlock: *value = (int)p->sharedMemPerBlock; break;
	case cudaDevAttrWarpSize: *value = p->warpSize; break;
	case cudaDevAttrClockRate: *value = 1500000; break;
	case cudaDevAttrMultiProcessorCount: *value = p->multiProcessorCount; break;
	case cudaDevAttrIntegrated: *value = p->integrated; break;
	case cudaDevAttrCanMapHostMemory: *value = p->canMapHostMemory; break;
	case cudaDevAttrPciBusId: *value = p->pciBusID; break;
	case cudaDevAttrPciDeviceId: *value = p->pciDeviceID; break;
	case cudaDevAttrMemoryClockRate: *value = 7000000; break;
	case cudaDevAttrGlobalMemoryBusWidth: *value = p->memoryBusWidth; break;
	case cudaDevAttrL2CacheSize: *value = p->l2CacheSize; break;
	case cudaDevAttrMaxThreadsPerMultiProcessor:
		*value = p->maxThreadsPerMultiProcessor; break;
	case cudaDevAttrUnifiedAddressing: *value = 1; break;
	case cudaDevAttrPciDomainId: *value = p->pciDomainID; break;
	case cudaDevAttrComputeCapabilityMajor: *value = p->major; break;
	case cudaDevAttrComputeCapabilityMinor: *value = p->minor; break;
	case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
		*value = (int)p->sharedMemPerMultiprocessor; break;
	case cudaDevAttrPageableMemoryAccess: *value = 0; break;
	case cudaDevAttrCanUseHostPointerForRegisteredMem: *value = 1; break;
	case cudaDevAttrMaxSharedMemoryPerBlockOptin:
		*value = (int)p->sharedMemPerBlockOptin; break;
	case cudaDevAttrHostRegisterSupported: *value = 1; break;
	case cudaDevAttrHostRegisterReadOnlySupported: *value = 1; break;
	default: return cudaErrorInvalidValue;
	}
	return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr which, int device)
{
	return emu_call("cudaDeviceGetAttribute", CALL_PLAIN, [=] {
		struct cudaDeviceProp p;
		cudaError_t e = check_device(device);

		if (e)
			return e;
		describe(&p, device);
		return attribute(which, &p, value);
	});
}

cudaError_t cudaDeviceGetPCIBusId(char *id, int size, int device)
{
	return emu_call("cudaDeviceGetPCIBusId", CALL_PLAIN, [=] {
		cudaError_t e = check_device(device);

		if (!e && snprintf(id, (size_t)size, "0000:%02x:00.0", device + 1) >= size)
			e = cudaErrorInvalidValue;
		return e;
	});
}

cudaError_t cudaDeviceSynchronize(void)
{
	return emu_call("cudaDeviceSynchronize", CALL_UNSAFE, [] {
		emu.use.syncs++;
		emu_finish();
		return emu.lost;
	});
}

/* Frees all device memory; the real one also makes a lost device usable again. */
cudaError_t cudaDeviceReset(void)
{
	return emu_call("cudaDeviceReset", CALL_UNSAFE | CALL_ALWAYS, [] {
		emu_finish();
		emu_free_all();
		emu.lost = cudaSuccess;
		return cudaSuccess;
	});
}

static struct kernel *find_kernel(const void *f)
{
	auto it = kernels.find(f);

	if (it == kernels.end()) {
		size_t fixed = emu_static_shared(f);

		emu.use.loads++;

		it = kernels.insert({ f, { fixed, SHARED_DEFAULT - fixed } }).first;
	}
	return &it->second;
}

/* Static and dynamic memory share what there is. */
bool emu_shared_fits(const void *f, size_t dynamic)
{
	return dynamic <= find_kernel(f)->allowed;
}

cudaError_t cudaFuncSetAttribute(const void *f, enum cudaFuncAttribute which, int value)
{
	return emu_call("cudaFuncSetAttribute", CALL_PLAIN, [=] {
		if (!emu.set.image)
			return cudaErrorNoKernelImageForDevice;
		if (which != cudaFuncAttributeMaxDynamicSharedMemorySize)
			return cudaSuccess;
		struct kernel *k = find_kernel(f);

		if (value < 0 || (size_t)value + k->fixed > SHARED_MOST)
			return cudaErrorInvalidValue;
		k->allowed = (size_t)value;
		return cudaSuccess;
	});
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *attr, const void *f)
{
	return emu_call("cudaFuncGetAttributes", CALL_PLAIN, [=] {
		if (!emu.set.image)
			return cudaErrorNoKernelImageForDevice;
		*attr = {};
		attr->maxThreadsPerBlock = 1024;
		attr->numRegs = 64;
		attr->ptxVersion = attr->binaryVersion = emu.set.major * 10 + emu.set.minor;
		attr->sharedSizeBytes = find_kernel(f)->fixed;
		attr->maxDynamicSharedSizeBytes = (int)find_kernel(f)->allowed;
		return cudaSuccess;
	});
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *f, int threads,
							  size_t shared)
{
	return emu_call("cudaOccupancyMaxActiveBlocksPerMultiprocessor", CALL_PLAIN, [=] {
		if (threads < 1 || threads > 1024)
			return cudaErrorInvalidValue;
		size_t all = shared + find_kernel(f)->fixed;
		int by_threads = 2048 / ((threads + 31) / 32 * 32);
		int by_shared = all > SHARED_MOST ? 0 : (SHARED_MOST + 1024) / ((int)all + 1024);

		*blocks = by_shared < by_threads ? by_shared : by_threads;
		return cudaSuccess;
	});
}
