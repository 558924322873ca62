/* bench_prompts.c - see bench_prompts.h.
 *
 * The built-in set is build/gen/prompts.h, which tests/tools/embed_prompts.sh writes. */
#include "app/bench/bench_prompts.h"
#include "base/file.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PROMPTS_MAX = 1000, TEXT_MAX = 1 << 20 };

struct embedded_prompt {
	const char *name;
	const unsigned char *text;
	size_t len;
};
#include "prompts.h"     /* build/gen */

/* The name without its ending, made visible here for all that print it; cut where it is long. */
static int set_name(struct prompt *p, const char *name, char err[ERR_MAX])
{
	size_t n = strcspn(name, "."), end = sizeof(p->name) - 1;
	char *seen = text_line(name, n);

	if (!seen)
		return fail(err, "out of memory");
	n = strlen(seen);
	while (n > end && ((unsigned char)seen[end] & 0xC0) == 0x80)
		end--;
	memcpy(p->name, seen, n < end ? n : end);
	free(seen);
	return 0;
}

static int add_prompt(struct prompt_set *s, const char *name, const unsigned char *text, size_t len,
		      char err[ERR_MAX])
{
	struct prompt *p = &s->p[s->n];

	while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	if (!len)
		return fail(err, "prompt %s is empty", name);
	if (set_name(p, name, err) || !(p->text = mem_new(len, 1, err)))
		return -1;
	memcpy(p->text, text, len);
	p->len = len;
	s->n++;
	return 0;
}

static int load_file(struct prompt_set *s, const char *path, char err[ERR_MAX])
{
	const char *slash = strrchr(path, '/');
	size_t n;
	char *text = file_read(path, 0, TEXT_MAX, &n, err);
	int rc = text ? add_prompt(s, slash ? slash + 1 : path, (unsigned char *)text,
				     n, err) : -1;

	free(text);
	return rc;
}

static int is_text(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 4 && d->d_name[0] != '.' && !strcmp(d->d_name + n - 4, ".txt");
}

static int load_folder(struct prompt_set *s, const char *path, char err[ERR_MAX])
{
	struct dirent **d;
	int n = scandir(path, &d, is_text, alphasort), rc = 0;
	char name[4096];

	if (n < 0)
		return fail(err, "%s: %s", path, strerror(errno));
	if (!n)
		rc = fail(err, "%s: no *.txt files in this folder", path);
	if (n > PROMPTS_MAX)
		rc = fail(err, "%s: more than %d prompts", path, PROMPTS_MAX);
	for (int i = 0; i < n; i++) {
		if (!rc && snprintf(name, sizeof(name), "%s/%s", path, d[i]->d_name) >=
		    (int)sizeof(name))
			rc = fail(err, "%s: path too long", path);
		if (!rc)
			rc = load_file(s, name, err);
		free(d[i]);
	}
	free(d);
	return rc;
}

static int load_embedded(struct prompt_set *s, char err[ERR_MAX])
{
	int n = (int)(sizeof(embedded_prompts) / sizeof(embedded_prompts[0]));

	_Static_assert(sizeof(embedded_prompts) / sizeof(embedded_prompts[0]) <= PROMPTS_MAX,
		       "too many prompts");
	for (int i = 0; i < n; i++)
		if (add_prompt(s, embedded_prompts[i].name, embedded_prompts[i].text,
			       embedded_prompts[i].len, err))
			return -1;
	return 0;
}

int prompts_load(struct prompt_set *s, const char *path, char err[ERR_MAX])
{
	struct stat st;
	int rc;

	*s = (struct prompt_set){ .p = mem_new(PROMPTS_MAX, sizeof(*s->p), err) };
	if (!s->p)
		return -1;
	if (!*path)
		rc = load_embedded(s, err);
	else if (stat(path, &st))
		rc = fail(err, "%s: %s", path, strerror(errno));
	else
		rc = S_ISDIR(st.st_mode) ? load_folder(s, path, err) : load_file(s, path, err);
	if (rc)
		prompts_free(s);
	return rc;
}

void prompts_free(struct prompt_set *s)
{
	for (int i = 0; i < s->n; i++)
		mem_free(s->p[i].text);
	mem_free(s->p);
	*s = (struct prompt_set){ 0 };
}
