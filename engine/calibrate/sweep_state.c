/* sweep_state.c - see sweep_parts.h: OUT.part, a text of rows that an interrupted sweep knows.
 *
 * A line that says what it is; one with the model, the text, how much of it was taken and what the
 * dense model made of that; one for each row.  Each line ends with its check sum.
 * Invariant: a line counts if it is whole, right and possible, and all before it do. */
#include "engine/calibrate/sweep_parts.h"
#include "base/file.h"
#include "engine/approx/grouping.h"
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char magic[] = "s3dchat cqil part 1";
enum { LINE_MOST = 256, FILE_MOST = 1 << 20 };

static bool same_group(const struct grouping *a, const struct grouping *b)
{
	return a->from == b->from && a->to == b->to && a->size == b->size &&
	       a->bypass == b->bypass;
}

const struct sweep_row *sweep_find(const struct sweep_row *row, int n, const struct grouping *g)
{
	for (int i = 0; i < n; i++)
		if (same_group(&row[i].group, g))
			return &row[i];
	return NULL;
}

/* FNV-1a. */
static uint32_t check_sum(const void *bytes, size_t n)
{
	const unsigned char *p = bytes;
	uint32_t h = 2166136261u;

	while (n--)
		h = (h ^ *p++) * 16777619u;
	return h;
}

/* Of all that there is, before a part is taken. */
static uint32_t text_sum(const struct sweep *s)
{
	return check_sum(s->ids, sizeof(*s->ids) * (size_t)s->n_chunks * SWEEP_CHUNK);
}

__attribute__((format(printf, 2, 3)))
static void put_line(FILE *f, const char *fmt, ...)
{
	char line[LINE_MOST];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	fprintf(f, "%s %08" PRIx32 "\n", line, check_sum(line, (size_t)n));
}

/* The next line without its check sum; NULL where that is wrong, or at the end. */
static char *next_line(char **at)
{
	char *line = *at, *end = strchr(line, '\n'), *space, sum[16];

	if (!end)
		return NULL;
	*end = '\0';
	*at = end + 1;
	space = strrchr(line, ' ');
	if (!space)
		return NULL;
	snprintf(sum, sizeof(sum), "%08" PRIx32, check_sum(line, (size_t)(space - line)));
	*space = '\0';
	return strcmp(space + 1, sum) ? NULL : line;
}

static bool is_possible(const struct sweep *s, const struct sweep_row *row, long rows)
{
	char text[GROUPING_TEXT], why[ERR_MAX];
	struct grouping g;

	if (row->group.size < 2 || row->group.size >= 2 + SWEEP_SIZES)
		return false;
	return grouping_parse(grouping_text(&row->group, text), s->r->n_layers, &g, why) == 0 &&
	       isfinite(row->nll + row->apart + row->kl) && row->same >= 0 && row->same <= rows;
}

static bool read_row(const struct sweep *s, const char *line, long rows, struct sweep_row *row)
{
	struct grouping *g = &row->group;
	int end = 0;

	*row = (struct sweep_row){ .steps = 0 };
	return sscanf(line, "%5d %5d %5d %5d %la %la %la %9ld%n", &g->from, &g->to, &g->size,
		      &g->bypass, &row->nll, &row->apart, &row->kl, &row->same, &end) == 8 &&
	       !line[end] && is_possible(s, row, rows);
}

/* Chunks, or 0. */
static int parse(struct sweep *s, char *at)
{
	char base[65], *line = next_line(&at);
	uint32_t sum;
	int n, end = 0;

	if (!line || strcmp(line, magic) != 0 || !(line = next_line(&at)) ||
	    sscanf(line, "%64s %" SCNx32 " %9d %la%n", base, &sum, &n, &s->r->dense, &end) != 4 ||
	    line[end] || strcmp(base, s->base) != 0 || sum != text_sum(s) || n < 1 ||
	    n > sweep_fits(s))
		return 0;
	while (s->n_known < s->most && (line = next_line(&at)) &&
	       read_row(s, line, (long)n * SWEEP_ROWS, &s->known[s->n_known]))
		s->n_known++;
	return n;
}

static void tell(const struct sweep *s, const char *what)
{
	char note[ERR_MAX];

	fail(note, "%s %s, so the sweep begins anew", s->part, what);
	if (s->o->note)
		s->o->note(s->o->ctx, note);
}

int sweep_recall(struct sweep *s, char err[ERR_MAX])
{
	char why[ERR_MAX], *text;
	size_t size;
	int n;

	s->text_sum = text_sum(s);
	if (access(s->part, F_OK) != 0)
		return 0;
	text = file_read(s->part, FILE_ORDINARY, FILE_MOST, &size, why);
	if (!text)
		return fail(err, "%s", why);
	n = parse(s, text);
	free(text);
	if (!n)
		tell(s, "is of another model or text, or damaged");
	s->known_dense = s->r->dense;
	return n;
}

void sweep_check_known(struct sweep *s)
{
	if (!s->n_known || s->known_dense == s->r->dense)
		return;
	tell(s, "was made with other arithmetic");
	s->n_known = 0;
}

static void put_rows(FILE *f, const struct sweep *s, const struct sweep_row *row, int n)
{
	for (int i = 0; i < n; i++) {
		const struct grouping *g = &row[i].group;

		if (row == s->known && sweep_find(s->r->row, s->r->n, g))
			continue;
		put_line(f, "%d %d %d %d %a %a %a %ld", g->from, g->to, g->size, g->bypass,
			 row[i].nll, row[i].apart, row[i].kl, row[i].same);
	}
}

int sweep_keep(struct sweep *s, char err[ERR_MAX])
{
	struct file_new w;

	if (file_begin(&w, s->part, FILE_SHARED, err) != 0)
		return -1;
	put_line(w.f, "%s", magic);
	put_line(w.f, "%s %" PRIx32 " %d %a", s->base, s->text_sum, s->n_chunks, s->r->dense);
	put_rows(w.f, s, s->r->row, s->r->n);
	put_rows(w.f, s, s->known, s->n_known);
	return file_keep(&w, err);
}
