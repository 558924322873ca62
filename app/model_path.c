/* model_path.c - see model_path.h.  The environment says where files are, never
 * what comes out.
 *
 * Invariant: a relative XDG variable is ignored, as the standard asks. */
#include "app/model_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *join(const char *a, const char *b, const char *c)
{
	size_t n = strlen(a) + strlen(b) + strlen(c) + 1;
	char *p = malloc(n);

	if (p)
		snprintf(p, n, "%s%s%s", a, b, c);
	return p;
}

char *model_path_xdg(const char *name, const char *fallback, const char *rest)
{
	const char *base = getenv(name), *home = getenv("HOME");
	char *folder, *path;

	if (base && *base == '/')
		return join(base, "/s3dchat/", rest);
	if (!home || *home != '/')
		return NULL;
	folder = join(home, "/", fallback);
	path = folder ? join(folder, "/s3dchat/", rest) : NULL;
	free(folder);
	return path;
}

char *model_path_installed(const char *rest)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	for (int up = 0; up < 2 && n > 0; up++) {
		self[n] = '\0';
		n = strrchr(self, '/') ? strrchr(self, '/') - self : 0;
	}
	if (n < 0)
		return NULL;
	self[n] = '\0';
	return join(self, "/share/s3dchat/", rest);
}

char *model_path(const char *given, char err[ERR_MAX])
{
	char *place[] = {
		*given ? strdup(given) : NULL,
		model_path_xdg("XDG_DATA_HOME", ".local/share", "models/" MODEL_DEFAULT),
		strdup("models/" MODEL_DEFAULT),
		model_path_installed("models/" MODEL_DEFAULT),
	};
	char *found = place[0];

	for (size_t i = 1; i < sizeof(place) / sizeof(place[0]); i++) {
		if (!found && place[i] && !access(place[i], F_OK))
			found = place[i];
		if (place[i] != found)
			free(place[i]);
	}
	if (!found)
		fail(err, "no model: name a GGUF file with -m FILE, or fetch the default one (%s, "
		     "94 MiB) with './start model' in s3dchat's source folder", MODEL_DEFAULT);
	return found;
}

void model_path_make(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
}
