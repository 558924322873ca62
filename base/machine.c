/* machine.c - see machine.h. */
#include "base/machine.h"
#include "base/cgroup.h"
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

/* Cores that quota microseconds in every period pay for, rounded up; 0: no limit. */
static int cores_of(long quota, long period)
{
	return quota > 0 && period > 0 ? (int)((quota + period - 1) / period) : 0;
}

static long number_in(const char *folder, const char *file)
{
	uint64_t n = 0;

	return cgroup_number(folder, file, "", &n) && n < LONG_MAX ? (long)n : 0;
}

/* The limit of one group: "QUOTA PERIOD" in cpu.max (version 2), or two files (version 1). */
static int folder_cores(const char *folder)
{
	char path[PATH_MAX];
	long quota = 0, period = 0;
	FILE *f;

	if (snprintf(path, sizeof(path), "%s/cpu.max", folder) >= (int)sizeof(path))
		return 0;
	f = fopen(path, "r");
	if (!f)
		return cores_of(number_in(folder, "cpu.cfs_quota_us"),
				number_in(folder, "cpu.cfs_period_us"));
	if (fscanf(f, "%ld %ld", &quota, &period) != 2)         /* "max" */
		quota = 0;
	fclose(f);
	return cores_of(quota, period);
}

static void see_quota(void *least, const char *folder)
{
	int n = folder_cores(folder), *to = least;

	if (n > 0 && (!*to || n < *to))
		*to = n;
}

int machine_quota(const char *groups, const char *root)
{
	int least = 0;

	cgroup_walk(groups, root, "cpu", see_quota, &least);
	return least;
}

int machine_cores(void)
{
	cpu_set_t set;
	int n = 1, quota = machine_quota("/proc/self/cgroup", "/sys/fs/cgroup");

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return quota > 0 && quota < n ? quota : n;
}

/* What a group and all within it may still take: page cache that nobody has looked at for a while
 * is dropped before anything is refused. */
static void see_memory(void *ctx, const char *folder)
{
	struct machine_memory *h = ctx;
	uint64_t max = UINT64_MAX, high = UINT64_MAX, used, cache = 0, left;

	if (cgroup_number(folder, "memory.current", "", &used)) {       /* version 2 */
		cgroup_number(folder, "memory.max", "", &max);
		cgroup_number(folder, "memory.high", "", &high);
		cgroup_number(folder, "memory.stat", "inactive_file", &cache);
	} else if (cgroup_number(folder, "memory.usage_in_bytes", "", &used)) {
		cgroup_number(folder, "memory.limit_in_bytes", "", &max);
		cgroup_number(folder, "memory.stat", "total_inactive_file", &cache);
	} else {
		return;
	}
	max = max < high ? max : high;
	if (max == UINT64_MAX)
		return;
	used -= cache < used ? cache : used;
	left = max > used ? max - used : 0;
	if (left < h->free) {
		h->free = (size_t)left;
		h->group = true;
	}
}

struct machine_memory machine_memory_at(const char *proc, const char *root)
{
	struct machine_memory h = { .free = SIZE_MAX };
	char groups[PATH_MAX];
	uint64_t kib;

	if (cgroup_number(proc, "meminfo", "MemAvailable", &kib))
		h.free = (size_t)kib * 1024;
	if (cgroup_number(proc, "meminfo", "SwapFree", &kib))
		h.swap = (size_t)kib * 1024;
	if (snprintf(groups, sizeof(groups), "%s/self/cgroup", proc) < (int)sizeof(groups))
		cgroup_walk(groups, root, "memory", see_memory, &h);
	return h;
}

struct machine_memory machine_memory(void)
{
	return machine_memory_at("/proc", "/sys/fs/cgroup");
}

size_t machine_free(void)
{
	return machine_memory().free;
}

size_t machine_taken(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fscanf(f, "%*u %llu", &pages) != 1)
		pages = 0;
	if (f)
		fclose(f);
	return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}
