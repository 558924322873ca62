/* backend.c - the backends that this program was built with. */
#include "engine/backend.h"
#include <string.h>

static const struct backend *const backends[] = { &backend_cpu };

const struct backend *backend_find(const char *name, char err[ERR_MAX])
{
	if (!name || !strcmp(name, "auto"))
		return backends[0];
	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (!strcmp(backends[i]->name, name))
			return backends[i];
	fail(err, "no backend '%s' in this build; there is: cpu", name);
	return NULL;
}
