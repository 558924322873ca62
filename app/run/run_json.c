/* run_json.c - see run_json.h.  The numbers are those of /stats; one that is not known is null. */
#include "app/run/run_json.h"
#include "app/chat/json_text.h"
#include "base/text.h"
#include "engine/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void put_text(json_t *j, const char *key, const char *s)
{
	if (s && *s)
		json_text_set(j, key, s, strlen(s));
	else
		json_object_set_new(j, key, json_null());
}

static void put_count(json_t *j, const char *key, bool known, long long n)
{
	json_object_set_new(j, key, known ? json_integer(n) : json_null());
}

static void put_number(json_t *j, const char *key, bool known, double x)
{
	json_object_set_new(j, key, known ? json_real(x) : json_null());
}

static double ratio(double a, double b)
{
	return b > 0 ? a / b : 0;
}

static json_t *by_position(const struct stats *s)
{
	json_t *list = json_array();
	int n = STATS_DRAFTS;

	while (n && !s->pos_tested[n - 1])
		n--;
	for (int i = 0; i < n; i++)
		json_array_append_new(list, s->pos_tested[i] ?
				      json_real(ratio((double)s->pos_accepted[i],
						      (double)s->pos_tested[i])) : json_null());
	return list;
}

static void put_drafts(json_t *j, const struct stats *s, bool any)
{
	double spent = s->draft_s + s->verify_s + s->choose_s;

	put_count(j, "rounds", any, s->rounds);
	put_count(j, "drafted", any, s->drafted);
	put_count(j, "tested", any, s->tested);
	put_count(j, "accepted", any, s->accepted);
	put_number(j, "acceptance", any && s->tested,
		   ratio((double)s->accepted, (double)s->tested));
	put_number(j, "tokens_per_round", any && s->rounds,
		   ratio((double)s->n_tokens, (double)s->rounds));
	json_object_set_new(j, "by_position", any ? by_position(s) : json_null());
	put_number(j, "drafting", any && spent > 0 && (s->drafted || s->draft_s > 0),
		   ratio(s->draft_s, spent));
	put_number(j, "verifying", any && spent > 0, ratio(s->verify_s, spent));
	put_number(j, "choosing", any && spent > 0, ratio(s->choose_s, spent));
}

static json_t *memory(const struct talk *t)
{
	size_t now = machine_taken();
	json_t *j = json_object();

	put_count(j, "weights", t->ready && t->info.weights, (long long)t->info.weights);
	put_count(j, "little_model", t->ready && t->info.draft, (long long)t->info.draft);
	put_count(j, "kv_cache", t->ready, (long long)t->info.kv);
	put_count(j, "work_buffers", t->ready, (long long)t->info.work);
	put_count(j, "planned", t->ready && t->info.planned, (long long)t->info.planned);
	put_count(j, "process", now > 0, (long long)now);
	put_count(j, "gpu_budget", t->ready && t->info.budget, (long long)t->info.budget);
	put_count(j, "gpu_used", t->ready && t->info.used, (long long)t->info.used);
	put_count(j, "host_weights", t->ready && t->info.gpu, (long long)t->info.bus);
	return j;
}

static void put_answer(json_t *j, const struct talk *t, enum msg_reason why)
{
	static const char *const ends[] = {
		[DONE_END] = "end", [DONE_LIMIT] = "limit", [DONE_STOPPED] = "stopped",
		[DONE_CONTEXT] = "context", [DONE_ERROR] = "error",
		[DONE_REFUSED] = "error",
	};
	const struct chat_turn *last = t->chat ? chat_last(t->chat) : NULL;
	const struct stats *s = &t->stats;
	bool any = s->n_tokens >= 0, answered = any && last && last->who == CHAT_MODEL;

	json_text_set(j, "text", answered ? last->text : "", answered ? last->len : 0);
	put_text(j, "ended_by", ends[why]);
	put_text(j, "model", t->model);
	put_text(j, "strategy", s->strategy);
	json_object_set_new(j, "exact", *s->strategy ? json_boolean(s->exact) : json_null());
	put_count(j, "seed", true, t->seed);
	put_count(j, "tokens", any, s->n_tokens);
	put_number(j, "tokens_per_second", any && s->rate >= 0, s->rate);
	put_number(j, "first_token_seconds", any && s->first_s >= 0, s->first_s);
	put_count(j, "prompt_tokens", any, s->n_prompt);
	put_number(j, "prompt_tokens_per_second", any && s->prompt_rate >= 0, s->prompt_rate);
	put_drafts(j, s, any);
	put_count(j, "context_used", any && s->ctx_used >= 0, s->ctx_used);
	put_count(j, "context_size", t->ready, t->info.ctx_size);
	json_object_set_new(j, "memory", memory(t));
}

/* jansson lets DEL through, which a terminal would obey. */
static int put_object(FILE *f, json_t *j)
{
	char *line = json_dumps(j, JSON_ENSURE_ASCII | JSON_COMPACT | JSON_REAL_PRECISION(6));

	json_decref(j);
	if (!line) {
		errno = ENOMEM;
		return -1;
	}
	for (const char *p = line; *p; p++)
		if (*p == 0x7F)
			fputs("\\u007F", f);
		else
			fputc(*p, f);
	free(line);
	fputc('\n', f);
	return fflush(f);
}

int run_json(FILE *f, const struct talk *t, enum msg_reason why, const char *error,
	     char err[ERR_MAX])
{
	json_t *j = json_object();

	if (error)
		put_text(j, "error", error);
	if (!error || t->stats.n_tokens > 0)
		put_answer(j, t, why);
	if (put_object(f, j))
		return text_unwritten(errno, err);
	return 0;
}

void run_json_error(FILE *f, const char *text)
{
	json_t *j = json_object();

	put_text(j, "error", text);
	if (put_object(f, j))
		errno = 0;      /* the exit status tells */
}
