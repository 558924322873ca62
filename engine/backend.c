/* backend.c - which backend does the arithmetic, by name.  No state. */
#include "engine/backend.h"
#include <string.h>

const struct backend *backend_find(const char *name, char err[ERR_MAX])
{
	bool any = !name || !strcmp(name, "auto");
	const struct backend *cuda;

	*err = '\0';
	if (!any && !strcmp(name, "cpu"))
		return &backend_cpu;
	if (!any && strcmp(name, "cuda") != 0) {
		fail(err, "no backend '%s'; there are: auto cpu cuda", name);
		return NULL;
	}
	cuda = backend_cuda(err);
	if (cuda || any)
		return cuda ? cuda : &backend_cpu;
	backend_fail(name, err, "--backend cpu works without it", err);
	return NULL;
}

int backend_fail(const char *name, const char *text, const char *then, char err[ERR_MAX])
{
	size_t n = strlen(name);
	bool named = !strncmp(text, name, n) && text[n] == ':';

	return fail(err, "%s%s%.400s; %s", named ? "" : name, named ? "" : ": ", text, then);
}
