/* run.c - see run.h.
 *
 * The answer's bytes pass as they are into files and pipes; a terminal gets them made visible.
 * Invariant: a byte that could not be written makes the run fail. */
#include "app/run/run.h"
#include "app/talk/commands.h"
#include "app/run/run_json.h"
#include "base/text.h"
#include "engine/strategy/strategies.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SILENCE_MS = 10000 };

static struct talk talk;
static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	interrupted = sig;
	talk_stop(&talk);
}

/* Whether there is text on standard input beside -p.  A terminal is the user's, other devices and
 * what is closed hold none; a pipe may be nobody's (of a service, a remote shell, a loop), which
 * only its silence tells. */
static bool beside_prompt(const struct options *o)
{
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	struct stat st;

	if (o->line || fstat(STDIN_FILENO, &st) || S_ISCHR(st.st_mode) || S_ISDIR(st.st_mode))
		return false;
	if (TEMP_FAILURE_RETRY(poll(&in, 1, SILENCE_MS)))
		return true;
	fprintf(stderr, "s3dchat: nothing came through standard input in %d seconds, so -p is "
		"answered alone (-f - waits for as long as it takes)\n", SILENCE_MS / 1000);
	return false;
}

char *run_prompt(const struct options *o, size_t *len, char err[ERR_MAX])
{
	size_t n = 0, p = strlen(o->prompt);
	char *text, *both;

	if (*o->prompt && !*o->file && !beside_prompt(o)) {
		*len = p;
		text = strdup(o->prompt);
		if (!text)
			fail(err, "out of memory");
		return text;
	}
	text = talk_read_file(*o->file ? o->file : "-", &n, err);
	if (!text)
		return NULL;
	while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
		n--;
	both = malloc(p + n + 3);
	if (!both) {
		free(text);
		fail(err, "out of memory");
		return NULL;
	}
	memcpy(both, o->prompt, p);
	if (p && n)
		memcpy(both + p, "\n\n", 2);
	*len = p && n ? p + 2 + n : p + n;
	memcpy(both + *len - n, text, n);
	both[*len] = '\0';
	free(text);
	return both;
}

struct output {
	bool visible;           /* a terminal */
	bool json;              /* nothing but one object, at the end */
	enum msg_reason why;    /* the answer ended */
	struct text_filter filter;
	char last;              /* byte written */
	int error;              /* errno of the first failed write */
};

static void put_bytes(struct output *o, const char *s, size_t n)
{
	while (n && !o->error) {
		ssize_t k = TEMP_FAILURE_RETRY(write(STDOUT_FILENO, s, n));

		if (k < 0) {
			o->error = errno;
			return;
		}
		o->last = s[k - 1];
		s += k;
		n -= (size_t)k;
	}
}

static void put_text(struct output *o, const char *s, size_t n)
{
	char buf[TEXT_GROWTH * 64];

	for (size_t k; n && o->visible; s += k, n -= k) {
		k = n < 64 ? n : 64;
		put_bytes(o, buf, text_filter_put(&o->filter, s, k, buf));
	}
	put_bytes(o, s, n);
}

static void put_end(struct output *o)
{
	char buf[TEXT_GROWTH];

	put_bytes(o, buf, text_filter_end(&o->filter, buf));
	if (o->last != '\n')
		put_bytes(o, "\n", 1);
}

static int take(struct output *out, struct msg *m, char err[ERR_MAX])
{
	char plan[MSG_PLAN_TEXT];
	int rc = 0;

	talk_take(&talk, m);
	if (m->kind == MSG_TEXT && !out->json) {
		put_text(out, m->text, m->len);
	} else if (m->kind == MSG_NOTE) {
		if (m->reason != DONE_REFUSED)          /* the refusal of its question tells that */
			text_tell("s3dchat", m->text);
	} else if (m->kind == MSG_PLAN && talk.opt.verbose) {
		command_plan(&m->info, plan, sizeof(plan));
		fprintf(stderr, "%s\n", plan);
	} else if (m->kind == MSG_ERROR) {
		rc = fail(err, "%s", m->text);
	} else if (m->kind == MSG_DONE) {
		out->why = m->reason;
	}
	if (out->error)
		talk_stop(&talk);
	msg_free(m);
	return rc;
}

static void catch_signals(void)
{
	struct sigaction act = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND };

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
}

/* Waits until the model owes nothing; what it writes goes to out. */
static int wait_for(struct output *out, char err[ERR_MAX])
{
	struct msg m;
	int rc = 0;

	while (talk_waits(&talk)) {
		msgq_wait(&talk.worker->out, &m);
		rc |= take(out, &m, err);
	}
	while (msgq_get(&talk.worker->out, &m))         /* what saving the turn had to say */
		rc |= take(out, &m, err);
	return rc;
}

/* While the model loads there is nothing to finish: signals end the program at once. */
static int ask(const char *prompt, size_t len, struct output *out, char err[ERR_MAX])
{
	int rc = wait_for(out, err);

	if (rc)
		return rc;
	catch_signals();
	rc = talk_ask(&talk, prompt, len, err);
	if (interrupted)
		talk_stop(&talk);       /* it came while talk_ask cleared the flag */
	if (!rc)
		rc = wait_for(out, err);
	if (!out->json)
		put_end(out);
	if (out->error)
		return text_unwritten(out->error, err);
	return rc;
}

static bool asks_for(const char *strategy, unsigned what)
{
	char err[ERR_MAX];
	const struct strategy *s = strategy_find(strategy, err);

	return s && s->needs & what;
}

static int answer_prompt(const struct options *o, struct output *out, char err[ERR_MAX])
{
	static struct options one;
	size_t len;
	char *prompt = run_prompt(o, &len, err);
	int rc = -1;

	one = *o;
	if (!prompt)
		return -1;
	if (!len) {
		free(prompt);
		return fail(err, "the prompt is empty (a prompt comes from -p, -f or a pipe; "
			    "--line chats without a terminal)");
	}
	/* An answer has one strategy: what this one does not use need not load. */
	if (!*one.model_draft && !asks_for(o->strategy, NEED_DRAFT_MODEL | MAY_DRAFT_MODEL))
		one.model_draft = "none";
	if (!*one.sidecar && !asks_for(o->strategy, NEED_BRIDGE | MAY_BRIDGE))
		one.sidecar = "none";
	if (!talk_open(&talk, &one, err)) {
		atomic_store(&talk.worker->last, true);
		talk.stats = STATS_NONE_YET;
		talk.keep = talk.keep && talk.place;    /* only what goes on with a saved chat */
		rc = ask(prompt, len, out, err);
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
	}
	free(prompt);
	return rc;
}

int run_once(const struct options *o, char err[ERR_MAX])
{
	struct output out = { .visible = isatty(STDOUT_FILENO), .last = '\n', .json = o->json,
			      .why = DONE_STOPPED };
	char why[ERR_MAX];
	int rc, told;

	memset(&talk, 0, sizeof(talk));
	rc = answer_prompt(o, &out, err);
	told = o->json ? run_json(stdout, &talk, out.why, rc ? err : NULL, why) : 0;
	if (told && !rc)
		rc = told < 0 ? fail(err, "%s", why) : told;
	if (!rc && o->verbose)
		command_stats(&talk, stderr);
	talk_close(&talk);
	return rc ? rc : interrupted ? 128 + interrupted : 0;
}
