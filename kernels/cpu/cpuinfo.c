/* cpuinfo.c - which instruction sets this machine really allows.
 *
 * GCC's cpu model asks the operating system (XGETBV) as well as the processor, so a feature that
 * is listed but not granted is not used; on ARM the system says it all.  No state. */
#include "kernels/cpu/cpu.h"
#include <string.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
static bool has_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
	       __builtin_cpu_supports("f16c");
}

static bool has_avxvnni(void)
{
#if defined(AVXVNNI_EMULATED)
	return has_avx2();
#else
	return has_avx2() && __builtin_cpu_supports("avxvnni");
#endif
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
	if ((any || !strcmp(name, "avxvnni")) && has_avxvnni())
		return &cpu_kernels_avxvnni;
	if ((any || !strcmp(name, "avx2")) && has_avx2())
		return &cpu_kernels_avx2;
#elif defined(__aarch64__)
	if ((any || !strcmp(name, "neon")) && getauxval(AT_HWCAP) & HWCAP_ASIMDDP)
		return &cpu_kernels_neon;
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
