/* host_speed_file.c - see host_speed.h: the file.
 *
 * Lines of text: what it is, then one for each measurement, the newest first: the model's hash,
 * threads, kernels, bus, cpu and the device's own memory in MB/s, nanoseconds of handing over, the
 * date, the device's name.  Only the first OTHERS are
 * kept when one is added.
 * Invariant: every line is what it must be, or nothing of the file counts. */
#include "engine/place/host_speed.h"
#include "base/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OTHERS = 63, FILE_MOST = 1 << 16 };
static const char head[] = "s3dchat host-layers 2";

struct entry {
	struct host_key key;
	char kernels[16];
	struct host_speed speed;
};

static bool is_date(const char *s)
{
	static const char form[] = "dddd-dd-dd";

	for (int i = 0; form[i]; i++)
		if (form[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
			return false;
	return strlen(s) == sizeof(form) - 1;
}

/* The device's name is the rest of the line, and is compared only. */
static bool read_entry(const char *line, struct entry *e)
{
	int bus, cpu, own, cross, end = 0;

	memset(e, 0, sizeof(*e));
	if (sscanf(line, "%64[0-9a-f] %4d %15[a-z0-9] %8d %8d %8d %9d %10[0-9-] %n", e->key.model,
		   &e->key.threads, e->kernels, &bus, &cpu, &own, &cross, e->speed.date,
		   &end) != 8 || !end || line[end - 1] != ' ')
		return false;
	if (strlen(e->key.model) != 64 || e->key.threads < 1 || bus < 1 || cpu < 1 || own < 1 ||
	    cross < 1 || !is_date(e->speed.date) || strlen(line + end) >= sizeof(e->key.device))
		return false;
	snprintf(e->key.device, sizeof(e->key.device), "%s", line + end);
	e->speed.bus = bus * 1e6;
	e->speed.cpu = cpu * 1e6;
	e->speed.own = own * 1e6;
	e->speed.cross = cross * 1e-9;
	return true;
}

static bool is_of(const struct entry *e, const struct host_key *key)
{
	return !strcmp(e->key.model, key->model) && e->key.threads == key->threads &&
	       !strcmp(e->kernels, key->kernels) && !strcmp(e->key.device, key->device);
}

/* The line at *at, which becomes the next one's; NULL at the end, and for one without an end. */
static char *next_line(char **at)
{
	char *line = *at, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*end = '\0';
	*at = end + 1;
	return line;
}

/* All of the file's lines as entries, malloc'ed; NULL: there is none, or it is damaged. */
static struct entry *read_all(const char *path, int *n)
{
	char err[ERR_MAX];
	size_t size;
	char *text = file_read(path, FILE_ORDINARY, FILE_MOST, &size, err), *at = text, *line;
	struct entry *all = text ? malloc((OTHERS + 1) * sizeof(*all)) : NULL;
	bool good = all && strlen(text) == size && (line = next_line(&at)) && !strcmp(line, head);

	*n = 0;
	while (good && *n <= OTHERS && (line = next_line(&at)))
		good = read_entry(line, &all[(*n)++]);
	good = good && !*at;
	free(text);
	if (good)
		return all;
	free(all);
	return NULL;
}

int host_speed_read(const char *path, const struct host_key *key, struct host_speed *v)
{
	int n, rc = -1;
	struct entry *all = read_all(path, &n);

	for (int i = 0; all && i < n && rc != 0; i++)
		if (is_of(&all[i], key)) {
			*v = all[i].speed;
			rc = 0;
		}
	free(all);
	return rc;
}

/* A speed that a line takes. */
static int in_mb(double speed)
{
	return speed < 1e6 ? 1 : speed > 9e13 ? 90000000 : (int)(speed / 1e6 + 0.5);
}

static int in_ns(double seconds)
{
	return seconds < 1e-9 ? 1 : seconds > 0.9 ? 900000000 : (int)(seconds * 1e9 + 0.5);
}

static void put(FILE *f, const struct host_key *key, const char *kernels,
		const struct host_speed *v)
{
	fprintf(f, "%s %d %s %d %d %d %d %s %s\n", key->model, key->threads, kernels,
		in_mb(v->bus), in_mb(v->cpu), in_mb(v->own), in_ns(v->cross), v->date,
		key->device);
}

int host_speed_write(const char *path, const struct host_key *key, const struct host_speed *v,
		     char err[ERR_MAX])
{
	struct file_new w;
	struct entry *all;
	int n, kept = 0;

	if (file_begin(&w, path, FILE_PRIVATE, err) != 0)
		return -1;
	all = read_all(path, &n);
	fprintf(w.f, "%s\n", head);
	put(w.f, key, key->kernels, v);
	for (int i = 0; all && i < n && kept < OTHERS; i++)
		if (!is_of(&all[i], key)) {
			put(w.f, &all[i].key, all[i].kernels, &all[i].speed);
			kept++;
		}
	free(all);
	return file_keep(&w, err);
}
