/* registry.c - which backend does the arithmetic, by name.  No state. */
#include "kernels/devices/registry.h"
#include "base/machine.h"
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

int backend_threads(int asked, char note[ERR_MAX])
{
	int cores = machine_cores();

	*note = '\0';
	if (asked > cores)
		fail(note, "-t %d: there %s only %d processor%s for this program, so it takes %d "
		     "thread%s", asked, cores == 1 ? "is" : "are", cores, cores == 1 ? "" : "s",
		     cores, cores == 1 ? "" : "s");
	return asked > 0 && asked < cores ? asked : cores;
}
