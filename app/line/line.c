/* line.c - see line.h: one loop that waits for the user, the model and signals at once.
 *
 * Invariant: signals arrive only inside ppoll, so none is lost between a test and the wait. */
#include "app/line/line.h"
#include "app/talk/commands.h"
#include "ui/term/crash.h"
#include "app/line/input.h"
#include "app/run/run.h"
#include "base/text.h"
#include "app/typing/editor.h"
#include "app/typing/typed.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct line_chat {
	struct talk talk;
	struct text_filter filter;      /* of the answer that is being written */
	bool terminal;          /* someone is there to read notes */
	bool leave, warned;     /* warned: Ctrl+C was pressed once where twice leaves */
	bool asked;             /* a question went out (for --single-turn) */
	char last;              /* byte written of the answer */
	int output_error;       /* errno of standard output */
};

static volatile sig_atomic_t got_int, got_stop, got_resize, got_end;

static void on_signal(int sig)
{
	if (sig == SIGINT)
		got_int = 1;
	else if (sig == SIGTSTP)
		got_stop = 1;
	else if (sig == SIGWINCH)
		got_resize = 1;
	else
		got_end = sig;
}

/* Blocks the signals outside ppoll; *during is the mask to wait with. */
static void catch_signals(sigset_t *during)
{
	static const int all[] = { SIGINT, SIGTSTP, SIGWINCH, SIGTERM, SIGHUP };
	struct sigaction act = { .sa_handler = on_signal };
	sigset_t block;

	sigemptyset(&block);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		sigaddset(&block, all[i]);
		sigaction(all[i], &act, NULL);
	}
	sigprocmask(SIG_BLOCK, &block, during);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		sigdelset(during, all[i]);
}

static void flush(struct line_chat *l)
{
	if (fflush(stdout) && !l->output_error) {
		l->output_error = errno;
		l->leave = true;
	}
}

/* A note to the user, made visible. */
static void say(struct line_chat *l, const char *text)
{
	text_print(stdout, text);
	flush(l);
}

static void complain(const char *text)
{
	text_tell("s3dchat", text);
}

static void show_text(struct line_chat *l, const char *s, size_t n)
{
	char *seen = malloc(TEXT_GROWTH * (n + 1));
	size_t k;

	if (!seen)
		return;
	k = s ? text_filter_put(&l->filter, s, n, seen) : text_filter_end(&l->filter, seen);
	fwrite(seen, 1, k, stdout);
	if (k)
		l->last = seen[k - 1];
	free(seen);
	flush(l);
}

static void end_line(struct line_chat *l)
{
	show_text(l, NULL, 0);
	if (l->last != '\n')
		say(l, "\n");
	l->last = '\n';
}

/* The text goes back to where it was typed. */
static void refused(struct line_chat *l)
{
	const char *note = talk_refused_note(&l->talk);

	if (l->terminal) {
		say(l, note);
		say(l, "\n");
		input_put_back(l->talk.refused);
	}
	free(l->talk.refused);
	l->talk.refused = NULL;
}

static void end_answer(struct line_chat *l, enum msg_reason why)
{
	static const char *const notes[] = {
		[DONE_END] = "", [DONE_ERROR] = "", [DONE_REFUSED] = "",
		[DONE_LIMIT] = "(the limit of --predict; /continue goes on)\n",
		[DONE_STOPPED] = "(stopped; /continue goes on)\n",
		[DONE_CONTEXT] = "(the context is full; see -c, or /new)\n",
	};

	end_line(l);
	if (l->terminal && *notes[why])
		say(l, notes[why]);
	if (l->talk.refused)
		refused(l);
	if (l->talk.opt.verbose)
		command_stats(&l->talk, stderr);
	if (l->asked && l->talk.opt.single_turn)
		l->leave = true;
}

/* Of the chat that is gone on with. */
static void recap(struct line_chat *l)
{
	char *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		return;
	command_recap(&l->talk, out);
	fclose(out);
	if (text)
		say(l, text);
	free(text);
}

/* For /edit: the terminal is the editor's until it ends. */
static char *edit_text(void *ctx, const char *text, size_t *n, char err[ERR_MAX])
{
	sigset_t none, old;
	char *changed;

	(void)ctx;
	input_end();
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, &old);
	changed = tui_editor(text, n, err);
	sigprocmask(SIG_SETMASK, &old, NULL);
	got_int = 0;            /* it was meant for the editor */
	return changed;
}

static void greet(struct line_chat *l)
{
	const struct talk *t = &l->talk;

	if (!l->terminal)
		return;
	if (t->info.again) {
		say(l, "(ready on ");
		say(l, t->info.device);
		say(l, ")\n");
		return;
	}
	fputs("s3dchat " S3D_VERSION " - ", stdout);
	text_print_line(stdout, t->model ? t->model : "");
	printf(" - %s (%s)\n/help lists the commands, Ctrl+C stops an answer, Ctrl+D leaves.\n",
	       t->strategy, t->exact ? "exact" : "approximate");
	if (t->chat->n)
		printf("going on with a chat of %d turn%s\n", t->chat->n, text_s(t->chat->n));
	recap(l);
	if (t->info.calibrates && !t->info.sidecar)
		say(l, "this model cannot draft for itself yet; /calibrate makes it, in some "
		    "minutes beside the chat\n");
}

/* Whoever is there can name another one. */
static void no_model(struct line_chat *l)
{
	if (l->terminal && !l->talk.opt.single_turn)
		say(l, "(there is no model: /model FILE loads one, Ctrl+D leaves)\n");
	else
		l->leave = true;
}

static void on_message(struct line_chat *l, const struct msg *m)
{
	char note[MSG_PLAN_TEXT];

	switch (m->kind) {
	case MSG_PLAN:
		command_plan(&m->info, note, sizeof(note));
		if (l->terminal)
			printf("%s\n", note);
		break;
	case MSG_READY:
		greet(l);
		break;
	case MSG_STRATEGY:
		snprintf(note, sizeof(note), "(strategy %s, %s)\n", l->talk.strategy,
			 l->talk.exact ? "exact" : "approximate");
		if (l->terminal && l->talk.ready && !l->talk.busy)
			say(l, note);
		break;
	case MSG_TEXT:
		show_text(l, m->text, m->len);
		break;
	case MSG_DROPPED:
		snprintf(note, sizeof(note), "(the context is full: the model no longer sees the "
			 "first %d turn%s)\n", m->count, text_s(m->count));
		if (l->terminal)
			say(l, note);
		break;
	case MSG_DONE:
		end_answer(l, m->reason);
		break;
	case MSG_NOTE:
		complain(m->text);
		break;
	case MSG_ERROR:
		end_line(l);
		complain(m->text);
		if (m->error == ERROR_GONE)
			no_model(l);
		break;
	default:
		break;
	}
}

static void take_messages(struct line_chat *l)
{
	struct msg m;

	while (msgq_get(&l->talk.worker->out, &m)) {
		talk_take(&l->talk, &m);
		on_message(l, &m);
		msg_free(&m);
	}
	if (l->leave)
		talk_stop(&l->talk);
}

static void run_command(struct line_chat *l, const struct command *c)
{
	char err[ERR_MAX], *text = NULL;
	size_t n = 0;
	FILE *out = open_memstream(&text, &n);
	int rc;

	if (!out) {
		complain("out of memory");
		return;
	}
	rc = command_run(&l->talk, c, out, &l->leave, err);
	fclose(out);
	if (text && n)
		say(l, text);
	if (rc)
		complain(err);
	else if (c->id == COMMAND_RESUME)
		recap(l);
	free(text);
}

static void on_line(struct line_chat *l, const char *line, size_t n)
{
	char err[ERR_MAX];
	struct command c;
	const char *text;
	int kind = command_parse(line, n, &c, &text, err);

	n -= (size_t)(text - line);
	l->warned = false;
	if (kind > 0) {
		run_command(l, &c);
	} else if (kind < 0) {
		complain(err);
		input_put_back(line);
	} else if (!text_blank(text, n)) {
		l->asked = true;
		if (talk_ask(&l->talk, text, n, err)) {
			complain(err);
			input_put_back(line);
		}
	}
}

static void on_interrupt(struct line_chat *l)
{
	bool loading = l->talk.busy && (!l->talk.ready || l->talk.next_file);

	if (l->talk.busy && !loading) {
		talk_stop(&l->talk);
		l->warned = false;
	} else if (!l->talk.busy && input_discard()) {
		l->warned = false;
	} else if (!l->warned && l->terminal && (l->talk.ready || !loading)) {
		input_end();
		say(l, "(Ctrl+C once more, or Ctrl+D, leaves)\n");
		l->warned = true;
	} else {
		if (loading)            /* what was wanted will not come */
			got_end = SIGINT;
		l->leave = true;
	}
}

static void take_signals(struct line_chat *l)
{
	if (got_int) {
		got_int = 0;
		on_interrupt(l);
	}
	if (got_stop) {
		got_stop = 0;
		input_suspend();
	}
	if (got_resize) {
		got_resize = 0;
		input_resize();
	}
	if (got_end)
		l->leave = true;
}

/* One turn of the loop. */
static void turn(struct line_chat *l, const sigset_t *during)
{
	struct pollfd fds[3] = { { .fd = l->talk.worker->out.wake[0], .events = POLLIN },
				 { .fd = l->talk.child.fd, .events = POLLIN },
				 { .fd = STDIN_FILENO, .events = POLLIN } };
	char *line = NULL;
	bool idle = !talk_waits(&l->talk);
	struct timespec wait;
	double left;
	size_t len;
	int n;

	if (idle)
		input_begin();
	if (idle && input_take(false, &line, &len)) {
		n = 0;
	} else {
		left = idle ? input_patience() : -1;
		wait.tv_sec = (time_t)left;
		wait.tv_nsec = (long)((left - (double)wait.tv_sec) * 1e9);
		n = ppoll(fds, idle ? 3 : 2, left < 0 ? NULL : &wait, during);
		if (n > 0 && fds[1].revents)
			talk_child(&l->talk);
		if (n > 0 && fds[0].revents)
			take_messages(l);
		if (!idle || n < 0 || !input_take(n > 0 && fds[2].revents, &line, &len)) {
			take_signals(l);
			return;
		}
	}
	if (line)
		on_line(l, line, len);
	else
		l->leave = true;
	if (!line && l->terminal)
		say(l, "\n");
	free(line);
}

/* With --line, -p and -f give the first question. */
static int first_question(struct line_chat *l, char **text, size_t *n, char err[ERR_MAX])
{
	if (!*l->talk.opt.prompt && !*l->talk.opt.file)
		return 0;
	*text = run_prompt(&l->talk.opt, n, err);
	return *text ? 0 : -1;
}

static int loop(struct line_chat *l, char err[ERR_MAX])
{
	char *first = NULL;
	sigset_t during;
	size_t n = 0;

	if (first_question(l, &first, &n, err))
		return -1;
	catch_signals(&during);
	while (!l->leave) {
		if (first && l->talk.ready && !l->talk.busy) {
			l->asked = true;
			if (talk_ask(&l->talk, first, n, err))
				complain(err);
			free(first);
			first = NULL;
		}
		turn(l, &during);
	}
	free(first);
	if (l->output_error)
		return text_unwritten(l->output_error, err);
	if (got_end || (l->talk.busy && l->talk.ready))
		talk_autosave(&l->talk);        /* with what there is of the answer */
	return got_end ? 128 + got_end : l->talk.failed;
}

int line_main(const struct options *o, char err[ERR_MAX])
{
	bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	struct line_chat l = { .terminal = terminal, .last = '\n' };
	int rc;

	if (talk_open(&l.talk, o, err)) {
		talk_close(&l.talk);
		return -1;
	}
	if (terminal)
		l.talk.edit = edit_text;
	atomic_store(&l.talk.worker->last, o->single_turn);
	crash_line(terminal);
	input_open(terminal, typed_escape_time(o->escape_time));
	rc = loop(&l, err);
	input_close();
	crash_line(false);
	talk_close(&l.talk);
	return rc;
}
