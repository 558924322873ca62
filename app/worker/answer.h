/* answer.h - one answer of the model, in the decode thread; used by worker.c alone.
 *
 * Invariant: answer() sends its MSG_DONE last, whatever happened, or asks to be called again. */
#ifndef S3D_APP_ANSWER_H
#define S3D_APP_ANSWER_H
#include "app/worker/worker.h"

/* Answers the last turn of chat, or goes on with it when it is the model's.  The caller keeps the
 * chat; the answer is appended to it here too, for when the context has to be made anew.
 * false: the device failed before anything came out; to be called again with another one. */
bool answer(struct worker *, struct chat *, int64_t seed);

/* Behind every change of model or frame: the default system prompt is the frame's; and without a
 * frame nothing can be asked, which is said now and not with the first question. */
void answer_frame(struct worker *);

/* From worker.c: takes the settings that wait, in the middle of an answer. */
void worker_settings(struct worker *);
/* How much of the GPU's memory is taken: asking the driver takes its time. */
void worker_look(struct worker *);
void worker_error(struct worker *, const char *text, enum msg_error);
#endif
