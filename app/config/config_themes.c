/* config_themes.c - where themes are, and what they are called; see config.h. */
#include "app/config/config.h"
#include "app/config/config_parts.h"
#include "app/config/model_path.h"
#include "themes.h"     /* build/gen */

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BUILTIN_N = sizeof(builtin_themes) / sizeof(builtin_themes[0]) };

static bool copy_path(char *path, char out[PATH_MAX])
{
	bool fits = path && snprintf(out, PATH_MAX, "%s", path) < PATH_MAX;

	free(path);
	return fits;
}

bool config_folder(char out[PATH_MAX])
{
	return copy_path(model_path_xdg("XDG_CONFIG_HOME", ".config", ""), out);
}

bool config_data_folder(char out[PATH_MAX])
{
	return copy_path(model_path_installed(""), out);
}

bool config_theme_name(const char *name)
{
	size_t n = strlen(name);

	for (const char *p = name; *p; p++)
		if (!isascii(*p) || (!isalnum(*p) && !strchr("-_.", *p)))
			return false;
	return n && n < THEME_NAME && *name != '.';
}

const char *config_builtin(const char *name)
{
	for (int i = 0; i < BUILTIN_N; i++)
		if (!strcmp(builtin_themes[i].name, name))
			return builtin_themes[i].text;
	return NULL;
}

/* A new name; returns how many there are now. */
static int add(char names[][64], int n, int max, const char *name)
{
	for (int i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return n;
	if (n == max)
		return n;
	snprintf(names[n], THEME_NAME, "%s", name);
	return n + 1;
}

static int add_folder(char names[][64], int n, int max, const char *folder)
{
	char path[PATH_MAX], name[THEME_NAME];
	DIR *d;

	if (snprintf(path, sizeof(path), "%sthemes", folder) >= PATH_MAX || !(d = opendir(path)))
		return n;
	for (struct dirent *e; (e = readdir(d));) {
		size_t len = strlen(e->d_name);

		if (len < 7 || len - 6 >= sizeof(name) || strcmp(e->d_name + len - 6, ".theme"))
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)len - 6, e->d_name);
		if (config_theme_name(name))
			n = add(names, n, max, name);
	}
	closedir(d);
	return n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

int config_themes(char names[][64], int max)
{
	char folder[PATH_MAX];
	int n = 0;

	for (int i = 0; i < BUILTIN_N; i++)
		n = add(names, n, max, builtin_themes[i].name);
	if (config_folder(folder))
		n = add_folder(names, n, max, folder);
	if (config_data_folder(folder))
		n = add_folder(names, n, max, folder);
	qsort(names, (size_t)n, sizeof(*names), by_name);
	return n;
}

int config_no_theme(const char *name, char err[ERR_MAX])
{
	char names[32][64], list[ERR_MAX / 2] = "";
	int n = config_themes(names, 32);

	for (int i = 0; i < n && strlen(list) + THEME_NAME + 2 < sizeof(list); i++) {
		strcat(list, i ? ", " : "");
		strcat(list, names[i]);
	}
	return fail(err, "there is no theme '%s'; there are %s", name, list);
}
