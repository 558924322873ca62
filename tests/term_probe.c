/* term_probe.c - a program that only holds the terminal, for tests/term.test.sh.
 *
 * Shows a grid with wide text, its size, and the names of the last keys.  q leaves, x crashes, z
 * suspends, c takes a grapheme away, SIGTERM ends it; it ends by itself when the terminal is
 * gone. */
#include "ui/term/keys.h"
#include "ui/term/term.h"

#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t ended, resized, continued;

static void on_end(int sig)
{
	ended = sig;
}

static void on_resize(int sig)
{
	resized = sig;
}

static void on_continue(int sig)
{
	continued = sig;
}

static void on_crash(int sig)
{
	term_restore_now();
	signal(sig, SIG_DFL);
	raise(sig);
}

struct probe {
	struct grid g;
	struct theme theme;
	char keys[256];
	char buf[256];
	size_t n;
};

static int say(struct probe *p, int y, int role, const char *s)
{
	struct rect all = { 0, 0, p->g.rows, p->g.cols };

	return grid_put(&p->g, all, y, 0, (enum role)role, 0, s, strlen(s));
}

static void draw(struct probe *p)
{
	char text[96];
	int rows = 1, cols = 1;

	term_size(&rows, &cols);
	if (grid_resize(&p->g, rows, cols))
		return;
	grid_clear(&p->g, (struct rect){ 0, 0, rows, cols }, ROLE_TEXT);
	snprintf(text, sizeof(text), "probe %d x %d, %d colours", rows, cols, term_colours());
	say(p, 0, ROLE_USER, text);
	say(p, 1, ROLE_TEXT, "\xe6\xbc\xa2\xe5\xad\x97|e\xcc\x81|"
	    "\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbd|");
	say(p, 2, ROLE_CODE, p->keys);
	snprintf(text, sizeof(text), "pid %ld", (long)getpid());
	say(p, 3, ROLE_NOTICE, text);
	say(p, 4, ROLE_TEXT, "कि|की|नमस्ते|மொழி|ကြောင်း|👍🏽|👨‍👩‍👧|❤️|1️⃣|🇩🇪|🧑🏻‍💻|"
	    "x\u0301\u0302\u0303\u0304\u0305\u0306|");
	say(p, 5, ROLE_TEXT, strchr(p->keys, 'c') ? "|    |taken" : "|👍🏽|there");
	p->g.cursor_y = rows - 1;
	p->g.cursor_x = 3;
	term_show(&p->g, &p->theme, false);
}

/* A real one, also where a sanitizer would tell of it and end the program in its own way. */
__attribute__((no_sanitize("undefined"))) static void crash(void)
{
	volatile int *volatile nowhere = NULL;

	*nowhere = 1;
}

/* true: leave */
static bool act(struct probe *p, unsigned key)
{
	char name[32];

	keys_name(key, name);
	if (key == KEYSYM_PASTE_BEGIN || key == KEYSYM_PASTE_END)
		snprintf(name, sizeof(name), key == KEYSYM_PASTE_BEGIN ? "<paste" : "paste>");
	if (strlen(p->keys) + strlen(name) + 2 > sizeof(p->keys))
		p->keys[0] = '\0';
	snprintf(p->keys + strlen(p->keys), sizeof(p->keys) - strlen(p->keys), "%s ", name);
	if (key == 'x')
		crash();
	if (key == 'z') {
		term_suspend();
		raise(SIGTSTP);
		term_resume();
	}
	return key == 'q';
}

static bool take_input(struct probe *p)
{
	size_t used = 0, k;
	unsigned key;

	p->n += term_read(p->buf + p->n, sizeof(p->buf) - p->n);
	while ((k = keys_decode(p->buf + used, p->n - used, true, &key))) {
		used += k;
		if (act(p, key))
			return true;
	}
	p->n = 0;
	return false;
}

int main(void)
{
	static struct probe p;
	char err[ERR_MAX];

	setlocale(LC_ALL, "");
	signal(SIGTERM, on_end);
	signal(SIGHUP, on_end);
	signal(SIGWINCH, on_resize);
	signal(SIGCONT, on_continue);
	signal(SIGSEGV, on_crash);
	theme_default(&p.theme);
	theme_colour("#12abef", &p.theme.look[ROLE_NOTICE].fg, err);
	if (term_open(err)) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	while (!ended && !term_gone()) {
		draw(&p);
		poll(&(struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN }, 1, 200);
		if (resized) {
			resized = 0;
			term_resize();
		}
		if (continued) {
			continued = 0;
			term_resume();
		}
		if (take_input(&p))
			break;
	}
	term_close();
	grid_free(&p.g);
	return ended ? 128 + ended : 0;
}
