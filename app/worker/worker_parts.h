/* worker_parts.h - private to app/worker: the decode thread in its parts.
 *
 * worker.c calls answer.c, and both call worker_settings.c; none of them calls the other way.
 * Invariant: answer() sends its MSG_DONE last, whatever happened, or asks to be called again. */
#ifndef S3D_APP_WORKER_PARTS_H
#define S3D_APP_WORKER_PARTS_H
#include "app/worker/worker.h"

struct memory_plan;

/* ---- answer.c ---- */

/* Answers the last turn of chat, or goes on with it when it is the model's.  The caller keeps the
 * chat; the answer is appended to it here too, for when the context has to be made anew.
 * false: the device failed before anything came out; to be called again with another one. */
bool answer(struct worker *, struct chat *, int64_t seed);

/* ---- worker_settings.c ---- */

void worker_note(struct worker *, const char *text);    /* "": nothing */
void worker_error(struct worker *, const char *text, enum msg_error);
void worker_tell_strategy(struct worker *);
void worker_tell_loaded(struct worker *, enum msg_kind, bool again);
/* What the plan knows, of a loaded model too. */
struct model_info worker_planned(const struct memory_plan *);
/* How much of the GPU's memory is taken: asking the driver takes its time. */
void worker_look(struct worker *);
void worker_apply(struct worker *);     /* the options, to the engine */
/* Behind every change of model or frame: the default system prompt is the frame's; and without a
 * frame nothing can be asked, which is said now and not with the first question. */
void worker_frame(struct worker *);
void worker_no_frame(const struct engine *, char err[ERR_MAX]);
/* What may come at any time; true if the message was one of these. */
bool worker_setting(struct worker *, struct msg *);
/* Takes those that wait, in the middle of an answer. */
void worker_settings(struct worker *);
#endif
