/* run_json.c - see run_json.h.  The numbers are those of /stats; one that is not known is null. */
#include "app/run/run_json.h"
#include "app/chat/json_text.h"
#include "app/talk/commands.h"
#include "base/text.h"
#include "ui/pane/figures.h"

#include <errno.h>
#include <math.h>
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

static json_t *number(double x, bool count)
{
	return isnan(x) ? json_null() : count ? json_integer((json_int_t)x) : json_real(x);
}

static void put_figures(json_t *j, const struct stats *s, enum figure from, enum figure to)
{
	for (enum figure f = from; f <= to; f++)
		if (figure_rows[f].key)
			json_object_set_new(j, figure_rows[f].key,
					    number(figure_value(s, f), figure_rows[f].count));
}

static json_t *by_position(const struct stats *s)
{
	double share[STATS_DRAFTS];
	int n = figure_positions(s, 1, share);
	json_t *list = s->n_tokens < 0 ? json_null() : json_array();

	for (int i = 0; i < n; i++)
		json_array_append_new(list, number(share[i], false));
	return list;
}

static json_t *memory(const struct talk *t)
{
	static const struct {
		const char *key;
		enum memory_figure which;
	} row[] = {
		{ "weights", MEMORY_WEIGHTS }, { "little_model", MEMORY_LITTLE },
		{ "kv_cache", MEMORY_KV }, { "work_buffers", MEMORY_WORK },
		{ "planned", MEMORY_PLANNED }, { "process", MEMORY_PROCESS },
		{ "gpu_budget", MEMORY_BUDGET }, { "gpu_used", MEMORY_USED },
		{ "host_weights", MEMORY_HOST },
	};
	json_t *j = json_object();

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		json_object_set_new(j, row[i].key, number(command_bytes(t, row[i].which), true));
	return j;
}

/* How both compute groups of layers. */
static json_t *host_groups(const struct model_info *i)
{
	json_t *j = json_object();

	json_object_set_new(j, "at_once", json_boolean(i->shared));
	put_count(j, "layers", true, i->group_size);
	put_count(j, "cpu_layers", true, i->group_share);
	json_object_set_new(j, "cpu_seconds", number(i->group_cpu, false));
	json_object_set_new(j, "gpu_seconds", number(i->group_gpu, false));
	json_object_set_new(j, "handing_seconds", number(i->group_cross, false));
	json_object_set_new(j, "gpu_speed", number(i->gpu_speed, true));
	return j;
}

/* Layers that the GPU's memory does not hold. */
static json_t *host_layers(const struct model_info *i)
{
	bool chosen = i->bus_speed > 0;
	json_t *j = json_object();

	put_count(j, "count", true, i->host_layers);
	put_text(j, "by", i->by_cpu ? "cpu" : "bus");
	json_object_set_new(j, "bus_speed", number(chosen ? i->bus_speed : NAN, true));
	json_object_set_new(j, "cpu_speed", number(chosen ? i->cpu_speed : NAN, true));
	put_text(j, "measured", chosen ? i->measured : NULL);
	put_text(j, "layers", i->layers);
	json_object_set_new(j, "groups", i->group_share ? host_groups(i) : json_null());
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
	json_object_set_new(j, "slower_than_plain", any ? json_boolean(s->slower) : json_null());
	put_text(j, "dip", t->ready && strcmp(t->info.dip, "off") != 0 ? t->info.dip : NULL);
	put_count(j, "token_weights", t->ready, (long long)t->info.token_weights);
	put_count(j, "seed", true, t->seed);
	put_figures(j, s, FIGURE_TOKENS, FIGURE_PER_ROUND);
	json_object_set_new(j, "by_position", by_position(s));
	put_figures(j, s, FIGURE_DRAFTING, FIGURE_SLOW_BYTES);
	put_count(j, "context_size", t->ready, t->info.ctx_size);
	json_object_set_new(j, "memory", memory(t));
	json_object_set_new(j, "host_layers", t->ready && t->info.host_layers ?
			    host_layers(&t->info) : json_null());
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
