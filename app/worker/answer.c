/* answer.c - one answer of the model: conversation to prompt, prompt to tokens, tokens to messages.
 *
 * When the context is full the oldest whole turns leave, the system prompt stays.
 * Invariant: a turn leaves together with its answer, and the last question never leaves. */
#include "app/worker/worker_parts.h"
#include "app/chat/stats.h"
#include "engine/info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 64 };

struct answer {
	struct worker *w;
	struct chat *chat;
	int dropped;            /* turns that have left: chat->turn[0..dropped-1] */
	double asked, decode, now;      /* when: CMD_ANSWER came, the prompt was done, last step */
	struct stats stats;
	struct column_counts columns;   /* at the last look */
	struct {
		double at;
		long n;
	} sample[SAMPLES];      /* for the rate over the last 2 s */
	unsigned n_samples;
};

static void add_rates(struct answer *a)
{
	struct stats *s = &a->stats;
	unsigned i = a->n_samples > SAMPLES ? a->n_samples - SAMPLES : 0;

	while (i < a->n_samples && a->now - a->sample[i % SAMPLES].at > 2)
		i++;
	s->rate_now = s->rate = -1;
	if (s->n_tokens && a->now > a->decode)
		s->rate = (double)s->n_tokens / (a->now - a->decode);
	if (i < a->n_samples && a->now > a->sample[i % SAMPLES].at)
		s->rate_now = (double)(s->n_tokens - a->sample[i % SAMPLES].n) /
			      (a->now - a->sample[i % SAMPLES].at);
	a->sample[a->n_samples % SAMPLES].at = a->now;
	a->sample[a->n_samples++ % SAMPLES].n = s->n_tokens;
}

/* What the cache of columns has counted since the last look; it begins again when the text does. */
static void add_columns(struct answer *a)
{
	struct column_counts c = engine_columns(a->w->engine), last = a->columns;
	struct stats *s = &a->stats;

	if (c.used < last.used)
		last = (struct column_counts){ .rows = 0 };
	s->columns += c.used - last.used;
	s->cached += c.hits - last.hits;
	s->fast_bytes += (double)(c.fast - last.fast);
	s->slow_bytes += (double)(c.slow - last.slow);
	a->columns = c;
}

static void send_stats(struct answer *a)
{
	const struct strat *st = &a->w->engine->strat;
	const struct strategy_stats *from = &st->stats;
	struct stats *s = &a->stats;

	_Static_assert(STATS_DRAFTS == DRAFT_MAX, "statistics must fit");
	add_rates(a);
	s->rounds = from->rounds;
	s->drafted = from->drafted;
	s->tested = from->tested;
	s->accepted = from->accepted;
	memcpy(s->pos_tested, from->pos_tested, sizeof(s->pos_tested));
	memcpy(s->pos_accepted, from->pos_accepted, sizeof(s->pos_accepted));
	s->draft_s = from->draft_s;
	s->verify_s = from->verify_s;
	s->choose_s = from->choose_s;
	s->plain_n = from->plain_n;
	s->plain_s = from->plain_s;
	s->slower = a->w->engine->cost.slower;
	add_columns(a);
	s->ctx_used = a->w->engine->target.n;
	s->ctx_size = a->w->engine->target.n_ctx;
	s->device_used = a->w->device_used;
	a->w->shown = a->now;
	msgq_put(&a->w->out, (struct msg){ .kind = MSG_STATS, .stats = *s });
}

/* The bytes that a token adds to an answer: one that the frame has just opened begins without the
 * tokenizer's own space. */
static struct gguf_str piece_of(const struct tokenizer *tok, int id, bool first)
{
	if (tokenizer_is_control(tok, id))
		return (struct gguf_str){ "", 0 };
	return first ? tokenizer_piece_first(tok, id) : tokenizer_piece(tok, id);
}

/* Whether the tokens of an answer are this vocabulary's and spell its text.  They may be from a
 * file, or from another model. */
static bool is_spelt(const struct tokenizer *tok, const struct chat_turn *t)
{
	size_t at = 0;
	bool first = true;

	for (int i = 0; i < t->n_ids; i++) {
		int id = t->ids[i];
		struct gguf_str p = piece_of(tok, id, first);

		if (id < 0 || id >= tokenizer_size(tok) || tokenizer_is_end(tok, id) ||
		    p.n > t->len - at || memcmp(t->text + at, p.s, p.n))
			return false;
		first &= tokenizer_is_control(tok, id);
		at += p.n;
	}
	return t->n_ids && at == t->len;
}

/* Behind *n ids come those of an answer. */
static int add_ids(int **ids, int *n, const struct chat_turn *t, char err[ERR_MAX])
{
	int *more = realloc(*ids, ((size_t)*n + (size_t)t->n_ids) * sizeof(*more));

	if (!more) {
		free(*ids);
		return fail(err, "out of memory");
	}
	memcpy(more + *n, t->ids, (size_t)t->n_ids * sizeof(*more));
	*ids = more;
	*n += t->n_ids;
	return 0;
}

/* Ids of what the model is to see when the first from turns have left.  An answer that it goes on
 * with stands there in its own tokens, where they are known: what comes next is what would have
 * come had it not been stopped. */
static int render(struct answer *a, int from, int **ids, int *n, char err[ERR_MAX])
{
	const struct engine *e = a->w->engine;
	const struct chat *c = a->chat;
	const struct chat_turn *last = &c->turn[c->n - 1];
	const char *system = c->system ? c->system : a->w->system;
	size_t system_len = c->system ? c->system_len : system ? strlen(system) : 0;
	bool spelt = last->who == CHAT_MODEL && is_spelt(e->tok, last);
	struct turn *turns = calloc((size_t)(c->n - from) + 1, sizeof(*turns));
	int n_turns = 0, rc;

	if (!turns)
		return fail(err, "out of memory");
	if (system_len)
		turns[n_turns++] = (struct turn){ SPEAKER_SYSTEM, system, system_len };
	for (int i = from; i < c->n - spelt; i++)
		turns[n_turns++] = (struct turn){
			c->turn[i].who == CHAT_USER ? SPEAKER_USER : SPEAKER_ASSISTANT,
			c->turn[i].text, c->turn[i].len,
		};
	rc = template_render(e->tmpl, e->tok, turns, n_turns, spelt || last->who == CHAT_USER,
			     ids, n, err);
	free(turns);
	return rc || !spelt ? rc : add_ids(ids, n, last, err);
}

/* The prompt, for which so many turns have to leave that it takes at most limit tokens and, if any
 * leave, there is some air.  Where the last question does not fit alone, it alone: no turn leaves
 * for a question that cannot be asked. */
static int choose_prompt(struct answer *a, int limit, int *from, int **ids, int *n,
			 char err[ERR_MAX])
{
	int n_ctx = a->w->engine->target.n_ctx, last_question = (a->chat->n - 1) & ~1;

	*from = a->dropped;
	if (render(a, *from, ids, n, err))
		return -1;
	if (*n <= limit || *from >= last_question)
		return 0;
	free(*ids);
	if (render(a, last_question, ids, n, err))
		return -1;
	if (*n >= n_ctx)
		return 0;               /* engine_prompt refuses it */
	limit = limit < n_ctx * 2 / 3 ? limit : n_ctx * 2 / 3;
	do {
		free(*ids);
		*from += 2;
		if (render(a, *from, ids, n, err))
			return -1;
	} while (*n > limit && *from < last_question);
	return 0;
}

/* Sets the prompt; when it cannot be set nothing has changed. */
static int set_prompt(struct answer *a, int limit, char err[ERR_MAX])
{
	int *ids, n, from, rc;

	if (choose_prompt(a, limit, &from, &ids, &n, err))
		return -1;
	rc = engine_prompt(a->w->engine, ids, n, err);
	free(ids);
	if (rc)
		return rc;
	if (from > a->dropped)
		msgq_put(&a->w->out, (struct msg){ .kind = MSG_DROPPED, .count = from });
	a->dropped = from;
	a->stats.n_prompt += a->w->engine->target.n - a->w->engine->target.n_kv;
	return 0;
}

static bool stopped(void *ctx)
{
	return atomic_load(&((struct worker *)ctx)->stop);
}

/* 0: ready to decode, 1: stopped, -1: error. */
static int prefill(struct answer *a, char err[ERR_MAX])
{
	int left = 1;

	a->w->engine->halt = (struct halt){ .asked = stopped, .ctx = a->w };
	while (left > 0) {
		worker_settings(a->w);
		if (a->w->quit || atomic_load(&a->w->stop))
			return 1;
		left = engine_prefill(a->w->engine, err);
	}
	return left;
}

/* Whether an answer has more than tokens without a text. */
static bool has_begun(const struct tokenizer *tok, const struct chat_turn *t)
{
	for (int i = 0; i < t->n_ids; i++)
		if (!tokenizer_is_control(tok, t->ids[i]))
			return true;
	return t->len > 0;
}

static int emit(struct answer *a, const struct emit *e)
{
	const struct tokenizer *tok = a->w->engine->tok;
	struct gguf_str piece;
	struct msg m = { .kind = MSG_TEXT, .origin = (enum msg_origin)e->origin, .token = e->tok };

	_Static_assert((int)MSG_ACCEPTED == ORIGIN_ACCEPTED && (int)MSG_PLAIN == ORIGIN_PLAIN &&
		       (int)MSG_CORRECTED == ORIGIN_CORRECTED, "origins are passed on by number");
	if (!a->stats.n_tokens++)
		a->stats.first_s = clock_now() - a->asked;
	if (tokenizer_is_end(tok, e->tok))
		return 0;
	if (chat_last(a->chat)->who == CHAT_USER && chat_add(a->chat, CHAT_MODEL, "", 0))
		return -1;
	piece = piece_of(tok, e->tok, !has_begun(tok, chat_last(a->chat)));
	if (chat_append(a->chat, piece.s, piece.n) || chat_token(a->chat, e->tok))
		return -1;
	return msgq_put_text(&a->w->out, m, piece.s, piece.n) ? 0 : -1;
}

/* The context is full in the middle of the answer. */
static int make_room(struct answer *a, enum msg_reason *why, char err[ERR_MAX])
{
	int before = a->dropped, rc;

	*why = DONE_CONTEXT;
	if (a->dropped >= ((a->chat->n - 1) & ~1))
		return 1;
	rc = set_prompt(a, a->w->engine->target.n_ctx * 2 / 3, err);
	if (!rc)
		rc = prefill(a, err);
	if (rc > 0)
		*why = DONE_STOPPED;
	return rc ? rc : a->dropped == before;
}

/* The text is read again where it is another model's by now (/set cqil), which is no time of the
 * answer's. */
static int read_again(struct answer *a, char err[ERR_MAX])
{
	const struct session *t = &a->w->engine->target;
	double start = clock_now();
	int rc = t->n_kv < t->n - 1 ? prefill(a, err) : 0;

	a->decode += clock_now() - start;
	return rc;
}

/* One step; 0: more to come, 1: over (*why), -1: error. */
static int step(struct answer *a, enum msg_reason *why, char err[ERR_MAX])
{
	struct emit out[STEP_MAX];
	long left = a->w->opt.predict < 0 ? STEP_MAX : a->w->opt.predict - a->stats.n_tokens;
	bool done = false;
	int n, rc = read_again(a, err);

	*why = rc || a->w->quit || atomic_load(&a->w->stop) ? DONE_STOPPED : DONE_LIMIT;
	if (*why == DONE_STOPPED || left < 1)
		return rc ? rc : 1;
	n = engine_step(a->w->engine, left < STEP_MAX ? (int)left : STEP_MAX, out, &done, err);
	if (n == 0)
		return make_room(a, why, err);
	/* Told before the text: what is saved of an answer is never called exact for too long. */
	if (n > 0 && stats_helped(&a->stats, a->w->engine->strat.ops->name,
				  engine_exact(a->w->engine)))
		send_stats(a);
	for (int i = 0; i < n; i++)
		if (emit(a, &out[i]))
			return fail(err, "out of memory");
	a->now = clock_now();
	if (a->now - a->w->shown > 1 / 30.0)
		send_stats(a);
	*why = DONE_END;
	return n < 0 ? -1 : done;
}

static enum msg_reason produce(struct answer *a, char err[ERR_MAX])
{
	struct engine *e = a->w->engine;
	int n_ctx = e->target.n_ctx, predict = a->w->opt.predict;
	int air = predict >= 0 && predict < n_ctx / 4 ? predict : n_ctx / 4;
	enum msg_reason why = DONE_END;
	double start;
	int rc;

	if (!e->tmpl) {
		worker_no_frame(e, err);
		return DONE_REFUSED;
	}
	if (chat_last(a->chat)->who == CHAT_MODEL)      /* as if it had never been stopped */
		air = 1;
	if (set_prompt(a, n_ctx - air, err))
		return DONE_REFUSED;
	a->columns = engine_columns(e);
	start = clock_now();
	rc = prefill(a, err);
	a->decode = a->now = clock_now();
	if (rc)
		return rc < 0 ? DONE_ERROR : DONE_STOPPED;
	if (a->stats.n_prompt > 1 && a->now > start)
		a->stats.prompt_rate = (double)(a->stats.n_prompt - 1) / (a->now - start);
	while (!rc) {
		worker_settings(a->w);
		rc = step(a, &why, err);
	}
	return rc < 0 ? DONE_ERROR : why;
}

/* What is said of a device that failed: another backend takes over, or (one answer) would. */
static void tell_lost(const struct answer *a, bool again, char err[ERR_MAX])
{
	engine_fail(a->w->engine, atomic_load(&a->w->last) ? "--backend cpu works without it" :
		    again ? "going on with --backend cpu" :
		    "going on with --backend cpu (/continue finishes the answer)", err);
}

/* An answer that is gone on with is what it was so far; what nobody has recorded is not known to be
 * exact. */
static void take_record(struct answer *a)
{
	const struct chat_turn *last = chat_last(a->chat);

	if (last->who != CHAT_MODEL || !last->len)
		return;
	snprintf(a->stats.strategy, sizeof(a->stats.strategy), "%s", last->stats.strategy);
	a->stats.exact = last->stats.exact;
	if (!*a->stats.strategy)
		stats_helped(&a->stats, "-", false);
}

bool answer(struct worker *w, struct chat *chat, int64_t seed)
{
	struct answer a = { .w = w, .chat = chat, .dropped = chat->first, .asked = clock_now(),
			    .stats = { .seed = seed, .prompt_rate = -1, .first_s = -1 } };
	struct strat *s = &w->engine->strat;
	enum msg_reason why;
	bool again = false;
	char err[ERR_MAX];

	s->law.seed = (uint64_t)seed;
	memset(&s->stats, 0, sizeof(s->stats));
	take_record(&a);
	why = produce(&a, err);
	if (why == DONE_ERROR && engine_lost(w->engine)) {
		again = !a.stats.n_tokens && !w->quit && !atomic_load(&w->last);
		tell_lost(&a, again, err);
	}
	if (why == DONE_ERROR || why == DONE_REFUSED)
		worker_error(w, err, ERROR_NOTE);
	if (again)
		return false;
	worker_look(w);
	if (why != DONE_REFUSED)
		send_stats(&a);
	msgq_put(&w->out, (struct msg){ .kind = MSG_DONE, .reason = why });
	return true;
}
