/* cgroup.c - see cgroup.h. */
#include "base/cgroup.h"
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

/* The group at root/own and all above it. */
static void walk_up(const char *root, const char *own, void (*see)(void *ctx, const char *folder),
		    void *ctx)
{
	char folder[PATH_MAX];

	if (snprintf(folder, sizeof(folder), "%s%s", root, own) >= (int)sizeof(folder))
		return;
	for (;;) {
		char *slash = strrchr(folder, '/');

		see(ctx, folder);
		if (!slash || (size_t)(slash - folder) < strlen(root))
			return;
		*slash = '\0';
	}
}

/* Whether word is one of a list with commas. */
static bool listed(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (; *list; list += strcspn(list, ","), list += *list == ',')
		if (strcspn(list, ",") == n && !memcmp(list, word, n))
			return true;
	return false;
}

void cgroup_walk(const char *groups, const char *root, const char *controller,
		 void (*see)(void *ctx, const char *folder), void *ctx)
{
	FILE *f = fopen(groups, "r");
	char line[PATH_MAX], v1[PATH_MAX];

	snprintf(v1, sizeof(v1), "%s/%s", root, controller);
	while (f && fgets(line, sizeof(line), f)) {     /* number:controllers:/folder */
		char *names = strchr(line, ':'), *own = names ? strchr(names + 1, ':') : NULL;

		if (!own)
			continue;
		*own++ = '\0';
		own[strcspn(own, "\n")] = '\0';
		if (!names[1])
			walk_up(root, own, see, ctx);
		else if (listed(names + 1, controller))
			walk_up(v1, own, see, ctx);
	}
	if (f)
		fclose(f);
}

bool cgroup_number(const char *folder, const char *file, const char *key, uint64_t *out)
{
	char path[PATH_MAX], line[256];
	size_t n = strlen(key);
	bool found = false;
	FILE *f = NULL;

	if (snprintf(path, sizeof(path), "%s/%s", folder, file) < (int)sizeof(path))
		f = fopen(path, "r");
	while (f && !found && fgets(line, sizeof(line), f))
		found = !strncmp(line, key, n) && (!n || line[n] == ' ' || line[n] == ':') &&
			sscanf(line + n + (line[n] == ':'), "%" SCNu64, out) == 1;
	if (f)
		fclose(f);
	return found;
}
