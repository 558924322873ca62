/* backend.c - the backends that this program was built with. */
#include "engine/backend.h"
#include <string.h>

const struct backend *backend_cuda(char err[ERR_MAX])
{
	fail(err, "this build has no cuda backend");
	return NULL;
}

const struct backend *backend_find(const char *name, char err[ERR_MAX])
{
	bool any = !name || !strcmp(name, "auto");
	const struct backend *cuda = any || !strcmp(name, "cuda") ? backend_cuda(err) : NULL;

	if (any && !cuda)
		return &backend_cpu;
	if (cuda || !strcmp(name, "cuda"))
		return cuda;
	if (!strcmp(name, "cpu"))
		return &backend_cpu;
	fail(err, "no backend '%s'; there are: auto cpu cuda", name);
	return NULL;
}
