/* cpuinfo.c - what this machine really allows: instruction sets and cores.
 *
 * GCC's cpu model asks the operating system (XGETBV) as well as the processor, so a feature that
 * is listed but not granted is not used.  No state. */
#include "kernels/cpu/cpu.h"
#include "kernels/registry.h"
#include "base/cgroup.h"
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#if defined(__x86_64__)
static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __builtin_cpu_supports("f16c");
}

static bool has_avx512(void)
{
	return has_avx2() && __builtin_cpu_supports("avx512f") &&
	       __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
	       __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512vnni");
}
#endif

const struct cpu_kernels *cpu_kernels_find(const char *name, char err[ERR_MAX])
{
	bool any = !name || !strcmp(name, "auto") || !strcmp(name, "float");

#if defined(__x86_64__)
	if ((any || !strcmp(name, "amx")) && has_avx512() && !amx_refused())
		return &cpu_kernels_amx;
	if ((any || !strcmp(name, "avx512")) && has_avx512())
		return &cpu_kernels_avx512;
	if ((any || !strcmp(name, "avx2")) && has_avx2())
		return &cpu_kernels_avx2;
#endif
	if (any || !strcmp(name, "generic"))
		return &cpu_kernels_generic;
	if (!strcmp(name, "amx") && amx_refused())
		fail(err, "kernels 'amx' cannot run: %s; use auto, float or generic",
		     amx_refused());
	else
		fail(err, "kernels '%s' cannot run on this processor; use auto, float or generic",
		     name);
	return NULL;
}

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

static void see_group(void *least, const char *folder)
{
	int n = folder_cores(folder), *to = least;

	if (n > 0 && (!*to || n < *to))
		*to = n;
}

int cpu_quota_cores(const char *groups, const char *root)
{
	int least = 0;

	cgroup_walk(groups, root, "cpu", see_group, &least);
	return least;
}

int cpu_usable_cores(void)
{
	cpu_set_t set;
	int n = 1, quota = cpu_quota_cores("/proc/self/cgroup", "/sys/fs/cgroup");

	if (sched_getaffinity(0, sizeof(set), &set) == 0)
		n = CPU_COUNT(&set);
	return quota > 0 && quota < n ? quota : n;
}
