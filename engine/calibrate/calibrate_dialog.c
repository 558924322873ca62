/* calibrate_dialog.c - conversations that the model has with itself, many at a time.
 *
 * A question is one of calibrate_lines; when all of these have been asked, the beginning of one,
 * with which the model goes on itself.  It answers greedily in half of the conversations and at
 * temperature 0.7 in the others; after some answers comes one more question.  Where no chat
 * template is known the text just goes on.
 * Invariant: all depends on a conversation's number alone, but not what an interruption lost; no
 * conversation is longer than the context. */
#include "engine/calibrate/calibrate_parts.h"
#include "engine/decode/sampler.h"
#include "kernels/peaks.h"
#include <stdlib.h>
#include <string.h>

enum { QUESTION_MOST = 64, ANSWER_MOST = 192, ANSWER_LEAST = 16, FOLLOW_ROOM = 96 };

struct dialog {
	struct lane at;
	struct sampler_opt law;
	int number, n, fed;     /* ids known; of them in the cache */
	int from, most;         /* where what is written now begins, and how long it gets */
	int answer;             /* where the first answer begins; 0: the model still asks */
	bool followed;
	int ids[CONTEXT];
};

/* Before the question, behind it, and a question behind an answer and its end. */
struct frame {
	int *ids, n, before;
	int *next, n_next, next_from, next_before;
};

struct dialogs {
	struct calibrate *c;
	struct sampler *sampler;
	struct frame frame;
	int number;             /* of the next conversation */
	bool fails;             /* what is said is not kept any more */
	struct dialog dialog[LANES_MOST];
};

static int last_end(const struct tokenizer *tok, const int *ids, int n)
{
	while (n > 0 && !tokenizer_is_end(tok, ids[n - 1]))
		n--;
	return n - 1;
}

static int common(const int *a, int n_a, const int *b, int n_b)
{
	int n = 0;

	while (n < n_a && n < n_b && a[n] == b[n])
		n++;
	return n;
}

/* Renders turns, whose last is an empty question, and finds out where its words go: what any
 * question shares with the empty one stands before them. */
static int open_turns(struct dialogs *s, struct turn *turns, int n, int **ids, int *n_ids,
		      int *before, char err[ERR_MAX])
{
	struct engine *e = s->c->e;
	int *other, n_other;

	turns[n - 1] = (struct turn){ SPEAKER_USER, "Q", 1 };
	if (template_render(e->tmpl, e->tok, turns, n, true, &other, &n_other, err) != 0)
		return -1;
	turns[n - 1].len = 0;
	if (template_render(e->tmpl, e->tok, turns, n, true, ids, n_ids, err) != 0) {
		free(other);
		return -1;
	}
	*before = common(*ids, *n_ids, other, n_other);
	free(other);
	return 0;
}

static int open_frame(struct dialogs *s, char err[ERR_MAX])
{
	struct engine *e = s->c->e;
	char *system = template_default_system(e->tmpl, e->model->file);
	struct turn all[] = { { SPEAKER_SYSTEM, system, system ? strlen(system) : 0 },
			      { SPEAKER_USER, "", 0 }, { SPEAKER_ASSISTANT, "", 0 },
			      { SPEAKER_USER, "", 0 } };
	int skip = !system || !*system, rc;
	struct frame *f = &s->frame;

	rc = open_turns(s, all + skip, 2 - skip, &f->ids, &f->n, &f->before, err);
	if (rc == 0)
		rc = open_turns(s, all + skip, 4 - skip, &f->next, &f->n_next, &f->next_before,
				err);
	free(system);
	if (rc != 0)
		return -1;
	f->next_from = last_end(e->tok, f->next, f->next_before) + 1;
	return 0;
}

static uint64_t mixed(int number)
{
	uint64_t x = ((uint64_t)number + 1) * 0x9e3779b97f4a7c15u;

	return x ^ x >> 29;
}

/* Words of a line that are given: all of them at first, later a few, or none. */
static size_t given(const char *line, int number)
{
	size_t words = mixed(number) % 8, at = 0;

	if (number < calibrate_n_lines)
		return strlen(line);
	for (; words && line[at]; words--)
		at += strcspn(line + at, " ") + (words > 1 && line[at + strcspn(line + at, " ")]);
	return at;
}

static int put_ids(const struct dialogs *s, struct dialog *t, const int *ids, int n,
		   char err[ERR_MAX])
{
	if (n > s->c->context - t->n)
		return fail(err, "a conversation is longer than the context of %d tokens",
			    s->c->context);
	memcpy(t->ids + t->n, ids, sizeof(*ids) * (size_t)n);
	t->n += n;
	return 0;
}

static int put_line(struct dialogs *s, struct dialog *t, const char *line, size_t len,
		    char err[ERR_MAX])
{
	int ids[512], n = tokenizer_encode(s->c->e->tok, line, len, false, ids, 512, err);

	if (n < 0)
		return -1;
	return put_ids(s, t, ids, n < QUESTION_MOST ? n : QUESTION_MOST, err);
}

static void begin_answer(const struct dialogs *s, struct dialog *t)
{
	int room = s->c->context - t->n;

	t->from = t->n;
	t->answer = t->answer ? t->answer : t->n;
	t->most = room < ANSWER_MOST || !s->frame.ids ? room : ANSWER_MOST;
	t->law.temp = t->number % 2 ? 0.7f : 0;
	t->law.top_k = 40;
}

static int end_question(const struct dialogs *s, struct dialog *t, char err[ERR_MAX])
{
	const struct frame *f = &s->frame;

	if (put_ids(s, t, f->ids + f->before, f->n - f->before, err) != 0)
		return -1;
	begin_answer(s, t);
	return 0;
}

/* What stands before the question, and as much of it as is given. */
static int put_head(struct dialogs *s, struct dialog *t, char err[ERR_MAX])
{
	const char *line = calibrate_lines[(long)t->number * 7919 % calibrate_n_lines];
	int bos = tokenizer_bos(s->c->e->tok), rc;

	rc = s->frame.ids ? put_ids(s, t, s->frame.ids, s->frame.before, err) :
	     put_ids(s, t, &bos, bos >= 0, err);
	if (rc == 0)
		rc = put_line(s, t, line, given(line, t->number), err);
	return rc == 0 && !t->n ? put_ids(s, t, (int[]){ 0 }, 1, err) : rc;
}

static int begin(struct dialogs *s, struct dialog *t, char err[ERR_MAX])
{
	int before[CONTEXT], number = s->number++;

	memcpy(before, t->ids, sizeof(before));
	t->number = number;
	t->n = t->answer = 0;
	t->followed = mixed(number) % 3 != 0;
	t->law = (struct sampler_opt)SAMPLER_DEFAULTS;
	t->law.temp = 1;
	t->law.top_k = 100;
	t->law.min_p = 0;
	t->law.seed = (uint64_t)number;
	if (put_head(s, t, err) != 0)
		return -1;
	t->from = t->n;
	t->most = QUESTION_MOST;
	if (!s->frame.ids)
		begin_answer(s, t);
	else if (number < calibrate_n_lines && end_question(s, t, err) != 0)
		return -1;
	/* Whoever was in this cache before had the same frame; one token must be left to run. */
	t->fed = common(before, t->fed, t->ids, t->n - 1);
	if (t->fed < s->c->e->be->kv_back(t->at.kv))
		t->fed = 0;
	sums_begin(s->c->sums, (int)(t - s->dialog));
	return 0;
}

/* One more question behind an answer that has ended. */
static int follow(struct dialogs *s, struct dialog *t, char err[ERR_MAX])
{
	const struct frame *f = &s->frame;
	const char *line = calibrate_follow[mixed(t->number) / 8 % (uint64_t)calibrate_n_follow];

	t->followed = true;
	if (put_ids(s, t, f->next + f->next_from, f->next_before - f->next_from, err) != 0 ||
	    put_line(s, t, line, strlen(line), err) != 0 ||
	    put_ids(s, t, f->next + f->next_before, f->n_next - f->next_before, err) != 0)
		return -1;
	begin_answer(s, t);
	return 0;
}

static int finish(struct dialogs *s, struct dialog *t, char err[ERR_MAX])
{
	struct sample sample = { t->number, t->answer, t->n, t->ids };
	struct calibrate *c = s->c;
	char why[ERR_MAX];

	if (c->state && !s->fails && state_write(c->state, &sample, why) != 0) {
		s->fails = true;
		calibrate_note(c, why);
	}
	if (t->number % HOLD_EACH == 0 && corpus_hold(c, &sample, err) != 0)
		return -1;
	return begin(s, t, err);
}

/* What a row of logits adds to its conversation. */
static int advance(struct dialogs *s, struct dialog *t, const float *row, char err[ERR_MAX])
{
	const struct tokenizer *tok = s->c->e->tok;
	bool ends, full;
	int id;

	if (t->fed < t->n)
		return 0;
	id = sampler_choose(s->sampler, &t->law, row, t->ids, t->n, 1);
	ends = tokenizer_is_end(tok, id);
	if (!t->answer && (ends || t->n - t->from >= QUESTION_MOST - 1))
		return end_question(s, t, err);
	t->ids[t->n++] = id;
	if (t->answer && t->number % HOLD_EACH)
		s->c->count[id]++;
	full = t->answer && t->n - t->from >= t->most;
	if (ends && !full && !t->followed && s->frame.ids &&
	    t->n + s->frame.n_next + FOLLOW_ROOM < s->c->context)
		return follow(s, t, err);
	return (t->answer && ends) || full ? finish(s, t, err) : 0;
}

static int pass(struct dialogs *s, char err[ERR_MAX])
{
	struct calibrate *c = s->c;
	int tok[LANES_MOST], lane[LANES_MOST];
	struct lane lanes[LANES_MOST];
	struct batch b = { .tok = tok, .n = c->lanes, .n_out = c->lanes, .lanes = lanes,
			   .run = &c->e->target.base };
	const float *rows;

	for (int i = 0; i < c->lanes; i++) {
		struct dialog *t = &s->dialog[i];

		t->at.pos = t->fed;
		lanes[i] = t->at;
		lane[i] = t->number % HOLD_EACH ? i : -1;
		tok[i] = t->ids[t->fed++];
	}
	rows = c->e->be->forward(c->e->dev, NULL, &b);
	if (!rows)
		return fail(err, "%s", c->e->be->error(c->e->dev));
	sums_pass(c->sums, c->lanes, lane);
	for (int i = 0; i < c->lanes; i++)
		if (advance(s, &s->dialog[i], row_at(rows, c->e->target.n_out, i), err) != 0)
			return -1;
	return 0;
}

/* Conversations of an earlier run. */
static int read_earlier(struct dialogs *s, char err[ERR_MAX])
{
	struct sample t;

	while (s->c->state && state_read(s->c->state, &t)) {
		if (calibrate_stop(s->c))
			return 1;
		if (corpus_read(s->c, &t, err) != 0)
			return -1;
		s->number = t.number >= s->number ? t.number + 1 : s->number;
		calibrate_tell(s->c, -1, "reading what an earlier run wrote");
	}
	return 0;
}

static int open_lanes(struct dialogs *s, char err[ERR_MAX])
{
	const struct engine *e = s->c->e;

	s->sampler = sampler_open(e->target.n_out, NULL, err);
	if (!s->sampler || (e->tmpl && open_frame(s, err) != 0))
		return -1;
	/* Of a question some words are given; where it has an end the model may add as many. */
	if (s->frame.n + (e->tmpl ? 2 : 1) * QUESTION_MOST + ANSWER_LEAST > s->c->context)
		return fail(err, "the context of %d tokens is too short for a question and an "
			    "answer in a chat frame of %d, its system prompt included",
			    s->c->context, s->frame.n);
	for (int i = 0; i < s->c->lanes; i++) {
		struct dialog *t = &s->dialog[i];

		t->at.kv = e->be->kv_new(e->dev, s->c->context, err);
		if (!t->at.kv || begin(s, t, err) != 0)
			return -1;
	}
	return 0;
}

static int write_text(struct dialogs *s, char err[ERR_MAX])
{
	long held = 0;

	/* of texts that are held out, those count too that are being written */
	while (clock_now() < s->c->end || !corpus_enough(s->c)) {
		s->c->held_tokens -= held;
		if (calibrate_stop(s->c))
			return 1;
		if (pass(s, err) != 0)
			return -1;
		calibrate_tell(s->c, -1, "writing");
		held = 0;
		for (int i = 0; i < s->c->lanes; i++) {
			const struct dialog *t = &s->dialog[i];

			if (t->number % HOLD_EACH == 0 && t->answer && t->fed > t->answer)
				held += t->fed - t->answer;
		}
		s->c->held_tokens += held;
	}
	s->c->held_tokens -= held;
	return 0;
}

static int hold_rest(struct dialogs *s, char err[ERR_MAX])
{
	for (int i = 0; i < s->c->lanes; i++) {
		const struct dialog *t = &s->dialog[i];
		struct sample sample = { t->number, t->answer, t->fed, (int *)t->ids };

		if (t->number % HOLD_EACH == 0 && t->answer && t->fed > t->answer &&
		    corpus_hold(s->c, &sample, err) != 0)
			return -1;
	}
	return 0;
}

int dialog_run(struct calibrate *c, char err[ERR_MAX])
{
	struct dialogs *s = mem_new(1, sizeof(*s), err);
	int rc;

	if (!s)
		return -1;
	s->c = c;
	rc = read_earlier(s, err);
	if (rc == 0)
		rc = open_lanes(s, err);
	if (rc == 0)
		rc = write_text(s, err);
	if (rc == 0)
		rc = hold_rest(s, err);
	for (int i = 0; i < c->lanes; i++)
		if (s->dialog[i].at.kv)
			c->e->be->kv_free(s->dialog[i].at.kv);
	sampler_close(s->sampler);
	free(s->frame.ids);
	free(s->frame.next);
	mem_free(s);
	return rc;
}
