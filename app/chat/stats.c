/* stats.c - see stats.h. */
#include "app/chat/stats.h"

#include <stdio.h>
#include <string.h>

/* Named as in --json. */
static const struct {
	const char *key;
	size_t offset;
	bool whole;             /* a long, else a double */
	int unknown;            /* how it says so: -1, or 0 where only shares of it are shown */
} numbers[] = {
	{ "tokens", offsetof(struct stats, n_tokens), true, -1 },
	{ "tokens_per_second", offsetof(struct stats, rate), false, -1 },
	{ "first_token_seconds", offsetof(struct stats, first_s), false, -1 },
	{ "prompt_tokens", offsetof(struct stats, n_prompt), true, -1 },
	{ "prompt_tokens_per_second", offsetof(struct stats, prompt_rate), false, -1 },
	{ "rounds", offsetof(struct stats, rounds), true, 0 },
	{ "drafted", offsetof(struct stats, drafted), true, 0 },
	{ "tested", offsetof(struct stats, tested), true, 0 },
	{ "accepted", offsetof(struct stats, accepted), true, 0 },
	{ "drafting_seconds", offsetof(struct stats, draft_s), false, 0 },
	{ "verifying_seconds", offsetof(struct stats, verify_s), false, 0 },
	{ "choosing_seconds", offsetof(struct stats, choose_s), false, 0 },
};
enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };

static bool is_listed(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = list; *p; p += strcspn(p, ","), p += strspn(p, ", "))
		if (strcspn(p, ",") == n && !strncmp(p, name, n))
			return true;
	return false;
}

bool stats_helped(struct stats *s, const char *strategy, bool exact)
{
	size_t n = strlen(s->strategy);
	bool before = s->exact, listed = is_listed(s->strategy, strategy);

	s->exact = exact && (before || !n);
	if (!listed)
		snprintf(s->strategy + n, sizeof(s->strategy) - n, "%s%s", n ? ", " : "", strategy);
	return !listed || s->exact != before;
}

void stats_put(json_t *to, const struct stats *s)
{
	json_t *j;

	if (s->n_tokens < 0)
		return;
	if (*s->strategy) {
		json_object_set_new(to, "strategy", json_string(s->strategy));
		json_object_set_new(to, "exact", json_boolean(s->exact));
	}
	j = json_object();
	for (int i = 0; i < NUMBERS; i++) {
		const char *at = (const char *)s + numbers[i].offset;
		double x = numbers[i].whole ? (double)*(const long *)at : *(const double *)at;

		if (x >= 0)
			json_object_set_new(j, numbers[i].key, numbers[i].whole ?
					    json_integer(*(const long *)at) : json_real(x));
	}
	json_object_set_new(to, "stats", j);
}

struct stats stats_get(const json_t *from)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-, ";
	const char *names = json_string_value(json_object_get(from, "strategy"));
	const json_t *j = json_object_get(from, "stats");
	struct stats s = { .rate_now = -1, .ctx_used = -1, .exact = true };

	for (int i = 0; i < NUMBERS; i++) {
		const json_t *x = json_object_get(j, numbers[i].key);
		double value = json_is_number(x) ? json_number_value(x) : -1;
		char *at = (char *)&s + numbers[i].offset;

		if (value > 1e15 || value < 0)
			value = numbers[i].unknown;
		if (numbers[i].whole)
			*(long *)at = (long)value;
		else
			*(double *)at = value;
	}
	if (names && strlen(names) < sizeof(s.strategy) && !names[strspn(names, letters)])
		strcpy(s.strategy, names);
	s.exact = *s.strategy && json_is_true(json_object_get(from, "exact"));
	return s;
}
