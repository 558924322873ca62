/* headless.c - see headless.h.
 *
 * Invariant: nothing but the grid is read, so a dump needs no terminal. */
#include "ui/term/headless.h"

static bool is_blank(const struct cell *c)
{
	return c->width && (!*c->text || (c->text[0] == ' ' && !c->text[1]));
}

static void print_row(FILE *f, const struct grid *g, int y)
{
	int last = g->cols - 1;

	while (last >= 0 && is_blank(grid_at(g, y, last)))
		last--;
	for (int x = 0; x <= last; x++) {
		const struct cell *c = grid_at(g, y, x);

		if (c->width)
			fputs(*c->text ? c->text : " ", f);
	}
	fputc('\n', f);
}

static void print_roles(FILE *f, const struct grid *g, int y)
{
	for (int x = 0; x < g->cols; x++)
		fputc('a' + grid_at(g, y, x)->role, f);
	fputc('\n', f);
}

void headless_print(FILE *f, const struct grid *g, bool roles)
{
	for (int y = 0; y < g->rows; y++)
		print_row(f, g, y);
	for (int y = 0; roles && y < g->rows; y++)
		print_roles(f, g, y);
	if (g->cursor_y >= 0)
		fprintf(f, "cursor %d %d\n", g->cursor_y, g->cursor_x);
	else
		fputs("cursor hidden\n", f);
}
