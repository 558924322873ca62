/* load.c - see load.h; and backend_cuda, which looks for that file at the program's own place.
 *
 * Invariant: the file is looked for, and loaded, once; what came of it is told again.  One thread
 * opens engines, so nothing is locked. */
#include "kernels/devices/load.h"
#include "kernels/backend_abi.h"
#include "kernels/devices/registry.h"
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_MOST = 4096 };

const struct backend *backend_load(const char *path, char err[ERR_MAX])
{
	char abi[BACKEND_ABI_MAX];
	void *file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	backend_entry *entry = NULL;

	if (!file) {
		fail(err, "%s", dlerror());
		return NULL;
	}
	/* ISO C knows no way from an object's address to a function's. */
	*(void **)&entry = dlsym(file, BACKEND_ENTRY);
	if (!entry) {
		fail(err, "%s is no backend of s3dchat: it has no %s", path, BACKEND_ENTRY);
		dlclose(file);
		return NULL;
	}
	/* When it refuses it stays too: a driver that it started may not stand being unloaded. */
	return entry(backend_abi(abi), err);
}

/* The file beside the program, or where `make install` puts it; false: in neither place. */
static bool find_file(char path[PATH_MOST])
{
	static const char *const places[] = { BACKEND_FILE, "../lib/s3dchat/" BACKEND_FILE };
	ssize_t n = readlink("/proc/self/exe", path, PATH_MOST - 64);
	char *name = NULL;

	if (n > 0) {
		path[n] = '\0';
		name = strrchr(path, '/');
	}
	for (size_t i = 0; name && i < sizeof(places) / sizeof(places[0]); i++) {
		strcpy(name + 1, places[i]);
		if (!access(path, F_OK))
			return true;
	}
	return false;
}

const struct backend *backend_cuda(char err[ERR_MAX])
{
	static const struct backend *found;
	static char why[ERR_MAX], path[PATH_MOST];

	if (!found && !*why) {
		if (find_file(path))
			found = backend_load(path, why);
		else
			fail(why, "this build has no cuda backend: nvcc was not found when it was "
			     "built (no " BACKEND_FILE " beside the program or in ../lib/s3dchat)");
	}
	fail(err, "%s", found ? "" : why);
	return found;
}
