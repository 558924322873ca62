/* talk_in.h - private to app/talk: what talk.c (requests, messages), talk_file.c (saved chats) and
 * talk_refused.c (a request taken back) ask of each other.
 *
 * They are one thing in three files, with one owner, struct talk. */
#ifndef S3D_APP_TALK_IN_H
#define S3D_APP_TALK_IN_H
#include "app/talk/talk.h"

/* Before a request changes anything; typed: what to give back if it is refused, or NULL. */
int talk_remember(struct talk *, const char *typed, size_t len, char err[ERR_MAX]);
void talk_forget(struct talk *);
void talk_take_back(struct talk *);
/* Behind what waits to go before the next question. */
int talk_put_before(struct talk *, const char *text, size_t len);
int talk_settings(struct talk *, char err[ERR_MAX]);            /* hands opt to the decode thread */
int64_t talk_new_seed(const struct options *);
/* At the start, before there is a decode thread. */
/* The file to begin with: that of the model which the resumed chat was had with, where none was
 * named.  malloc'ed, NULL with err. */
char *talk_first_model(struct talk *, char err[ERR_MAX]);
void talk_compare(struct talk *);       /* says when the chat was had with another model */
int talk_resume_first(struct talk *, char warning[ERR_MAX], char err[ERR_MAX]);
#endif
