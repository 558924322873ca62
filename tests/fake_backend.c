/* fake_backend.c - stands for s3dcuda.so in tests of what loads it.
 *
 * Built into one file for each KIND: works, refuses, old (made for another program), empty
 * (something else altogether), slow (takes half a minute to find nothing).  It computes nothing. */
#include "kernels/backend_abi.h"
#include <unistd.h>

#ifdef FAKE_empty
int s3dcuda_open_not(void);
int s3dcuda_open_not(void)
{
	return 0;
}
#else
const struct backend *s3dcuda_open(const char *abi, char err[ERR_MAX])
{
#ifdef FAKE_slow
	sleep(30);
#endif
#if defined(FAKE_refuses) || defined(FAKE_slow)
	static const struct backend *const fake;
#else
	static const struct backend table = { .name = "cuda" }, *const fake = &table;
#endif

	if (backend_abi_check(abi, err) != 0)
		return NULL;
	if (!fake)
		snprintf(err, ERR_MAX, "no NVIDIA driver is installed");
	return fake;
}
#endif
