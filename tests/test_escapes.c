/* test_escapes.c - hostile bytes from a model, from GGUF strings and in file names, through the
 * line chat and the one-answer run as they are, onto a pty: nothing that a terminal obeys comes
 * out.
 *
 * The decode thread is replaced by one that answers with noise made of what terminals obey. */
#include "app/args.h"
#include "app/line.h"
#include "app/run.h"
#include "app/text.h"
#include "app/worker.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STRINGS = 10000, NOISE = 48, TYPED = 200 };

static char dir[] = "/tmp/s3dchat-escapes.XXXXXX";
static uint32_t seed = 2024;

static unsigned dice(unsigned n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

/* Random bytes without 0, with pieces of what terminals obey; terminated. */
static size_t noise(char *out)
{
	static const char *const nasty[] = {
		"\033]52;c;", "\033[2J", "\x9b" "31m", "\xc2\x9b", "\xe2\x80\xae", "\xe2\x81\xa6",
		"\xed\xa0\x80", "\r", "\b", "\a", "\033P", "\x7f", "\xc0\x9b", "\xf4\x90\x80\x80",
		"\033", "\xc2", "\xe2\x80",
	};
	size_t n = 0, want = dice(NOISE - 8);

	while (n < want) {
		const char *s = nasty[dice(sizeof(nasty) / sizeof(nasty[0]))];

		if (dice(2))
			n += (size_t)(stpcpy(out + n, s) - (out + n));
		else
			out[n++] = (char)(1 + dice(255));
	}
	out[n] = '\0';
	return n;
}

/* ---- the decode thread ---- */

static void say(struct worker *w, struct msg m)
{
	char text[NOISE];
	size_t n = noise(text);

	msgq_put_text(&w->out, m, text, n);
}

static void *fake(void *arg)
{
	struct worker *w = arg;
	struct msg m;
	bool over = false;

	say(w, (struct msg){ .kind = MSG_READY });
	while (!over) {
		msgq_wait(&w->in, &m);
		over = m.kind == CMD_QUIT;
		if (m.kind == CMD_ANSWER) {
			say(w, (struct msg){ .kind = MSG_TEXT });
			say(w, (struct msg){ .kind = MSG_TEXT, .origin = MSG_ACCEPTED });
			if (!dice(8))
				say(w, (struct msg){ .kind = MSG_ERROR });
			if (!dice(8))
				say(w, (struct msg){ .kind = MSG_NOTE });
			msgq_put(&w->out, (struct msg){ .kind = MSG_DONE, .reason = DONE_LIMIT });
		} else if (m.kind == CMD_MODEL) {
			say(w, (struct msg){ .kind = MSG_READY });
		}
		msg_free(&m);
	}
	return NULL;
}

struct worker *worker_open(const struct options *o, const char *model, char err[ERR_MAX])
{
	struct worker *w = calloc(1, sizeof(*w));

	(void)o;
	(void)model;
	if (!w || msgq_init(&w->in, false, err) || msgq_init(&w->out, true, err) ||
	    pthread_create(&w->thread, NULL, fake, w))
		abort();
	return w;
}

void worker_close(struct worker *w)
{
	if (!w)
		return;
	msgq_put(&w->in, (struct msg){ .kind = CMD_QUIT });
	pthread_join(w->thread, NULL);
	msgq_free(&w->in);
	msgq_free(&w->out);
	free(w);
}

/* ---- what comes out ---- */

struct checker {
	uint32_t code;
	int need, min;
	size_t bytes;
};

static bool is_bad(uint32_t c)
{
	return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0) ||
	       (c >= 0xD800 && c < 0xE000) || c > 0x10FFFF || (c >= 0x202A && c <= 0x202E) ||
	       (c >= 0x2066 && c <= 0x2069);
}

/* UTF-8 by arithmetic, in another way than text.c does it. */
static bool is_bad_byte(struct checker *k, unsigned char b)
{
	static const uint32_t least[] = { 0, 0x80, 0x800, 0x10000 };

	if (k->need) {
		k->code = k->code << 6 | (b & 0x3F);
		if ((b & 0xC0) != 0x80)
			return true;
		return --k->need == 0 && (k->code < least[k->min] || is_bad(k->code));
	}
	if (b < 0x80)
		return is_bad(b);
	k->need = k->min = b >= 0xF0 ? 3 : b >= 0xE0 ? 2 : 1;
	k->code = b & (0x3Fu >> k->need);
	return b < 0xC0 || b >= 0xF8;
}

static void check(struct checker *k, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		k->bytes++;
		if (is_bad_byte(k, (unsigned char)s[i]))
			fail_msg("byte %zu of the output is 0x%02x, which a terminal obeys",
				 k->bytes, (unsigned char)s[i]);
	}
}

/* Runs what in a child whose output and errors are a raw pty (and its input the file, or the pty).
 * Returns its exit status. */
static pid_t start(int (*what)(void), const char *input, int *master)
{
	struct termios raw;
	int slave, in;
	pid_t pid;

	assert_int_equal(openpty(master, &slave, NULL, NULL, NULL), 0);
	tcgetattr(slave, &raw);
	cfmakeraw(&raw);
	tcsetattr(slave, TCSANOW, &raw);
	fflush(NULL);
	pid = fork();
	if (!pid) {
		in = input ? open(input, O_RDONLY) : slave;
		setsid();
		dup2(in, STDIN_FILENO);
		dup2(slave, STDOUT_FILENO);
		dup2(slave, STDERR_FILENO);
		close(*master);
		in = what();
		fflush(NULL);
		_exit(in);
	}
	close(slave);
	return pid;
}

static int end(pid_t pid, int master)
{
	int status = -1;

	close(master);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static size_t check_all(int master)
{
	struct checker k = { 0 };
	char buf[4096];
	ssize_t n;

	while ((n = read(master, buf, sizeof(buf))) > 0)
		check(&k, buf, (size_t)n);
	return k.bytes;
}

static void defaults(struct options *o)
{
	args_defaults(o);
	o->model = "fake";
	o->no_save = true;
}

static int line_chat(void)
{
	struct options o;
	char err[ERR_MAX];

	defaults(&o);
	o.line = true;
	return line_main(&o, err) ? 1 : 0;
}

/* As many answers, and as many file names, as lines of the input. */
static void test_line_chat(void **state)
{
	static const char *const with_name[] = { "/read /no/", "/load /no/", "/save /no/", "/",
		"/model /no/", "/resume ", "/set ", "/strategy ", "/show " };
	char name[NOISE], path[64];
	size_t bytes;
	int master;
	pid_t pid;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/input", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < STRINGS; i++) {
		noise(name);
		for (char *p = name; *p; p++)
			*p = *p == '\n' ? '!' : *p;
		fprintf(f, "question\n%s%s\n", with_name[dice(9)], name);
		if (i % 100 == 0)
			fputs("/copy\n/system \033[2J\n/system\n/show\n/sessions\n/new\n", f);
	}
	fclose(f);
	setenv("TERM", "dumb", 1);      /* /copy writes into a file */
	pid = start(line_chat, path, &master);
	setenv("TERM", "xterm", 1);
	bytes = check_all(master);
	assert_int_equal(end(pid, master), 0);
	assert_true(bytes > (size_t)STRINGS * NOISE);
}

static int one_answers(void)
{
	for (int i = 0; i < STRINGS; i++) {
		struct options o;
		char err[ERR_MAX] = "", name[NOISE];

		noise(name);
		defaults(&o);
		o.prompt = "question";
		o.json = i % 4 == 0;
		if (i % 4 == 1)
			o.file = name;
		if (run_once(&o, err) < 0) {    /* as main does */
			text_print(stderr, err);
			fputc('\n', stderr);
		}
	}
	return 0;
}

static void test_one_answer(void **state)
{
	int master;
	pid_t pid = start(one_answers, "/dev/null", &master);
	size_t bytes = check_all(master);

	(void)state;
	assert_int_equal(end(pid, master), 0);
	assert_true(bytes > (size_t)STRINGS * 10);
}

/* With readline on both sides: of escapes only those that readline and the prompt need. */
static void strip_own(char *s)
{
	static const char *const own[] = { "\033[?2004h", "\033[?2004l", "\033[K", "\r" };

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		for (char *p = s; (p = strstr(p, own[i])) != NULL;)
			memmove(p, p + strlen(own[i]), strlen(p + strlen(own[i])) + 1);
}

static void test_typed(void **state)
{
	char *out = calloc(1, 1 << 20);
	struct checker k = { 0 };
	size_t n = 0, seen = 0;
	int master, asked = 0;
	ssize_t got;
	pid_t pid;

	(void)state;
	pid = start(line_chat, NULL, &master);
	while ((got = read(master, out + n, (1 << 20) - 1 - n)) > 0) {
		n += (size_t)got;
		for (char *p; (p = strstr(out + seen, "\033[?2004h")) != NULL;) {
			const char *line = asked++ < TYPED ? "question\r" : "/exit\r";

			seen = (size_t)(p - out) + 1;
			assert_int_equal(write(master, line, strlen(line)), strlen(line));
		}
	}
	assert_int_equal(end(pid, master), 0);
	assert_int_equal(asked, TYPED + 1);
	assert_null(memchr(out, 0, n));
	strip_own(out);
	check(&k, out, strlen(out));
	free(out);
}

static int set_up(void **state)
{
	(void)state;
	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	if (!mkdtemp(dir))
		return -1;
	setenv("HOME", dir, 1);
	setenv("XDG_RUNTIME_DIR", dir, 1);
	unsetenv("XDG_DATA_HOME");
	unsetenv("XDG_STATE_HOME");
	return 0;
}

static int tear_down(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_chat), cmocka_unit_test(test_one_answer),
		cmocka_unit_test(test_typed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
