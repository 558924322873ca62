/* tui_driver.c - runs the full screen from a script, without terminal, model and real clock.
 *
 * Standard input holds one instruction a line (see `lines` below); \n, \r, \t, \e and \xNN stand
 * for bytes; a line that begins with ? counts only while the model answers.  `dump` prints the
 * screen; with --svg THEME, as a picture in that theme's colours.
 * Invariant: the same script prints the same bytes anywhere. */
#include "app/config/args.h"
#include "app/tui/tui.h"
#include "engine/strategy/strategies.h"
#include "ui/term/headless.h"
#include "ui/term/svg.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct driver {
	struct tui tui;
	struct worker worker;           /* its mailboxes only: there is no thread */
	struct grid grid;
	bool svg;
	int line;
};

static void stop(const struct driver *d, const char *why)
{
	fprintf(stderr, "script line %d: %s\n", d->line, why);
	exit(1);
}

/* Escapes in place; returns the length. */
static size_t unescape(char *s)
{
	char *out = s, *start = s;
	unsigned x;
	int n;

	while (*s) {
		if (*s != '\\') {
			*out++ = *s++;
		} else if (s[1] == 'x' && sscanf(s + 2, "%2x%n", &x, &n) == 1) {
			*out++ = (char)x;
			s += 2 + n;
		} else {
			*out++ = s[1] == 'n' ? '\n' : s[1] == 't' ? '\t' : s[1] == 'r' ? '\r' :
				 s[1] == 'e' ? '\033' : s[1];
			s += 2;
		}
	}
	*out = '\0';
	return (size_t)(out - start);
}

static void input(struct driver *d, const char *s, size_t n)
{
	tui_input(&d->tui, s, n, true);
	if (d->tui.want & TUI_REDRAW)
		d->tui.want &= ~(unsigned)TUI_REDRAW;
}

static void message(struct driver *d, struct msg m, char *text)
{
	m.text = text;
	m.len = text ? unescape(text) : 0;
	tui_message(&d->tui, &m);
}

static void do_size(struct driver *d, char *arg)
{
	int rows, cols;

	if (sscanf(arg, "%d %d", &rows, &cols) != 2 || grid_resize(&d->grid, rows, cols))
		stop(d, "size ROWS COLS");
}

/* What a terminal sends for a key. */
static void do_keys(struct driver *d, char *arg)
{
	static const struct {
		const char *name, *bytes;
	} named[] = {
		{ "Enter", "\r" }, { "Tab", "\t" }, { "Esc", "\033" }, { "Backspace", "\177" },
		{ "Up", "\033[A" }, { "Down", "\033[B" }, { "Right", "\033[C" },
		{ "Left", "\033[D" }, { "Home", "\033[H" }, { "End", "\033[F" },
		{ "PgUp", "\033[5~" }, { "PgDn", "\033[6~" }, { "Delete", "\033[3~" },
		{ "Ctrl+Home", "\033[1;5H" }, { "Ctrl+End", "\033[1;5F" },
		{ "Alt+Enter", "\033\r" }, { "F1", "\033OP" }, { "F2", "\033OQ" },
		{ "F3", "\033OR" }, { "F4", "\033OS" }, { "F5", "\033[15~" },
		{ "F6", "\033[17~" }, { "F7", "\033[18~" }, { "F8", "\033[19~" },
		{ "F9", "\033[20~" }, { "F12", "\033[24~" },
	};
	char bytes[3] = "\033";

	for (char *k = strtok(arg, " "); k; k = strtok(NULL, " ")) {
		size_t i = 0, n = sizeof(named) / sizeof(named[0]);

		while (i < n && strcmp(named[i].name, k) != 0)
			i++;
		if (i < n) {
			input(d, named[i].bytes, strlen(named[i].bytes));
		} else if (!strncmp(k, "Ctrl+", 5) && k[5] && !k[6]) {
			bytes[1] = (char)(k[5] & 0x1f);
			input(d, bytes + 1, 1);
		} else if (!strncmp(k, "Alt+", 4) && k[4] && !k[5]) {
			bytes[1] = k[4];
			input(d, bytes, 2);
		} else {
			stop(d, "no such key");
		}
	}
}

static void do_type(struct driver *d, char *arg)
{
	size_t n = unescape(arg);

	input(d, arg, n);
}

static void do_paste(struct driver *d, char *arg)
{
	size_t n = unescape(arg);

	input(d, "\033[200~", 6);
	input(d, arg, n);
	input(d, "\033[201~", 6);
}

static const struct model_info usual = {
	.ctx_size = 4096, .ctx_train = 8192, .load_s = 0.5, .weights = 94 << 20,
	.draft = 30 << 20, .kv = 90 << 20, .work = 12 << 20,
};

static void do_ready(struct driver *d, char *arg)
{
	message(d, (struct msg){ .kind = MSG_READY, .info = usual }, arg);
}

/* Ready on a GPU, of which this process takes so many MiB (0: unknown); or the plan of it. */
static void do_gpu(struct driver *d, char *arg)
{
	bool plan = !strcmp(arg, "plan");
	struct msg m = { .kind = plan ? MSG_PLAN : MSG_READY, .info = usual };
	char name[] = "A model";

	m.info.gpu = true;
	m.info.planned = (size_t)226 << 20;
	m.info.budget = (size_t)3900 << 20;
	m.info.free = (size_t)3980 << 20;
	m.info.used = (size_t)strtoul(arg, NULL, 10) << 20;
	m.info.host_weights = (size_t)37 << 20;
	m.info.host_layers = 12;
	m.info.n_layers = 30;
	message(d, m, plan ? NULL : name);
}

/* Ready once more, on the cpu: a device has failed. */
static void do_again(struct driver *d, char *arg)
{
	struct msg m = { .kind = MSG_READY, .info = usual };

	m.info.again = true;
	snprintf(m.info.device, sizeof(m.info.device), "cpu: avx2, 2 threads");
	message(d, m, arg);
}

/* The strategies of these names cannot be had. */
static void do_lacks(struct driver *d, char *arg)
{
	struct msg m = { .kind = MSG_SIDECAR, .info = usual };

	for (char *name = strtok(arg, " "); name; name = strtok(NULL, " "))
		for (unsigned i = 0; strategies[i]; i++)
			m.info.lacking |= strcmp(strategies[i]->name, name) ? 0 : 1u << i;
	message(d, m, NULL);
}

static void do_loading(struct driver *d, char *arg)
{
	message(d, (struct msg){ .kind = MSG_LOADING, .share = strtod(arg, NULL) }, NULL);
}

static void do_strategy(struct driver *d, char *arg)
{
	char *exact = strchr(arg, ' ');

	if (!exact)
		stop(d, "strategy NAME exact|approximate");
	*exact++ = '\0';
	message(d, (struct msg){ .kind = MSG_STRATEGY, .exact = !strcmp(exact, "exact") }, arg);
}

static void do_token(struct driver *d, char *arg)
{
	enum msg_origin origin = *arg == 'a' ? MSG_ACCEPTED : *arg == 'c' ? MSG_CORRECTED :
				 MSG_PLAIN;
	char *text = strchr(arg, ' ');

	if (!text)
		stop(d, "token plain|accepted|corrected TEXT");
	message(d, (struct msg){ .kind = MSG_TEXT, .origin = origin }, text + 1);
}

/* The same text one byte at a time, as one origin. */
static void do_bytes(struct driver *d, char *arg)
{
	size_t n = unescape(arg);

	for (size_t i = 0; i < n; i++) {
		struct msg m = { .kind = MSG_TEXT, .text = arg + i, .len = 1 };

		tui_message(&d->tui, &m);
	}
}

/* n_tokens rate rate_now first_s rounds tested accepted draft verify choose ctx plain_n plain_s */
static void do_stats(struct driver *d, char *arg)
{
	struct stats s = { .prompt_rate = 900, .n_prompt = 40, .ctx_size = 4096, .seed = 42 };

	if (sscanf(arg, "%ld %lf %lf %lf %ld %ld %ld %lf %lf %lf %d %ld %lf", &s.n_tokens, &s.rate,
		   &s.rate_now, &s.first_s, &s.rounds, &s.tested, &s.accepted, &s.draft_s,
		   &s.verify_s, &s.choose_s, &s.ctx_used, &s.plain_n, &s.plain_s) != 13)
		stop(d, "stats takes 13 numbers");
	for (int i = 0; i < 4 && s.tested; i++) {
		s.pos_tested[i] = s.tested >> i;
		s.pos_accepted[i] = s.accepted >> (2 * i);
	}
	message(d, (struct msg){ .kind = MSG_STATS, .stats = s }, NULL);
}

static void do_done(struct driver *d, char *arg)
{
	static const char *const names[] = { "end", "limit", "stopped", "context", "error",
					"refused" };

	for (int i = 0; i < 6; i++)
		if (!strcmp(arg, names[i])) {
			message(d, (struct msg){ .kind = MSG_DONE, .reason = i }, NULL);
			return;
		}
	stop(d, "done end|limit|stopped|context|error|refused");
}

static void do_dropped(struct driver *d, char *arg)
{
	message(d, (struct msg){ .kind = MSG_DROPPED, .count = atoi(arg) }, NULL);
}

static void do_error(struct driver *d, char *arg)
{
	message(d, (struct msg){ .kind = MSG_ERROR }, arg);
}

static void do_fatal(struct driver *d, char *arg)
{
	message(d, (struct msg){ .kind = MSG_ERROR, .error = ERROR_GONE }, arg);
}

static void do_tick(struct driver *d, char *arg)
{
	d->tui.now += strtod(arg, NULL) / 1000;
}

/* MiB of the process; of weights, KV cache and buffers, when given. */
static void do_rss(struct driver *d, char *arg)
{
	struct stats_view *v = &d->tui.stats;
	double mib[4];
	int n = sscanf(arg, "%lf %lf %lf %lf", &mib[0], &mib[1], &mib[2], &mib[3]);
	double *const to[4] = { &v->rss, &v->weights, &v->kv, &v->work };

	for (int i = 0; i < n; i++)
		*to[i] = mib[i] * (1 << 20);
}

static void dump(struct driver *d, const char *name, bool roles)
{
	tui_draw(&d->tui, &d->grid);
	if (d->svg) {
		svg_print(stdout, &d->grid, &d->tui.cfg.theme);
		return;
	}
	printf("== %s %dx%d\n", name, d->grid.rows, d->grid.cols);
	headless_print(stdout, &d->grid, roles);
}

static void do_dump(struct driver *d, char *arg)
{
	dump(d, arg, false);
}

static void do_roles(struct driver *d, char *arg)
{
	dump(d, arg, true);
}

/* What the decode thread was asked, what the caller is asked for, and whether to stop. */
static void do_sent(struct driver *d, char *arg)
{
	static const char *const names[] = { "answer", "set", "strategy", "model", "sidecar",
					     "quit" };
	struct msg m;

	printf("== sent %s\n", arg);
	while (msgq_get(&d->worker.in, &m)) {
		printf("%s %s\n", names[m.kind], m.text ? m.text : "");
		msg_free(&m);
	}
	printf("want %u, stop %d\n", d->tui.want, (int)atomic_load(&d->worker.stop));
	d->tui.want = 0;
}

static const struct {
	const char *name;
	void (*run)(struct driver *, char *arg);
} lines[] = {
	{ "size", do_size }, { "keys", do_keys }, { "type", do_type }, { "paste", do_paste },
	{ "loading", do_loading }, { "ready", do_ready }, { "strategy", do_strategy },
	{ "token", do_token }, { "bytes", do_bytes }, { "stats", do_stats }, { "done", do_done },
	{ "dropped", do_dropped }, { "error", do_error }, { "fatal", do_fatal },
	{ "tick", do_tick }, { "rss", do_rss }, { "gpu", do_gpu }, { "dump", do_dump },
	{ "roles", do_roles }, { "sent", do_sent }, { "again", do_again },
	{ "lacks", do_lacks },
};

static void run_line(struct driver *d, char *line)
{
	size_t name, n = sizeof(lines) / sizeof(lines[0]);

	d->line++;
	line[strcspn(line, "\n")] = '\0';
	if (!*line || *line == '#' || (*line == '?' && !tui_answering(&d->tui)))
		return;
	line += *line == '?';
	name = strcspn(line, " ");
	for (size_t i = 0; i < n; i++)
		if (strlen(lines[i].name) == name && !strncmp(lines[i].name, line, name)) {
			lines[i].run(d, line + name + (line[name] == ' '));
			return;
		}
	stop(d, "no such instruction");
}

static void begin(struct driver *d)
{
	char err[ERR_MAX];

	memset(d, 0, sizeof(*d));
	args_defaults(&d->tui.talk.opt);
	d->tui.talk.opt.seed = 42;
	config_default(&d->tui.cfg, NULL);
	d->tui.talk.chat = chat_open();
	d->tui.talk.worker = &d->worker;
	d->tui.talk.stats.n_tokens = -1;
	d->tui.talk.busy = true;
	d->tui.talk.seed = 42;
	d->tui.now = 1000;
	if (msgq_init(&d->worker.in, false, err) || msgq_init(&d->worker.out, false, err) ||
	    tui_open(&d->tui, err) || grid_resize(&d->grid, 24, 80))
		stop(d, "cannot begin");
}

int main(int argc, char **argv)
{
	static struct driver d;
	char line[8192], err[ERR_MAX];

	setlocale(LC_CTYPE, "C.UTF-8");
	begin(&d);
	d.svg = argc == 3 && !strcmp(argv[1], "--svg");
	if (argc > 1 && (!d.svg || config_theme(&d.tui.cfg, argv[2], err)))
		stop(&d, "the only option is --svg THEME");
	while (fgets(line, sizeof(line), stdin))
		run_line(&d, line);
	tui_close(&d.tui);
	grid_free(&d.grid);
	msgq_free(&d.worker.in);
	msgq_free(&d.worker.out);
	chat_close(d.tui.talk.chat);
	free(d.tui.talk.model);
	free(d.tui.talk.attached);
	free(d.tui.talk.path);
	return 0;
}
