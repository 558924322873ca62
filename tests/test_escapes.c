/* test_escapes.c - hostile bytes from a model, from GGUF strings and in file names, through the
 * line chat and the one-answer run as they are, onto a pty: nothing that a terminal obeys comes
 * out.
 *
 * The decode thread is replaced by one that answers with noise made of what terminals obey. */
#include "app/config/args.h"
#include "app/line/line.h"
#include "app/run/run.h"
#include "base/text.h"
#include "app/worker/worker.h"
#include "tests/escape_kit.h"
#include "tests/home_kit.h"

enum { STRINGS = 10000, NOISE = 48, TYPED = 200 };

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
		"\033", "\xc2", "\xe2\x80", "\xe2\x80\x8e", "\xd8\x9c", "\xe2\x81\xa0",
		"\xef\xbf\xb9", "\xf3\xa0\x81\x81", "\xe2\x80\x8b",
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
	snprintf(path, sizeof(path), "%s/input", home);
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
	if (home_open())
		return -1;
	return setenv("XDG_RUNTIME_DIR", home, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_chat), cmocka_unit_test(test_one_answer),
		cmocka_unit_test(test_typed),
	};

	return cmocka_run_group_tests(tests, set_up, home_close);
}
