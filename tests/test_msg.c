/* test_msg.c - mailboxes: order, wake pipe, ownership, two threads. */
#include "app/worker/msg.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

static struct msgq q;
static char err[ERR_MAX];

static int set_up(void **state)
{
	(void)state;
	return msgq_init(&q, true, err);
}

static int tear_down(void **state)
{
	(void)state;
	msgq_free(&q);
	return 0;
}

static bool is_awake(void)
{
	struct pollfd fd = { .fd = q.wake[0], .events = POLLIN };

	return poll(&fd, 1, 0) == 1;
}

static void put(int count)
{
	assert_true(msgq_put(&q, (struct msg){ .kind = MSG_DROPPED, .count = count }));
}

/* Puts and takes unevenly, so that the ring wraps and grows while it is not at its start. */
static void test_order_and_wake(void **state)
{
	int in = 0, out = 0;
	struct msg m;

	(void)state;
	assert_false(is_awake());
	assert_false(msgq_get(&q, &m));
	for (int round = 0; round < 50; round++) {
		for (int i = 0; i < 7; i++)
			put(in++);
		assert_true(is_awake());
		for (int i = 0; i < 5; i++) {
			assert_true(msgq_get(&q, &m));
			assert_int_equal(m.count, out++);
		}
		assert_true(is_awake());
	}
	while (msgq_get(&q, &m))
		assert_int_equal(m.count, out++);
	assert_int_equal(out, in);
	assert_false(is_awake());
	put(1);
	assert_true(is_awake());
}

static void test_text_is_a_copy(void **state)
{
	char text[] = "a\0b";
	struct msg m;

	(void)state;
	assert_true(msgq_put_text(&q, (struct msg){ .kind = MSG_TEXT }, text, 3));
	memset(text, 'x', 3);
	msgq_wait(&q, &m);
	assert_int_equal(m.len, 3);
	assert_memory_equal(m.text, "a\0b", 4);
	msg_free(&m);
	assert_null(m.text);
}

/* What is left in a mailbox is freed with it (address sanitizer sees it otherwise). */
static void test_left_over(void **state)
{
	struct chat *c = chat_open();

	(void)state;
	assert_int_equal(chat_add(c, CHAT_USER, "x", 1), 0);
	assert_true(msgq_put_text(&q, (struct msg){ .kind = MSG_TEXT }, "text", 4));
	assert_true(msgq_put(&q, (struct msg){ .kind = CMD_ANSWER, .chat = c }));
}

enum { MANY = 100000 };

static void *producer(void *arg)
{
	for (int i = 0; i < MANY; i++)
		if (!msgq_put(arg, (struct msg){ .kind = MSG_DROPPED, .count = i }))
			return arg;
	return NULL;
}

static void test_two_threads(void **state)
{
	pthread_t t;
	struct msg m;
	void *failed;

	(void)state;
	assert_int_equal(pthread_create(&t, NULL, producer, &q), 0);
	for (int i = 0; i < MANY; i++) {
		if (i % 2)
			msgq_wait(&q, &m);
		else
			for (struct pollfd fd = { .fd = q.wake[0], .events = POLLIN };
			     !msgq_get(&q, &m);)
				assert_int_equal(poll(&fd, 1, 10000), 1);
		assert_int_equal(m.count, i);
	}
	pthread_join(t, &failed);
	assert_null(failed);
	assert_false(is_awake());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order_and_wake, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_text_is_a_copy, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_left_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_threads, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
