/* talk_refused.c - a request that the model refuses, because it does not fit the context for one:
 * conversation, file and attached text become what they were before it, and what was typed goes
 * back to the front end.
 *
 * talk.before owns what was before the running request.  Invariant: it is empty while none
 * runs. */
#include "app/talk/commands.h"
#include "app/talk/talk_in.h"

#include <stdlib.h>
#include <string.h>

void talk_forget(struct talk *t)
{
	chat_close(t->before.chat);
	free(t->before.typed);
	free(t->before.attached);
	free(t->before.place);
	memset(&t->before, 0, sizeof(t->before));
}

int talk_remember(struct talk *t, const char *typed, size_t len, char err[ERR_MAX])
{
	talk_forget(t);
	t->before.chat = chat_copy(t->chat);
	t->before.typed = typed ? strndup(typed, len) : NULL;
	t->before.attached = t->attached ? strdup(t->attached) : NULL;
	if (!t->before.chat || (typed && !t->before.typed) ||
	    (t->attached && !t->before.attached)) {
		talk_forget(t);
		return fail(err, "out of memory");
	}
	return 0;
}

/* Turns only: system prompt and settings may have been changed meanwhile. */
static void bring_turns(struct talk *t)
{
	struct chat *c = t->before.chat;
	char *system = c->system;

	t->before.chat = NULL;
	c->system = t->chat->system;
	c->system_len = t->chat->system_len;
	t->chat->system = system;
	chat_close(t->chat);
	t->chat = c;
}

/* The branch's own file goes, the chat that it left is at hand again. */
static void bring_place(struct talk *t)
{
	chat_cut(t->chat, 0);
	talk_taken_back(t);
	free(t->place);
	t->place = t->before.place;
	t->stamp = t->before.stamp;
	t->before.place = NULL;
}

void talk_take_back(struct talk *t)
{
	bool branch = t->before.branch;
	char *spelt;

	if (!t->before.chat)
		return;
	if (branch)
		bring_place(t);
	bring_turns(t);
	if (t->before.reseeded)
		t->seed = t->seed ? t->seed - 1 : INT64_MAX;
	if (!branch)
		talk_taken_back(t);
	if (t->before.attached) {       /* before what was read since */
		char *now = t->attached;

		t->attached = t->before.attached;
		t->before.attached = NULL;
		talk_put_before(t, now ? now : "", now ? strlen(now) : 0);
		free(now);
	}
	free(t->refused);
	t->refused = t->before.typed;
	t->before.typed = NULL;
	if (t->refused && !branch && command_hides(t->refused) &&
	    asprintf(&spelt, "/%s", t->refused) > 0) {
		free(t->refused);
		t->refused = spelt;
	}
	talk_forget(t);
}

const char *talk_refused_note(const struct talk *t)
{
	if (!t->refused)
		return "";
	return t->attached ?
		"(not asked: the text is back in the input line; /drop leaves out what was read)" :
		"(not asked: the text is back in the input line)";
}
