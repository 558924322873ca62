/* talk_child.c - the calibration beside a chat, and what becomes of what it has made.
 *
 * Invariant: a sidecar goes to the engine of the model that it was made for, or to none. */
#include "app/config/model_path.h"
#include "app/talk/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int talk_calibrate(struct talk *t, bool stop, char err[ERR_MAX])
{
	if (!stop && !t->ready)
		return fail(err, "the model is not loaded yet");
	if (!stop)
		return child_start(&t->child, t->file, t->opt.threads, t->opt.backend, err);
	if (!t->child.pid)
		return fail(err, "no calibration is running");
	child_stop(&t->child);
	msgq_put(&t->worker->out, (struct msg){ .kind = MSG_CALIBRATING });
	return 0;
}

/* The sidecar is for the model of the chat, or of the one that is being loaded; else it lies ready
 * for when its own is. */
static void take_made(struct talk *t, const char *path)
{
	const char *file = t->next_file ? t->next_file : t->file;
	char *own = file ? model_path_sidecar_new(file) : NULL;
	char text[2 * ERR_MAX];

	if (own && !t->failed && !strcmp(own, path)) {
		msgq_put_text(&t->worker->in, (struct msg){ .kind = CMD_SIDECAR }, path,
			      strlen(path));
	} else {
		snprintf(text, sizeof(text), "%s is made, for a model that is not loaded", path);
		msgq_put_text(&t->worker->out, (struct msg){ .kind = MSG_NOTE }, text,
			      strlen(text));
	}
	free(own);
}

void talk_child(struct talk *t)
{
	struct msgq *out = &t->worker->out;
	enum child_state state = child_read(&t->child);
	char text[2 * ERR_MAX];

	msgq_put(out, (struct msg){ .kind = MSG_CALIBRATING });
	if (state == CHILD_DONE)
		take_made(t, t->child.path);
	if (state != CHILD_FAILED)
		return;
	snprintf(text, sizeof(text), "calibration: %s", t->child.line);
	msgq_put_text(out, (struct msg){ .kind = MSG_ERROR }, text, strlen(text));
}
