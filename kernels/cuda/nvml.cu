/* nvml.cu - how much of the card this process takes, as the driver counts.
 *
 * The runtime only tells what is free for everybody; NVML, which comes with the driver, knows
 * processes.  It is opened at each look, which is rare.  Invariant: no failure here is an error. */
#include "kernels/cuda/dev_api.cuh"
#include <unistd.h>

struct process {        /* nvmlProcessInfo_t since driver 510 */
	unsigned pid;
	unsigned long long bytes;
	unsigned gpu_instance, compute_instance;
};

struct nvml {
	int (*begin)(void);
	int (*end)(void);
	int (*device)(const char *bus, void **device);
	int (*processes)(void *device, unsigned *n, struct process *);
};

static bool find(struct nvml *n)
{
	void *library = library_open("libnvidia-ml.so.1");

	if (!library)
		return false;
	*(void **)&n->begin = library_symbol(library, "nvmlInit_v2");
	*(void **)&n->end = library_symbol(library, "nvmlShutdown");
	*(void **)&n->device = library_symbol(library, "nvmlDeviceGetHandleByPciBusId_v2");
	*(void **)&n->processes = library_symbol(library,
						 "nvmlDeviceGetComputeRunningProcesses_v3");
	return n->begin && n->end && n->device && n->processes;
}

size_t nvml_used(void)
{
	enum { MOST = 64 };
	struct process all[MOST];
	unsigned n = MOST;
	struct nvml lib;
	void *device;
	char bus[32];
	size_t used = 0;
	int id = 0;

	if (!find(&lib) || cudaGetDevice(&id) != cudaSuccess ||
	    cudaDeviceGetPCIBusId(bus, sizeof(bus), id) != cudaSuccess || lib.begin() != 0)
		return 0;
	if (lib.device(bus, &device) == 0 && lib.processes(device, &n, all) == 0)
		for (unsigned i = 0; i < n && i < MOST; i++)
			if (all[i].pid == (unsigned)getpid() && all[i].bytes != ~0ull)
				used = (size_t)all[i].bytes;
	lib.end();
	return used;
}
