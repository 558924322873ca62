/* test_child.c - the calibration beside a chat as a process: its progress, its end, its failures.
 *
 * This program is its own child: asked to calibrate it plays a calibration. */
#include "app/talk/child.h"
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static enum child_state wait_for(struct child *c, double *share, int *left)
{
	enum child_state state = CHILD_RUNS;

	*share = 0;
	while (state == CHILD_RUNS) {
		struct pollfd p = { .fd = c->fd, .events = POLLIN };

		assert_int_equal(poll(&p, 1, 10000), 1);
		state = child_read(c);
		*share = c->share > *share ? c->share : *share;
		*left = c->left;
	}
	return state;
}

static void test_good(void **state)
{
	char err[ERR_MAX] = "";
	struct child c;
	double share;
	int left;

	(void)state;
	child_init(&c);
	if (child_start(&c, "build/good.gguf", 1, "cpu", err) != 0)
		fail_msg("%s", err);
	assert_int_equal(child_start(&c, "build/good.gguf", 1, "cpu", err), -1);
	assert_non_null(strstr(err, "/calibrate stop"));
	assert_int_equal(wait_for(&c, &share, &left), CHILD_DONE);
	assert_true(share > 0.99);
	assert_int_equal(left, 0);
	assert_string_equal(c.path, "build/good.s3d.gguf");
	assert_int_equal(c.pid, 0);
	assert_int_equal(c.fd, -1);
	child_stop(&c);
}

static void test_bad(void **state)
{
	static const char *const models[] = { "build/bad.gguf", "build/killed.gguf" };
	static const char *const says[] = { "no room on the disk", "status 9" };

	(void)state;
	for (int i = 0; i < 2; i++) {
		char err[ERR_MAX] = "";
		struct child c;
		double share;
		int left;

		child_init(&c);
		assert_int_equal(child_start(&c, models[i], 1, "cpu", err), 0);
		assert_int_equal(wait_for(&c, &share, &left), CHILD_FAILED);
		if (!strstr(c.line, says[i]))
			fail_msg("'%s'", c.line);
		assert_int_equal(c.pid, 0);
		child_stop(&c);
	}
}

static void test_stop(void **state)
{
	char err[ERR_MAX] = "";
	struct child c;
	pid_t pid;

	(void)state;
	child_init(&c);
	assert_int_equal(child_start(&c, "build/slow.gguf", 1, "cpu", err), 0);
	pid = c.pid;
	assert_int_equal(child_read(&c), CHILD_RUNS);
	child_stop(&c);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(c.pid, 0);
	child_stop(&c);
}

static int play(const char *model)
{
	if (strstr(model, "good"))
		for (int i = 0; i <= 20; i++)
			printf("something\nprogress %.2f seconds-left %d\n", i / 20.0, 20 - i);
	if (strstr(model, "bad"))
		printf("progress 0.5 seconds-left 9\nprogress 7 seconds-left 1\n"
		       "s3dchat: no room on the disk");
	fflush(stdout);
	if (strstr(model, "killed"))
		raise(SIGKILL);
	if (strstr(model, "slow"))
		pause();
	return strstr(model, "bad") != NULL;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_stop),
	};

	if (argc > 4 && !strcmp(argv[1], "calibrate"))
		return play(argv[4]);
	return cmocka_run_group_tests_name("child", tests, NULL, NULL);
}
