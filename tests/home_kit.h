/* home_kit.h - a folder of a test's own: its home, with nothing of the user's in it; and where the
 * program is.
 *
 * Invariant: what a test leaves in the folder is gone after home_close. */
#ifndef S3D_TESTS_HOME_KIT_H
#define S3D_TESTS_HOME_KIT_H
#include "tests/folder_kit.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static char home[] = "/tmp/s3dchat-test.XXXXXX";

static inline int home_open(void)
{
	static const char *const all[] = { "HOME", "XDG_DATA_HOME", "XDG_STATE_HOME",
					   "XDG_CONFIG_HOME" };

	if (!mkdtemp(home))
		return -1;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		setenv(all[i], home, 1);
	setenv("INPUTRC", "/dev/null", 1);
	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	return 0;
}

/* For a group's tear_down. */
static inline int home_close(void **state)
{
	(void)state;
	return folder_remove(home);
}

/* The whole path of the program that was built with this test; -1: there is none. */
static inline int home_program(char program[PATH_MAX])
{
	const char *b = getenv("B");
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/s3dchat", b ? b : "build/release");
	return realpath(path, program) ? 0 : -1;
}
#endif
