/* grouping_file.c - see grouping_file.h.
 *
 * Lines of text: what it is, "model" with its hash, "loss X GROUPS" for each loss, "end".  What
 * stands behind '#' is for people.
 * Invariant: every line is what it must be, or nothing of the file counts. */
#include "engine/approx/grouping_file.h"
#include "base/file.h"
#include "engine/approx/grouping.h"
#include "engine/sidecar/sidecar.h"
#include <stdlib.h>
#include <string.h>

const double advice_loss[ADVICE_N] = { 0.5, 1, 2, 5 };
static const char head[] = "s3dchat cqil 1";
static const char made_by[] = "'s3dchat calibrate --cqil' makes one";
enum { ADVICE_DEFAULT = 1, FILE_MOST = 1 << 16 };

int advice_asked(const char *spec)
{
	char known[32];

	if (!spec || strncmp(spec, "auto", 4) != 0 || (spec[4] && spec[4] != ':'))
		return -1;
	for (int i = 0; i < ADVICE_N; i++) {
		snprintf(known, sizeof(known), "auto:%g", advice_loss[i]);
		if (!strcmp(spec, known))
			return i;
	}
	return spec[4] ? -2 : ADVICE_DEFAULT;
}

int advice_check(const char *spec, int n_layers, char err[ERR_MAX])
{
	struct grouping g;
	int asked = advice_asked(spec);

	if (asked == -2)
		return fail(err, "--cqil %.32s: auto, or auto:X for a loss of X %% of perplexity: "
			    "0.5, 1, 2 or 5", spec);
	return asked >= 0 ? 0 : grouping_parse(spec, n_layers, &g, err);
}

/* The next line, without what is for people; NULL at the end. */
static char *next_line(char **at)
{
	char *line = *at, *end = strchr(line, '\n');

	if (!end)               /* each ends with one: this was cut off */
		return NULL;
	*end = '\0';
	*at = end + 1;
	end = line + strcspn(line, "#");
	while (end > line && end[-1] == ' ')
		end--;
	*end = '\0';
	return line;
}

static bool is_line(char **at, const char *want)
{
	const char *line = next_line(at);

	return line && !strcmp(line, want);
}

static bool read_loss(char **at, int i, int n_layers, struct grouping *g)
{
	const char *line = next_line(at);
	char begin[32], why[ERR_MAX];
	int n = snprintf(begin, sizeof(begin), "loss %g ", advice_loss[i]);

	*g = (struct grouping){ .size = 0 };
	if (!line || strncmp(line, begin, (size_t)n) != 0)
		return false;
	if (!strcmp(line + n, "none"))
		return true;
	return grouping_parse(line + n, n_layers, g, why) == 0 && g->size > 1;
}

static int parse(char *at, const char *path, const struct model *m, struct advice *a,
		 char err[ERR_MAX])
{
	const char *line;
	char base[65];
	bool good = is_line(&at, head);

	line = good ? next_line(&at) : NULL;
	if (!line || strncmp(line, "model ", 6) != 0)
		return fail(err, "%s holds no groups of layers; %s", path, made_by);
	sidecar_base(m, base);
	if (strcmp(line + 6, base) != 0)
		return fail(err, "%s is of another model; %s for this one", path, made_by);
	for (int i = 0; good && i < ADVICE_N; i++)
		good = read_loss(&at, i, m->cfg.n_layers, &a->group[i]);
	if (!good || !is_line(&at, "end"))
		return fail(err, "%s is damaged; %s anew", path, made_by);
	return 0;
}

int advice_read(const char *path, const struct model *m, struct advice *a, char err[ERR_MAX])
{
	struct advice read;
	char why[ERR_MAX], *text;
	size_t n;
	int rc;

	if (!path)
		return fail(err, "--cqil auto: nothing says yet which layers of this model can run "
			    "in groups; %s", "'s3dchat calibrate --cqil' finds out");
	text = file_read(path, FILE_ORDINARY, FILE_MOST, &n, why);
	if (!text)
		return fail(err, "--cqil auto: %s; %s", why, made_by);
	rc = strlen(text) == n ? parse(text, path, m, &read, err) :
				 fail(err, "%s is damaged; %s anew", path, made_by);
	free(text);
	if (rc == 0)
		*a = read;
	return rc;
}

int advice_write(const char *path, const struct model *m, const struct advice *a,
		 const char *const figures[ADVICE_N], char err[ERR_MAX])
{
	char base[65], text[GROUPING_TEXT];
	struct file_new w;

	if (file_begin(&w, path, FILE_SHARED, err) != 0)
		return -1;
	sidecar_base(m, base);
	fprintf(w.f, "%s    # which layers can run in groups (--cqil auto), by loss of perplexity "
		"in %%\nmodel %s\n", head, base);
	for (int i = 0; i < ADVICE_N; i++)
		fprintf(w.f, "loss %g %s%s%s\n", advice_loss[i], a->group[i].size > 1 ?
			grouping_text(&a->group[i], text) : "none",
			figures && *figures[i] ? "    # " : "", figures ? figures[i] : "");
	fputs("end\n", w.f);
	return file_keep(&w, err);
}
