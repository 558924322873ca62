/* model_path.c - see model_path.h.  The environment says where files are, never
 * what comes out.
 *
 * Invariant: a relative XDG variable is ignored, as the standard asks. */
#include "app/config/model_path.h"
#include "engine/gguf/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
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

/* rest in the folder that is so many above the program's file. */
static char *above_program(int up, const char *rest)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	for (; up > 0 && n > 0; up--) {
		self[n] = '\0';
		n = strrchr(self, '/') ? strrchr(self, '/') - self : 0;
	}
	if (n < 0)
		return NULL;
	self[n] = '\0';
	return join(self, "/", rest);
}

char *model_path_installed(const char *rest)
{
	char *folder = above_program(2, "share/s3dchat/");
	char *path = folder ? join(folder, rest, "") : NULL;

	free(folder);
	return path;
}

/* What names a quantisation: Q4_K_M, IQ2_XS, F16, BF16. */
static bool names_type(const char *s)
{
	s += *s == 'I' || *s == 'i' || *s == 'B' || *s == 'b';
	return strchr("QqFf", *s) && *s && s[1] >= '0' && s[1] <= '9';
}

/* NAME.gguf, or NAME-00001-of-00003.gguf, without what is behind NAME. */
static size_t stem_length(const char *file)
{
	size_t n = strlen(file), stem = gguf_stem(file);

	return stem ? stem : n > 5 && !strcasecmp(file + n - 5, ".gguf") ? n - 5 : n;
}

/* Length of NAME in NAME.Q4_1.gguf, NAME-Q4_K_M.gguf or NAME.gguf. */
static size_t base_length(const char *file)
{
	size_t n = stem_length(file);

	for (size_t i = n; i > 1; i--)
		if (file[i - 1] == '.' || file[i - 1] == '-')
			return names_type(file + i) ? i - 1 : n;
	return n;
}

static char *first_there(char **place, size_t n)
{
	char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!found && place[i] && !access(place[i], F_OK))
			found = place[i];
		else
			free(place[i]);
	}
	return found;
}

static char *default_model(void)
{
	char *place[] = {
		model_path_xdg("XDG_DATA_HOME", ".local/share", "models/" MODEL_DEFAULT),
		strdup("models/" MODEL_DEFAULT),
		model_path_installed("models/" MODEL_DEFAULT),
	};

	return first_there(place, sizeof(place) / sizeof(place[0]));
}

char *model_path(const char *given, char err[ERR_MAX])
{
	char *found = *given ? strdup(given) : default_model();

	if (!found)
		fail(err, "no model: name a GGUF file with -m FILE, or fetch the default one (%s, "
		     "94 MiB) with './start model' in s3dchat's source folder", MODEL_DEFAULT);
	return found;
}

/* The first there of models/FILE in the places of default models, and FILE beside the model, whose
 * folder has so many bytes. */
static char *companion(const char *model, int folder, const char *file)
{
	char rest[512], *beside = NULL;

	if (snprintf(rest, sizeof(rest), "models/%s", file) >= (int)sizeof(rest))
		return NULL;
	if (asprintf(&beside, "%.*s%s", folder, model, file) < 0)
		beside = NULL;
	char *place[] = {
		beside, model_path_xdg("XDG_DATA_HOME", ".local/share", rest), strdup(rest),
		above_program(3, rest),         /* build/release/ of the source tree */
		model_path_installed(rest),
	};

	return first_there(place, sizeof(place) / sizeof(place[0]));
}

static int folder_length(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? (int)(slash + 1 - path) : 0;
}

char *model_path_little(const char *model, const char *given)
{
	int folder = folder_length(model);
	char file[512];

	if (*given)
		return strcmp(given, "none") ? strdup(given) : NULL;
	if (snprintf(file, sizeof(file), "%.*s.little.gguf", (int)base_length(model + folder),
		     model + folder) >= (int)sizeof(file))
		return NULL;
	return companion(model, folder, file);
}

/* NAME and that ending for NAME.gguf; false: too long. */
static bool beside_name(const char *file, const char *ending, char out[512])
{
	int n = (int)stem_length(file);

	return snprintf(out, 512, "%.*s%s", n, file, ending) < 512;
}

char *model_path_sidecar(const char *model, const char *given)
{
	int folder = folder_length(model);
	char file[512];

	if (*given)
		return strcmp(given, "none") ? strdup(given) : NULL;
	return beside_name(model + folder, ".s3d.gguf", file) ? companion(model, folder, file) :
								NULL;
}

/* Where a new companion with that ending goes. */
static char *companion_new(const char *model, const char *ending)
{
	int folder = folder_length(model), rc;
	char file[512], *path = NULL, *home;

	if (!beside_name(model + folder, ending, file) ||
	    asprintf(&path, "%.*s", folder, folder ? model : "./") < 0)
		return NULL;
	rc = access(folder ? path : ".", W_OK);
	free(path);
	if (rc == 0)
		return asprintf(&path, "%.*s%s", folder, model, file) < 0 ? NULL : path;
	home = model_path_xdg("XDG_DATA_HOME", ".local/share", "models/");
	if (!home || asprintf(&path, "%s%s", home, file) < 0)
		path = NULL;
	free(home);
	return path;
}

char *model_path_sidecar_new(const char *model)
{
	return companion_new(model, ".s3d.gguf");
}

char *model_path_cqil_new(const char *model)
{
	return companion_new(model, ".cqil");
}

char *model_path_cqil(const char *model)
{
	int folder = folder_length(model);
	char file[512], *found;

	if (!beside_name(model + folder, ".cqil", file))
		return NULL;
	found = companion(model, folder, file);
	return found ? found : model_path_cqil_new(model);
}

void model_path_make(char *path)
{
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
}
