/* chat.c - see chat.h.  The file format is in chat_file.c.
 *
 * Invariant: turn[i] is the user's for even i and the model's for odd i. */
#include "app/chat/chat.h"

#include <stdlib.h>
#include <string.h>

struct chat *chat_open(void)
{
	return calloc(1, sizeof(struct chat));
}

static void drop_turns(struct chat *c, int keep)
{
	while (c->n > keep) {
		free(c->turn[--c->n].text);
		free(c->turn[c->n].ids);
	}
}

void chat_clear(struct chat *c)
{
	drop_turns(c, 0);
	c->first = 0;
}

void chat_close(struct chat *c)
{
	if (!c)
		return;
	chat_clear(c);
	free(c->turn);
	free(c->system);
	free(c->model);
	free(c->model_file);
	free(c);
}

int chat_model(struct chat *c, const char *name, const char *file)
{
	char *a = name ? strdup(name) : NULL, *b = file ? strdup(file) : NULL;

	if ((name && !a) || (file && !b)) {
		free(a);
		free(b);
		return -1;
	}
	free(c->model);
	free(c->model_file);
	c->model = a;
	c->model_file = b;
	return 0;
}

struct chat_turn *chat_last(struct chat *c)
{
	return c->n ? &c->turn[c->n - 1] : NULL;
}

static char *copy_bytes(const char *text, size_t len)
{
	char *p = malloc(len + 1);

	if (p && len)
		memcpy(p, text, len);
	if (p)
		p[len] = '\0';
	return p;
}

int chat_system(struct chat *c, const char *text, size_t len)
{
	char *copy = text ? copy_bytes(text, len) : NULL;

	if (text && !copy)
		return -1;
	free(c->system);
	c->system = copy;
	c->system_len = text ? len : 0;
	return 0;
}

int chat_add(struct chat *c, enum chat_who who, const char *text, size_t len)
{
	struct chat_turn *t;
	char *copy;

	if (who != (c->n % 2 ? CHAT_MODEL : CHAT_USER))
		return -1;
	if (c->n == c->cap) {
		int cap = c->cap ? 2 * c->cap : 8;

		t = realloc(c->turn, (size_t)cap * sizeof(*t));
		if (!t)
			return -1;
		c->turn = t;
		c->cap = cap;
	}
	copy = copy_bytes(text, len);
	if (!copy)
		return -1;
	c->turn[c->n++] = (struct chat_turn){ .who = who, .text = copy, .len = len,
					       .stats = STATS_NONE_YET };
	return 0;
}

int chat_append(struct chat *c, const char *text, size_t len)
{
	struct chat_turn *t = chat_last(c);
	char *p = t ? realloc(t->text, t->len + len + 1) : NULL;

	if (!p)
		return -1;
	if (len)
		memcpy(p + t->len, text, len);
	t->text = p;
	t->len += len;
	p[t->len] = '\0';
	return 0;
}

int chat_token(struct chat *c, int id)
{
	struct chat_turn *t = chat_last(c);
	bool full = t && (t->n_ids & (t->n_ids - 1)) == 0;      /* room is a power of two */
	size_t room = t && t->n_ids ? 2 * (size_t)t->n_ids : 1;
	int *more = full ? realloc(t->ids, room * sizeof(*more)) : NULL;

	if (!t || (full && !more))
		return -1;
	if (full)
		t->ids = more;
	t->ids[t->n_ids++] = id;
	return 0;
}

/* *to, a copy of *from as far as its text, gets the rest. */
static int copy_rest(struct chat_turn *to, const struct chat_turn *from)
{
	char *text = to->text;
	int *ids = from->n_ids ? malloc(2 * (size_t)from->n_ids * sizeof(*ids)) : NULL;

	if (from->n_ids && !ids)
		return -1;
	if (ids)
		memcpy(ids, from->ids, (size_t)from->n_ids * sizeof(*ids));
	*to = *from;
	to->text = text;
	to->ids = ids;
	return 0;
}

struct chat *chat_copy(const struct chat *c)
{
	struct chat *d = chat_open();

	if (!d || chat_system(d, c->system, c->system_len) ||
	    chat_model(d, c->model, c->model_file))
		goto failed;
	for (int i = 0; i < c->n; i++) {
		const struct chat_turn *t = &c->turn[i];

		if (chat_add(d, t->who, t->text, t->len) || copy_rest(&d->turn[i], t))
			goto failed;
	}
	d->first = c->first;
	return d;
failed:
	chat_close(d);
	return NULL;
}

void chat_cut(struct chat *c, int n)
{
	drop_turns(c, n);
	if (c->first >= c->n)
		c->first = 0;
}

static bool drop_last(struct chat *c, enum chat_who who)
{
	struct chat_turn *t = chat_last(c);

	if (!t || t->who != who)
		return false;
	chat_cut(c, c->n - 1);
	return true;
}

bool chat_unanswer(struct chat *c)
{
	return drop_last(c, CHAT_MODEL);
}

bool chat_undo(struct chat *c)
{
	drop_last(c, CHAT_MODEL);
	return drop_last(c, CHAT_USER);
}
