/* test_pty.c - the full screen on a pty with hostile bytes from everywhere: from the model, in
 * names of models and files, in errors, remarks, prompts and pastes.  All that comes out is read
 * by pty_scan.h.  (tests/test_escapes.c does this for the line chat.)
 *
 * A child runs the screen; noise begins with a tag, and the child counts that every piece of noise
 * was on its screen.  That the scan sees a leak is tested by leaking on purpose. */
#include "app/config/args.h"
#include "app/tui/tui.h"
#include "tests/mk.h"
#include "tests/noise.h"
#include "tests/pty_scan.h"
#include "ui/term/term.h"
#include "tests/folder_kit.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STRINGS = 10000, BATCH = 25, ROWS = 120, COLS = 240, COPY_EVERY = 50 };
#define NASTY_FILE "m\033]52;c;aGk=\a\x9b" "31m\xc2\x9b\xe2\x80\xae\033[!p.gguf"

static char dir[] = "/tmp/s3dchat-pty.XXXXXX";

/* ---- the child: the full screen without its loop ---- */

struct flood {
	struct tui tui;
	struct worker worker;           /* its mailboxes only */
	struct grid grid;
	int said, batch;
	bool seen[STRINGS];
};

static void fatal(const char *why)
{
	fprintf(stderr, "%s\n", why);
	_exit(3);
}

static void drain(struct flood *f)
{
	struct msg m;

	while (msgq_get(&f->worker.in, &m))
		msg_free(&m);
}

static void show(struct flood *f)
{
	f->tui.now += 0.2;
	tui_draw(&f->tui, &f->grid);
	term_show(&f->grid, &f->tui.cfg.theme, false);
}

static void message(struct flood *f, struct msg m, const char *text, size_t n)
{
	char copy[NOISE + 32];

	memcpy(copy, text, n);
	copy[n] = '\0';
	m.text = copy;
	m.len = n;
	tui_message(&f->tui, &m);
}

static void noise_message(struct flood *f, struct msg m)
{
	char text[NOISE];
	size_t n = noise(text);

	message(f, m, text, n);
}

/* One tagged piece of noise as the model's, cut anywhere. */
static void say(struct flood *f)
{
	char text[NOISE + 16];
	size_t n = (size_t)sprintf(text, "\ntag%05d ", f->said++), cut;

	n += noise(text + n);
	cut = dice((unsigned)n);
	message(f, (struct msg){ .kind = MSG_TEXT, .origin = (enum msg_origin)dice(3) }, text, cut);
	message(f, (struct msg){ .kind = MSG_TEXT, .origin = (enum msg_origin)dice(3) }, text + cut,
		n - cut);
}

static void count_seen(struct flood *f)
{
	char tag[9] = "";

	for (int y = 0; y < f->grid.rows; y++)
		for (int x = 0; x + 8 < f->grid.cols; x++) {
			int n = 0;

			for (int i = 0; i < 8; i++)
				tag[i] = *grid_at(&f->grid, y, x + i)->text;
			if (sscanf(tag, "tag%5d", &n) == 1 && n >= 0 && n < f->said)
				f->seen[n] = true;
		}
}

static void keys(struct flood *f, const char *bytes)
{
	tui_input(&f->tui, bytes, strlen(bytes), true);
}

static void paste(struct flood *f, const char *before, const char *text, size_t n)
{
	keys(f, "\033[200~");
	tui_input(&f->tui, before, strlen(before), true);
	tui_input(&f->tui, text, n, true);
	keys(f, "\033[201~");
}

/* Commands that name a file, a chat or a setting which is not there. */
static void name_files(struct flood *f)
{
	static const char *const with_name[] = { "/read /no/", "/load /no/", "/save /no/", "/no",
		"/model /no/", "/resume ", "/set ", "/strategy ", "/show ", "/theme ",
		"/set temp " };
	char name[NOISE];
	size_t n;

	for (size_t i = 0; i < sizeof(with_name) / sizeof(with_name[0]); i++) {
		n = noise(name);
		paste(f, with_name[i], name, n);
		show(f);
		keys(f, "\r");
		show(f);
		keys(f, "\003");
		drain(f);
	}
}

/* Names of files that are there, as Tab lists them. */
static void complete(struct flood *f)
{
	char path[128], name[NOISE], folder[64];
	struct msg ready = { .kind = MSG_READY };
	int fd;

	snprintf(folder, sizeof(folder), "%s/%d", dir, f->batch);
	mkdir(folder, 0700);
	for (int i = 0; i < 6; i++) {
		name[noise(name)] = '\0';
		for (char *p = name; *p; p++)
			*p = *p == '/' ? '%' : *p;
		snprintf(path, sizeof(path), "%s/same%s", folder, name);
		fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		if (fd >= 0)
			close(fd);
	}
	snprintf(path, sizeof(path), "/read %s/s", folder);
	keys(f, path);
	keys(f, "\t\t");
	show(f);
	keys(f, "\r");
	show(f);
	keys(f, "\003");
	noise_message(f, ready);
}

/* What else redraws: other panes, forms, themes and sizes. */
static void stir(struct flood *f)
{
	static const char *const ways[] = { "\033OP", "\033", "\033OQ", "\033OR", "\033m", "\033t",
		"\033o", "\033[5~", "\033[6~", "/stats\r", "/set\r", "\033", "\033[1;5F" };
	struct winsize w = { .ws_row = (unsigned short)(ROWS - dice(100)),
			     .ws_col = (unsigned short)(COLS - dice(200)) };

	keys(f, ways[dice(sizeof(ways) / sizeof(ways[0]))]);
	if (dice(2))
		w = (struct winsize){ .ws_row = ROWS, .ws_col = COLS };
	ioctl(STDOUT_FILENO, TIOCSWINSZ, &w);
	term_resize();
	if (grid_resize(&f->grid, w.ws_row, w.ws_col))
		fatal("no memory");
	show(f);
}

/* The state in which every tag must be on the screen. */
static void settle(struct flood *f)
{
	struct winsize w = { .ws_row = ROWS, .ws_col = COLS };

	ioctl(STDOUT_FILENO, TIOCSWINSZ, &w);
	term_resize();
	if (grid_resize(&f->grid, ROWS, COLS))
		fatal("no memory");
	f->tui.panes.stats = f->tui.panes.hints = true;
	f->tui.page_open = false;
	transcript_scroll_to(f->tui.log, false);
}

static void batch(struct flood *f)
{
	char text[NOISE];
	size_t n = noise(text);

	if (f->tui.talk.busy && f->tui.talk.ready)      /* noise that was a command's name */
		message(f, (struct msg){ .kind = MSG_DONE, .reason = DONE_STOPPED }, "", 0);
	tui_send(&f->tui, "/new");
	noise_message(f, (struct msg){ .kind = MSG_READY, .info.ctx_size = 4096 });
	paste(f, "asked: ", text, n);
	show(f);
	keys(f, "\r");
	if (!f->tui.talk.busy)          /* the noise ended the paste and went elsewhere */
		tui_send(&f->tui, "question");
	drain(f);
	for (int i = 0; i < BATCH; i++)
		say(f);
	settle(f);
	show(f);
	count_seen(f);
	noise_message(f, (struct msg){ .kind = dice(2) ? MSG_ERROR : MSG_NOTE });
	show(f);
	message(f, (struct msg){ .kind = MSG_DONE, .reason = DONE_STOPPED }, "", 0);
	if (f->batch % COPY_EVERY == 0)
		tui_send(&f->tui, "/copy");
	stir(f);
	if (f->batch % 8 == 0)
		name_files(f);
	if (f->batch % 20 == 0)
		complete(f);
	f->batch++;
}

static void open_flood(struct flood *f)
{
	char err[ERR_MAX] = "no memory";

	args_defaults(&f->tui.talk.opt);
	config_default(&f->tui.cfg, NULL);
	f->tui.talk.chat = chat_open();
	f->tui.talk.worker = &f->worker;
	f->tui.talk.stats.n_tokens = -1;
	f->tui.talk.busy = true;
	if (msgq_init(&f->worker.in, false, err) || tui_open(&f->tui, err) || term_open(err) ||
	    grid_resize(&f->grid, ROWS, COLS))
		fatal(err);
}

/* leak: what gets out unfiltered, once, as a bug would let it; NULL: nothing. */
static int flood(int strings, const char *leak)
{
	static struct flood f;

	setlocale(LC_CTYPE, "");
	open_flood(&f);
	while (f.said < strings) {
		batch(&f);
		if (leak && f.said >= strings / 2) {
			term_write(leak, strlen(leak));
			leak = NULL;
		}
	}
	term_close();
	for (int i = 0; i < f.said; i++)
		if (!f.seen[i])
			return 1;
	return 0;
}

/* ---- the parent ---- */

struct output {
	char *bytes;
	size_t n, cap;
	int master;
	pid_t pid;
};

/* In the child this returns false. */
static bool start(struct output *o)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS };
	struct winsize w = { .ws_row = ROWS, .ws_col = COLS };

	*o = (struct output){ .master = -1 };
	fflush(NULL);
	o->pid = forkpty(&o->master, NULL, NULL, &w);
	assert_true(o->pid >= 0);
	for (size_t i = 0; !o->pid && i < sizeof(faults) / sizeof(faults[0]); i++)
		signal(faults[i], SIG_DFL);     /* not to cmocka, which would go on in the child */
	return o->pid != 0;
}

/* What has come within ms; false: there will be no more. */
static bool take(struct output *o, int ms)
{
	struct pollfd p = { .fd = o->master, .events = POLLIN };
	ssize_t n;

	if (poll(&p, 1, ms) <= 0)
		return true;
	if (o->cap - o->n < 65536) {
		o->cap = 2 * o->cap + 65536;
		o->bytes = realloc(o->bytes, o->cap + 1);
		assert_non_null(o->bytes);
	}
	n = read(o->master, o->bytes + o->n, o->cap - o->n);
	o->n += n > 0 ? (size_t)n : 0;
	o->bytes[o->n] = '\0';
	return n > 0;
}

static int finish(struct output *o)
{
	int status = -1;

	while (take(o, 60000))
		;
	close(o->master);
	waitpid(o->pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

static void test_flood(void **state)
{
	struct output o;
	struct scan s;
	int rc;

	(void)state;
	if (!start(&o))
		_exit(flood(STRINGS, NULL));
	rc = finish(&o);
	if (rc == 3)
		fail_msg("%s", o.bytes + (o.n > 200 ? o.n - 200 : 0));
	assert_int_equal(rc, 0);                /* 1: not every string was on the screen */
	if (!scan_all(&s, o.bytes, o.n, ROWS, COLS))
		fail_msg("%s", s.bad);
	assert_int_equal(s.alternate, 2);       /* in and out, nothing between */
	assert_int_equal(s.paste, 2);
	assert_int_equal(s.copies, STRINGS / BATCH / COPY_EVERY);
	assert_true(s.text > 20L * STRINGS && s.sequences > STRINGS);
	free(o.bytes);
}

static void test_leaks_are_seen(void **state)
{
	static const char *const leaks[] = {
		"",                             /* the one that must be found clean */
		"\033]52;c;aGk=\a", "\033]0;x\a", "\033[!p", "\033c", "\033[6n", "\033[?1003h",
		"\033[?1049l", "\033[?2004h", "\033[5m", "\033[999;1H", "\033[3J", "\033[4h",
		"\033P1\033\\", "\033(0", "\x9b", "\xc2\x9b", "\xe2\x80\xae", "\xe2\x81\xa6",
		"\xed\xa0\x80", "\xc0\x9b", "\a", "\t", "\x0e", "\x7f", "\033",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(leaks) / sizeof(leaks[0]); i++) {
		struct output o;
		struct scan s;
		bool clean;

		if (!start(&o))
			_exit(flood(2 * BATCH, leaks[i]));
		assert_int_equal(finish(&o), 0);
		clean = scan_all(&s, o.bytes, o.n, ROWS, COLS) && s.alternate == 2 &&
			s.paste == 2 && s.copies == 1;
		if (clean != !*leaks[i])
			fail_msg("leak %zu was %sseen", i, clean ? "not " : "");
		free(o.bytes);
	}
}

/* ---- the program itself, with a model of random weights, which writes random bytes ---- */

static void wait_for(struct output *o, const char *text)
{
	for (int i = 0; i < 600; i++) {
		if (o->bytes && memmem(o->bytes, o->n, text, strlen(text)))
			return;
		if (!take(o, 100))
			break;
	}
	kill(o->pid, SIGKILL);
	fail_msg("'%s' did not come; the output ends with: %s", text,
		 o->n > 300 ? o->bytes + o->n - 300 : o->bytes ? o->bytes : "");
}

static void type(struct output *o, const char *bytes)
{
	assert_int_equal(write(o->master, bytes, strlen(bytes)), strlen(bytes));
	for (double until = clock_now() + 0.2; clock_now() < until; )
		take(o, 20);
}

static char *program;           /* its path, before we went into dir */

static void run_program(const char *model)
{
	execl(program, program, "-m", model, "--seed", "1", "-t", "1", "-n", "300", (char *)NULL);
	_exit(127);
}

static void test_program(void **state)
{
	static const struct mk_spec tiny = MK_TINY;
	struct output o;
	struct scan s;
	char model[128], err[ERR_MAX];

	(void)state;
	snprintf(model, sizeof(model), "%s/%s", dir, NASTY_FILE);
	assert_int_equal(mk_write(model, &tiny, err), 0);
	if (!start(&o))
		run_program(model);
	wait_for(&o, "is ready");
	type(&o, "hello\r");
	type(&o, "\033[17~\033[15~\033.\033m");
	wait_for(&o, "context");
	type(&o, "\033");
	type(&o, "/copy\r");
	wait_for(&o, "\033]52;");
	type(&o, "/show\r/model /no/x\033]0;y\a\r");
	kill(o.pid, SIGTERM);
	assert_int_equal(finish(&o), 128 + SIGTERM);
	if (!scan_all(&s, o.bytes, o.n, ROWS, COLS))
		fail_msg("%s", s.bad);
	assert_int_equal(s.alternate, 2);
	assert_int_equal(s.paste, 2);
	assert_int_equal(s.copies, 1);
	assert_non_null(memmem(o.bytes, o.n, "saved as", 8));
	free(o.bytes);
}

static int set_up(void **state)
{
	const char *b = getenv("B");
	char data[64], path[256];

	(void)state;
	snprintf(path, sizeof(path), "%s/s3dchat", b ? b : "build/release");
	program = realpath(path, NULL);
	/* Noise may end a paste and become "/save X": X is written here, not in the sources. */
	if (!program || !mkdtemp(dir) || chdir(dir))
		return -1;
	snprintf(data, sizeof(data), "%s/d\033[31m\xe2\x80\xae", dir);
	setenv("TERM", "xterm-256color", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("HOME", dir, 1);
	setenv("XDG_DATA_HOME", data, 1);
	setenv("INPUTRC", "/dev/null", 1);
	unsetenv("XDG_CONFIG_HOME");
	unsetenv("NO_COLOR");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	free(program);
	return folder_remove(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flood), cmocka_unit_test(test_leaks_are_seen),
		cmocka_unit_test(test_program),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
