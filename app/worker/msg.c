/* msg.c - see msg.h.
 *
 * Each mailbox is a ring that grows.  Invariant: one byte lies in the pipe exactly while n > 0. */
#include "app/worker/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int msgq_init(struct msgq *q, bool pipe_too, char err[ERR_MAX])
{
	memset(q, 0, sizeof(*q));
	q->wake[0] = q->wake[1] = -1;
	if (pipe_too && pipe2(q->wake, O_CLOEXEC | O_NONBLOCK))
		return fail(err, "cannot make a pipe: %s", strerror(errno));
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->filled, NULL);
	return 0;
}

void msg_free(struct msg *m)
{
	free(m->text);
	if (m->kind == CMD_ANSWER)
		chat_close(m->chat);
	m->text = NULL;
	m->kind = CMD_QUIT;
}

void msgq_free(struct msgq *q)
{
	struct msg m;

	while (msgq_get(q, &m))
		msg_free(&m);
	for (int i = 0; i < 2; i++)
		if (q->wake[i] >= 0)
			close(q->wake[i]);
	free(q->v);
	pthread_mutex_destroy(&q->lock);
	pthread_cond_destroy(&q->filled);
}

static bool grow(struct msgq *q)
{
	size_t cap = q->cap ? 2 * q->cap : 16;
	struct msg *v = calloc(cap, sizeof(*v));

	if (!v)
		return false;
	for (size_t i = 0; i < q->n; i++)
		v[i] = q->v[(q->head + i) % q->cap];
	free(q->v);
	q->v = v;
	q->cap = cap;
	q->head = 0;
	return true;
}

bool msgq_put(struct msgq *q, struct msg m)
{
	bool room;

	pthread_mutex_lock(&q->lock);
	room = q->n < q->cap || grow(q);
	if (room) {
		q->v[(q->head + q->n++) % q->cap] = m;
		/* Cannot fail: the pipe is empty while n == 0. */
		if (q->n == 1 && q->wake[1] >= 0 && write(q->wake[1], "", 1) < 0)
			errno = 0;
		pthread_cond_signal(&q->filled);
	}
	pthread_mutex_unlock(&q->lock);
	if (!room)
		msg_free(&m);
	return room;
}

bool msgq_put_text(struct msgq *q, struct msg m, const char *text, size_t len)
{
	m.text = malloc(len + 1);
	if (!m.text)
		return false;
	memcpy(m.text, text, len);
	m.text[len] = '\0';
	m.len = len;
	return msgq_put(q, m);
}

static void take(struct msgq *q, struct msg *m)
{
	char byte;

	*m = q->v[q->head];
	q->head = (q->head + 1) % q->cap;
	if (--q->n == 0 && q->wake[0] >= 0 && read(q->wake[0], &byte, 1) < 0)
		errno = 0;
}

bool msgq_get(struct msgq *q, struct msg *m)
{
	bool any;

	pthread_mutex_lock(&q->lock);
	any = q->n > 0;
	if (any)
		take(q, m);
	pthread_mutex_unlock(&q->lock);
	return any;
}

void msgq_wait(struct msgq *q, struct msg *m)
{
	pthread_mutex_lock(&q->lock);
	while (!q->n)
		pthread_cond_wait(&q->filled, &q->lock);
	take(q, m);
	pthread_mutex_unlock(&q->lock);
}
