/* term.c - see term.h.
 *
 * curses draws and compares; input never goes through it.  The escape sequences that put the
 * terminal back are made when it is opened, so that a crash handler has only bytes to write.
 * Invariant: `taken` is set exactly while the terminal's modes are ours. */
#include "ui/term/term.h"
#include "ui/term/mouse.h"

#define NCURSES_WIDECHAR 1
#include "ui/term/term_cell.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

enum {
	ROWS_MOST = 500, COLS_MOST = 1000,      /* a hostile window size must not eat the memory */
	PAIRS_MOST = 64,
	RESET_MOST = 512,
};

static const char paste_on[] = "\033[?2004h", paste_off[] = "\033[?2004l";

static struct {
	SCREEN *screen;
	struct termios before;
	volatile sig_atomic_t taken;
	bool gone;
	bool mouse;             /* the wheel is read */
	bool defaults;          /* the terminal has default colours */
	bool unicode;           /* the locale can say more than ASCII */
	char reset[RESET_MOST];
	size_t reset_n;
	struct theme theme;     /* what pair[] was made for */
	struct { int fg, bg; } pair[PAIRS_MOST];        /* number 0 is the terminal's own */
	int pair_n;
	short role_pair[ROLE_N];
	uint64_t over[ROWS_MOST];       /* hash of a row that was written over; 0: none */
} term;

static void put_raw(const char *s, size_t n)
{
	while (n && !term.gone) {
		ssize_t k = write(STDOUT_FILENO, s, n);

		if (k < 0 && errno == EAGAIN)
			poll(&(struct pollfd){ .fd = STDOUT_FILENO, .events = POLLOUT }, 1, 100);
		else if (k < 0 && errno != EINTR)
			term.gone = true;
		else if (k > 0) {
			s += k;
			n -= (size_t)k;
		}
	}
}

/* A string of the terminal's description, without the pauses that old terminals needed. */
static void add_reset(const char *s)
{
	while (s && s != (const char *)-1 && *s && term.reset_n < RESET_MOST) {
		const char *end = s[0] == '$' && s[1] == '<' ? strchr(s, '>') : NULL;

		if (end)
			s = end + 1;
		else
			term.reset[term.reset_n++] = *s++;
	}
}

static void make_reset(void)
{
	term.reset_n = 0;
	add_reset(paste_off);
	add_reset(tigetstr("kmous") ? MOUSE_OFF : NULL);
	add_reset(tigetstr("sgr0"));
	add_reset(tigetstr("op"));
	add_reset(tigetstr("cnorm"));
	add_reset(tigetstr("rmcup"));
	add_reset(tigetstr("rmcup") ? NULL : "\r\n");
}

/* curses takes some signals for itself; they are the program's. */
static SCREEN *open_screen(void)
{
	static const int taken[] = { SIGINT, SIGTERM, SIGTSTP, SIGWINCH };
	struct sigaction was[sizeof(taken) / sizeof(taken[0])];
	SCREEN *s;

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaction(taken[i], NULL, &was[i]);
	/* The size comes from the kernel: LINES and COLUMNS do not follow the window. */
	use_env(FALSE);
	use_tioctl(TRUE);
	s = newterm(NULL, stdout, stdin);
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaction(taken[i], &was[i], NULL);
	return s;
}

static void take_modes(void)
{
	raw();
	noecho();
	nonl();
	keypad(stdscr, FALSE);
	leaveok(stdscr, FALSE);
	scrollok(stdscr, FALSE);
	put_raw(paste_on, sizeof(paste_on) - 1);
	term.taken = 1;
}

static void start_colours(void)
{
	term.pair_n = 0;
	term.defaults = true;
	memset(&term.theme, 0xff, sizeof(term.theme));
	if (has_colors() && start_color() != ERR)
		term.defaults = use_default_colors() != ERR;
}

int term_able(const char *name, char why[ERR_MAX])
{
	int found = 0, rc = 0;

	if (!name || !*name)
		return fail(why, "TERM is not set");
	if (setupterm(name, STDOUT_FILENO, &found) == ERR)
		return fail(why, found == 1 ? "the terminal '%s' only prints" :
			    found == 0 ? "the terminal '%s' is not known here" :
			    "there is no description of the terminal '%s', nor of any", name);
	if (!tigetstr("cup"))
		rc = fail(why, "the terminal '%s' cannot move its cursor", name);
	del_curterm(cur_term);
	return rc;
}

int term_open(char err[ERR_MAX])
{
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return fail(err, "the full screen needs a terminal on standard input and output; "
			    "--line does without");
	if (tcgetattr(STDIN_FILENO, &term.before))
		return fail(err, "the terminal's modes: %s", strerror(errno));
	term.gone = term.mouse = false;
	term.screen = open_screen();
	if (!term.screen)
		return fail(err, "TERM names no terminal that is known here; set it, for example "
			    "to xterm, or chat with --line");
	make_reset();
	if (!tigetstr("cup")) {
		char name[64];

		strncpy(name, termname(), sizeof(name) - 1);
		name[sizeof(name) - 1] = '\0';
		endwin();
		delscreen(term.screen);
		term.screen = NULL;
		tcsetattr(STDIN_FILENO, TCSADRAIN, &term.before);
		return fail(err, "a terminal of type '%s' cannot move its cursor; set TERM, or "
			    "chat with --line", name);
	}
	term.unicode = MB_CUR_MAX > 1;
	start_colours();
	take_modes();
	term_resize();
	return 0;
}

static void give_modes(void)
{
	if (!term.taken)
		return;
	put_raw(paste_off, sizeof(paste_off) - 1);
	if (term.mouse)
		put_raw(MOUSE_OFF, sizeof(MOUSE_OFF) - 1);
	endwin();
	tcsetattr(STDIN_FILENO, TCSADRAIN, &term.before);
	term.taken = 0;
}

void term_close(void)
{
	if (!term.screen)
		return;
	/* A vanished terminal gets nothing more, and what curses holds ends with the program. */
	if (!term_gone()) {
		give_modes();
		delscreen(term.screen);
	}
	term.taken = 0;
	term.screen = NULL;
}

void term_restore_now(void)
{
	sigset_t stop, was;
	const char *s = term.reset;
	size_t n = term.reset_n;

	if (!term.taken || term.gone)
		return;
	term.taken = 0;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &stop, &was);
	/* What is left of a paste must not become commands of the shell. */
	tcflush(STDIN_FILENO, TCIFLUSH);
	tcsetattr(STDIN_FILENO, TCSANOW, &term.before);
	for (int tries = 0; n && tries < 100; tries++) {
		ssize_t k = write(STDOUT_FILENO, s, n);

		s += k > 0 ? k : 0;
		n -= k > 0 ? (size_t)k : 0;
	}
	pthread_sigmask(SIG_SETMASK, &was, NULL);
}

static int within(int n, int most)
{
	return n < 1 ? 1 : n > most ? most : n;
}

int term_size(int *rows, int *cols)
{
	struct winsize w = { .ws_row = 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_row || !w.ws_col) {
		if (!term.screen)
			return -1;
		*rows = within(LINES, ROWS_MOST);
		*cols = within(COLS, COLS_MOST);
		return 0;
	}
	*rows = within(w.ws_row, ROWS_MOST);
	*cols = within(w.ws_col, COLS_MOST);
	return 0;
}

static void forget_over(void)
{
	memset(term.over, 0, sizeof(term.over));
}

/* All of it, with the next update. */
static void redraw(void)
{
	forget_over();
	clearok(curscr, TRUE);
}

void term_resize(void)
{
	int rows, cols;

	forget_over();
	if (term.screen && !term_size(&rows, &cols))
		resizeterm(rows, cols);
}

int term_colours(void)
{
	return term.screen && has_colors() ? COLORS : 0;
}

/* The number of a pair of colours, made when first wanted; 0 when there are no more. */
static short pair_for(int fg, int bg)
{
	int most = COLOR_PAIRS - 1 < PAIRS_MOST ? COLOR_PAIRS - 1 : PAIRS_MOST;

	if (!term.defaults) {
		fg = fg < 0 ? COLOR_WHITE : fg;
		bg = bg < 0 ? COLOR_BLACK : bg;
	}
	if (fg < 0 && bg < 0)
		return 0;
	for (int i = 0; i < term.pair_n; i++)
		if (term.pair[i].fg == fg && term.pair[i].bg == bg)
			return (short)(i + 1);
	if (term.pair_n >= most || init_extended_pair(term.pair_n + 1, fg, bg) == ERR)
		return 0;
	term.pair[term.pair_n].fg = fg;
	term.pair[term.pair_n].bg = bg;
	return (short)++term.pair_n;
}

static void take_theme(const struct theme *t)
{
	if (!memcmp(&term.theme, t, sizeof(*t)))
		return;
	term.theme = *t;
	term.pair_n = 0;
	forget_over();
	for (int i = 0; i < ROLE_N; i++) {
		int fg = -1, bg = -1;

		if (term_colours())
			theme_pair(&t->look[i], COLORS, &fg, &bg);
		term.role_pair[i] = term_colours() ? pair_for(fg, bg) : 0;
	}
}

static attr_t attributes(int attr)
{
	return (attr & GRID_BOLD ? A_BOLD : 0) | (attr & GRID_ITALIC ? A_ITALIC : 0) |
	       (attr & GRID_UNDERLINE ? A_UNDERLINE : 0) | (attr & GRID_DIM ? A_DIM : 0) |
	       (attr & GRID_REVERSE ? A_REVERSE : 0);
}

/* How cell c looks in this terminal. */
static attr_t look_of(const struct cell *c, short *pair)
{
	int role = c->role < ROLE_N ? c->role : 0;

	*pair = term.role_pair[role];
	return attributes(c->attr | term.theme.look[role].attr);
}

/* Of all that a row shows; never 0. */
static uint64_t row_hash(const struct grid *g, int y, int cols)
{
	uint64_t h = (uint64_t)cols;

	for (int x = 0; x < cols; x++) {
		const struct cell *c = grid_at(g, y, x);

		h = mix64(h ^ (uint64_t)(c->width << 16 | c->role << 8 | c->attr));
		for (const char *s = c->text; *s; s++)
			h = mix64(h ^ (unsigned char)*s);
	}
	return h | 1;
}

/* True if there are blanks to write over. */
static bool show_row(const struct grid *g, int y, int cols)
{
	static cchar_t line[COLS_MOST + UINT8_MAX];
	bool any = false;
	int n = 0;

	for (int x = 0; x < cols;) {
		const struct cell *c = grid_at(g, y, x);
		int width = x + c->width <= cols ? c->width : cols - x;
		short pair;
		attr_t attr = look_of(c, &pair);
		bool over;

		width = width < 1 ? 1 : width;
		n += term_cell(line + n, c, width, term.unicode, attr, pair, &over);
		any |= over;
		x += width;
	}
	mvadd_wchnstr(y, 0, line, n);
	return any;
}

/* What curses has left blank in the row. */
static void show_over(const struct grid *g, int y, int cols)
{
	for (int x = 0; x < cols; x++) {
		const struct cell *c = grid_at(g, y, x);
		cchar_t ignored[UINT8_MAX];
		short pair;
		attr_t attr = look_of(c, &pair);
		bool over = false;

		if (c->width && x + c->width <= cols)
			term_cell(ignored, c, c->width, term.unicode, attr, pair, &over);
		if (over)
			term_cell_over(y, x, c, attr, pair);
	}
}

/* After curses: the rows that it may have drawn anew.  hash: of those with blanks to write over. */
static void show_rest(const struct grid *g, int rows, int cols, const uint64_t *hash)
{
	int done = 0, y, x;

	for (int row = 0; row < rows; row++) {
		if (hash[row] && hash[row] != term.over[row]) {
			show_over(g, row, cols);
			done++;
		}
		term.over[row] = hash[row];
	}
	getyx(stdscr, y, x);
	if (done)
		term_cell_over_end(y, x);
}

static int least(int a, int b)
{
	return a < b ? a : b;
}

void term_show(const struct grid *g, const struct theme *t, bool redraw_all)
{
	int rows = least(g->rows, LINES), cols = least(least(g->cols, COLS), COLS_MOST);
	uint64_t hash[ROWS_MOST];

	rows = least(rows, ROWS_MOST);
	if (!term.taken || term.gone)
		return;
	take_theme(t);
	for (int y = 0; y < rows; y++) {
		hash[y] = show_row(g, y, cols) ? row_hash(g, y, cols) : 0;
		/* curses takes what was written over for the blanks that it left there. */
		if (term.over[y] && term.over[y] != hash[y])
			wredrawln(stdscr, y, 1);
	}
	if (redraw_all)
		redraw();
	if (g->cursor_y >= 0 && g->cursor_y < rows && g->cursor_x >= 0 && g->cursor_x < cols) {
		curs_set(1);
		move(g->cursor_y, g->cursor_x);
	} else {
		curs_set(0);
	}
	wnoutrefresh(stdscr);
	doupdate();
	show_rest(g, rows, cols, hash);
}

void term_bell(void)
{
	if (term.taken && !term.gone)
		beep();
}

size_t term_read(char *buf, size_t n)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	ssize_t k;

	if (!term.taken || term.gone || poll(&p, 1, 0) <= 0 || !n)
		return 0;
	k = read(STDIN_FILENO, buf, n);
	if (!k || (k < 0 && errno != EINTR && errno != EAGAIN))
		term.gone = true;
	return k > 0 ? (size_t)k : 0;
}

bool term_gone(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	if (term.screen && poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL))
		term.gone = true;
	return term.gone;
}

void term_suspend(void)
{
	if (term.screen && !term_gone())
		give_modes();
}

void term_resume(void)
{
	if (!term.screen || term_gone())
		return;
	if (term.taken) {               /* stopped from outside: the shell may have changed them */
		reset_prog_mode();
	} else {
		tcgetattr(STDIN_FILENO, &term.before);
		def_shell_mode();
		reset_prog_mode();
		/* curses takes the alternate screen back at the next update. */
		put_raw(paste_on, sizeof(paste_on) - 1);
		if (term.mouse)
			put_raw(MOUSE_ON, sizeof(MOUSE_ON) - 1);
		term.taken = 1;
	}
	term_resize();
	redraw();
}

void term_mouse(bool on)
{
	if (!term.taken || on == term.mouse || !tigetstr("kmous"))
		return;
	term.mouse = on;
	put_raw(on ? MOUSE_ON : MOUSE_OFF, sizeof(MOUSE_ON) - 1);
}

void term_write(const char *s, size_t n)
{
	if (term.taken)
		put_raw(s, n);
}
