/* test_typing.c - bytes of a keyboard with their times, to the program itself on a pty, once as
 * full screen and once as line chat: pastes without an end, keys in pieces, other locales.
 *
 * What was typed is looked for where the program keeps it: in the saved chat and the history. */
#include "app/chat.h"
#include "app/options.h"
#include "app/saved.h"
#include "tests/mk.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PASTE_BEGIN "\033[200~"
#define PASTE_END "\033[201~"
enum { OUT_MOST = 1 << 22, KINDS = 2 };

static char home[] = "/tmp/s3dchat-typing.XXXXXX", model[64], program[PATH_MAX], err[ERR_MAX];

struct run {
	bool line;              /* line chat */
	int tty;
	pid_t pid;
	char *out;              /* what it wrote */
	size_t n, seen;         /* seen: before this nothing is waited for */
};

/* Takes what comes in so many seconds; false: it has ended. */
static bool take(struct run *r, double seconds)
{
	for (double end = clock_now() + seconds, left; (left = end - clock_now()) > 0;) {
		struct pollfd p = { .fd = r->tty, .events = POLLIN };
		ssize_t got;

		if (poll(&p, 1, (int)(left * 1000) + 1) <= 0)
			continue;
		got = read(r->tty, r->out + r->n, OUT_MOST - 1 - r->n);
		if (got <= 0)
			return false;
		r->n += (size_t)got;
		r->out[r->n] = '\0';
	}
	return true;
}

static void wait_for(struct run *r, const char *text)
{
	for (int i = 0; i < 600; i++) {
		char *at = memmem(r->out + r->seen, r->n - r->seen, text, strlen(text));

		if (at) {
			r->seen = (size_t)(at - r->out) + strlen(text);
			return;
		}
		if (!take(r, 0.05))
			break;
	}
	kill(r->pid, SIGKILL);
	fail_msg("%s: '%s' did not come; the last: %s", r->line ? "line chat" : "full screen", text,
		 r->n > 200 ? r->out + r->n - 200 : r->out);
}

static void configure(const char *text)
{
	char path[96];
	FILE *f;

	snprintf(path, sizeof(path), "%s/s3dchat", home);
	mkdir(path, 0700);
	strcat(path, "/config");
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void start(struct run *r, bool line)
{
	struct winsize w = { .ws_row = 30, .ws_col = 100 };
	char command[128];

	*r = (struct run){ .line = line, .out = calloc(1, OUT_MOST) };
	assert_non_null(r->out);
	snprintf(command, sizeof(command), "rm -rf %s/s3dchat/*/ %s/s3dchat/history", home, home);
	assert_int_equal(system(command), 0);
	r->pid = forkpty(&r->tty, NULL, NULL, &w);
	if (r->pid < 0)
		fail_msg("no pseudo-terminal to be had (is /dev/pts mounted?)");
	if (!r->pid) {
		execl(program, program, "-m", model, "-md", "none", "-t", "1", "-n", "4", "-s", "1",
		      line ? "--line" : (char *)NULL, (char *)NULL);
		_exit(127);
	}
	wait_for(r, "leaves.");
	assert_true(take(r, 0.2));
}

static void type_n(struct run *r, const char *bytes, size_t n)
{
	while (n) {
		ssize_t k = write(r->tty, bytes, n < 4096 ? n : 4096);

		assert_true(k > 0);
		bytes += k;
		n -= (size_t)k;
		take(r, 0.001);
	}
}

/* Types, and is quiet for a time. */
static void type(struct run *r, const char *bytes, double pause)
{
	type_n(r, bytes, strlen(bytes));
	assert_true(take(r, pause));
}

/* The exit status; one that does not end is killed. */
static int finish(struct run *r)
{
	int status = 0;
	bool ended = !take(r, 0) || !take(r, 10);

	if (!ended)
		kill(r->pid, SIGKILL);
	waitpid(r->pid, &status, 0);
	close(r->tty);
	free(r->out);
	return !ended ? -1 : WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

static struct chat *saved(void)
{
	struct options o = { 0 };
	char warning[ERR_MAX], *path = saved_path("", err);
	struct chat *c = path ? chat_load(&o, path, warning, err) : NULL;

	free(path);
	return c;
}

/* The first question was this text. */
static void asked(struct run *r, const char *text)
{
	struct chat *c = NULL;

	for (int i = 0; i < 100 && !c; i++) {
		take(r, 0.05);
		c = saved();
	}
	if (!c)
		fail_msg("%s: nothing was asked", r->line ? "line chat" : "full screen");
	if (strlen(text) != c->turn[0].len || memcmp(c->turn[0].text, text, c->turn[0].len))
		fail_msg("%s: '%.*s' was asked", r->line ? "line chat" : "full screen",
			 (int)c->turn[0].len, c->turn[0].text);
	chat_close(c);
}

static bool in_history(const char *text)
{
	char path[96], all[4096] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/s3dchat/history", home);
	f = fopen(path, "r");
	if (!f)
		return false;
	all[fread(all, 1, sizeof(all) - 1, f)] = '\0';
	fclose(f);
	return strstr(all, text) != NULL;
}

static void leave(struct run *r)
{
	kill(r->pid, SIGTERM);
	assert_int_equal(finish(r), 128 + SIGTERM);
}

static void test_paste_without_end(void **state)
{
	struct run r;

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		type(&r, PASTE_BEGIN "one\rtwo", 1.5);
		type(&r, "X\r", 0);
		asked(&r, "one\ntwoX");
		leave(&r);
	}
}

static void test_interrupt_ends_paste(void **state)
{
	struct run r;

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		type(&r, PASTE_BEGIN "kept", 0.3);
		type(&r, "\003", 0.1);
		type(&r, "X\r", 0);
		asked(&r, "keptX");
		leave(&r);
	}
}

/* The link stalled: what comes after the silence in bulk is still no Enter. */
static void test_rest_of_paste(void **state)
{
	static const char rest[] = "\r0123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789\r";
	struct run r;
	char text[128];

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		type(&r, PASTE_BEGIN "one", 1.5);
		type(&r, rest, 0.3);
		assert_null(saved());
		type(&r, PASTE_END, 0.1);
		type(&r, "X\r", 0);
		snprintf(text, sizeof(text), "one\n%.80s\nX", rest + 1);
		asked(&r, text);
		leave(&r);
	}
}

static void test_ended_while_pasting(void **state)
{
	struct run r;

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		type(&r, "typed ", 0.1);
		type(&r, PASTE_BEGIN "and pasted", 0.2);
		leave(&r);
		assert_true(in_history("typed and pasted"));
	}
}

/* Nobody has said what the terminal takes, so it is UTF-8, in both directions. */
static void test_locales(void **state)
{
	static const struct { const char *name, *value; } locales[] = {
		{ "LC_ALL", "C" }, { "LC_ALL", "POSIX" }, { "LANG", "C" }, { "LANG", "" },
		{ "LC_ALL", "xx_YY.UTF-8" }, { "LC_CTYPE", "xx_YY" },
	};
	static const char *const names[] = { "LC_ALL", "LC_CTYPE", "LANG" };
	struct run r;

	(void)state;
	for (size_t i = 0; i < KINDS * sizeof(locales) / sizeof(locales[0]); i++) {
		for (int k = 0; k < 3; k++)
			unsetenv(names[k]);
		setenv(locales[i / KINDS].name, locales[i / KINDS].value, 1);
		start(&r, i % KINDS);
		type(&r, "é ü 漢x\177字 done", 0.1);
		wait_for(&r, "done");
		assert_non_null(strstr(r.out, "漢"));
		type(&r, "\r", 0);
		asked(&r, "é ü 漢字 done");
		leave(&r);
	}
	setenv("LC_ALL", "C.UTF-8", 1);
}

/* ESC, and the rest of the key Left later. */
static void slow_key(struct run *r, const char *text)
{
	type(r, "ab", 0.1);
	type(r, "\033", 0.2);
	type(r, "[DX\r", 0);
	asked(r, text);
	leave(r);
}

static void test_slow_keys(void **state)
{
	struct run r;

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		slow_key(&r, line ? "aXb" : "ab[DX");   /* readline waits for what it began */
		setenv("SSH_CONNECTION", "192.0.2.1 2 192.0.2.3 4", 1);
		start(&r, line);
		slow_key(&r, "aXb");
		configure("set escape-time 50\n");
		start(&r, line);
		slow_key(&r, line ? "aXb" : "ab[DX");
		unsetenv("SSH_CONNECTION");
		configure("set escape-time 1000\n");
		start(&r, line);
		slow_key(&r, "aXb");
		configure("");
	}
}

/* What cannot be the key Esc waits longer: a half of a paste's mark must not become text. */
static void test_slow_marks(void **state)
{
	struct run r;

	(void)state;
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		type(&r, "\033[20", 0.3);
		type(&r, "0~one\rtwo\xc3", 0.3);
		type(&r, "\xa9\033[2", 0.3);
		type(&r, "01~\xc3", 0.3);
		type(&r, "\xa4\r", 0);
		asked(&r, "one\ntwoéä");
		leave(&r);
	}
}

static void test_file_names(void **state)
{
	static const char *const typed[] = { "~/no\t", "~/note\\ o\t",
		"'no\t", "\"note o\t", "note one.txt ", "note\\ one.txt" };
	char path[96], here[PATH_MAX];
	struct run r;

	(void)state;
	snprintf(path, sizeof(path), "%s/note one.txt", home);
	fclose(fopen(path, "w"));
	assert_non_null(getcwd(here, sizeof(here)));
	assert_int_equal(chdir(home), 0);
	for (int line = 0; line < KINDS; line++) {
		start(&r, line);
		for (size_t i = 0; i < sizeof(typed) / sizeof(typed[0]); i++) {
			type(&r, "/read ", 0);
			type(&r, typed[i], 0.1);
			type(&r, "\r", 0);
			wait_for(&r, "go before");
			type(&r, "/new\r", 0.1);
		}
		leave(&r);
	}
	assert_int_equal(chdir(here), 0);
}

static void test_home_in_configuration(void **state)
{
	char command[PATH_MAX + 128];

	(void)state;
	configure("set model ~/model.gguf\nset model-draft \"none\"\n");
	snprintf(command, sizeof(command), "%s -p hi -n 1 -t 1 >%s/out 2>&1", program, home);
	assert_int_equal(system(command), 0);
	configure("");
}

/* Seconds of a processor that the program has used. */
static double used(const struct run *r)
{
	char path[64], line[1024] = "", *p;
	long user = 0, kernel = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)r->pid);
	f = fopen(path, "r");
	assert_non_null(f);
	p = fgets(line, sizeof(line), f) ? strrchr(line, ')') : NULL;
	fclose(f);
	assert_non_null(p);
	assert_int_equal(sscanf(p + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user,
				&kernel), 2);
	return (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
}

/* So many keys, each of which shows before the next: what one takes, without the other programs of
 * this machine. */
static double key_cost(struct run *r, const char *key)
{
	enum { KEYS = 10 };
	double before = used(r);

	for (int i = 0; i < KEYS; i++) {
		size_t was = r->n;

		type(r, key, 0.001);
		for (int k = 0; k < 200 && r->n == was; k++)
			take(r, 0.005);
	}
	take(r, 0.1);
	return (used(r) - before) / KEYS;
}

/* A million bytes, as one line and as many: each key costs little, wherever the cursor is, and
 * Ctrl+C leads out. */
static void test_long_pastes(void **state)
{
	static const char *const pieces[] = { "the quick brown fox jumps over the lazy dog ",
		"the quick brown fox jumps over the lazy dog\n", "漢字" };
	const char *b = getenv("B");
	bool timed = !b || strstr(b, "release");
	char *text = malloc(1 << 20);
	struct run r;

	(void)state;
	assert_non_null(text);
	for (int i = 0; i < 3 * KINDS; i++) {
		static const char *const keys[] = { "x", "\177", "\033[D", "\001y" };
		size_t n = 0;

		while (n < 1000000)
			n += (size_t)(stpcpy(text + n, pieces[i / KINDS]) - (text + n));
		start(&r, i % KINDS);
		type(&r, PASTE_BEGIN, 0);
		type_n(&r, text, n);
		type(&r, PASTE_END, 0.5);
		for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
			double cost = key_cost(&r, keys[k]);

			if (timed && cost > 0.05)
				fail_msg("%s: %.0f ms for a key (%zu) behind '%s'", r.line ?
					 "line chat" : "full screen", 1000 * cost, k,
					 pieces[i / KINDS]);
		}
		type(&r, "\003", 0.3);
		type(&r, "\003", 0.3);
		type(&r, "\003", 0);
		assert_int_equal(finish(&r), 0);
	}
	free(text);
}

static int set_up(void **state)
{
	const char *b = getenv("B");
	struct mk_spec spec = MK_TINY;
	char full[PATH_MAX];

	(void)state;
	if (!mkdtemp(home))
		return -1;
	snprintf(program, sizeof(program), "%s/s3dchat", b ? b : "build/release");
	if (!realpath(program, full))
		return -1;
	strcpy(program, full);
	snprintf(model, sizeof(model), "%s/model.gguf", home);
	setenv("HOME", home, 1);
	setenv("XDG_DATA_HOME", home, 1);
	setenv("XDG_STATE_HOME", home, 1);
	setenv("XDG_CONFIG_HOME", home, 1);
	setenv("INPUTRC", "/dev/null", 1);
	setenv("TERM", "xterm-256color", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	unsetenv("SSH_CONNECTION");
	unsetenv("SSH_TTY");
	return mk_write(model, &spec, err);
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", home);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paste_without_end),
		cmocka_unit_test(test_interrupt_ends_paste), cmocka_unit_test(test_rest_of_paste),
		cmocka_unit_test(test_ended_while_pasting), cmocka_unit_test(test_locales),
		cmocka_unit_test(test_file_names),
		cmocka_unit_test(test_home_in_configuration),
		cmocka_unit_test(test_long_pastes), cmocka_unit_test(test_slow_keys),
		cmocka_unit_test(test_slow_marks),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
