/* test_cpuinfo.c - how many cores a control group's quota leaves, on folders made like the
 * kernel's. */
#include "kernels/cpu/cpu.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/s3d-cpuinfo-XXXXXX";

/* Writes text into root/path, making folders as needed. */
static void put(const char *path, const char *text)
{
	char full[512];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *s = full + strlen(root) + 1; (s = strchr(s, '/')); s++) {
		*s = 0;
		assert_true(mkdir(full, 0700) == 0 || errno == EEXIST);
		*s = '/';
	}
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int cores(const char *groups)
{
	char list[512];

	put("groups", groups);
	snprintf(list, sizeof(list), "%s/groups", root);
	return cpu_quota_cores(list, root);
}

static void version_2(void **state)
{
	(void)state;
	put("a/cpu.max", "150000 100000\n");
	put("a/b/cpu.max", "max 100000\n");
	put("a/c/cpu.max", "50000 100000\n");
	put("free/cpu.max", "max 100000\n");
	assert_int_equal(cores("0::/free\n"), 0);
	assert_int_equal(cores("0::/a\n"), 2);
	assert_int_equal(cores("0::/a/b\n"), 2);        /* what stands above counts */
	assert_int_equal(cores("0::/a/c\n"), 1);
	assert_int_equal(cores("0::/not/there\n"), 0);
	put("cpu.max", "300000 100000\n");              /* a container sees its own group as / */
	assert_int_equal(cores("0::/\n"), 3);
}

static void version_1(void **state)
{
	const char *groups = "5:memory:/x\n4:cpu,cpuacct:/box\n3:cpuset:/\n";

	(void)state;
	assert_int_equal(cores(groups), 0);
	put("cpu/box/cpu.cfs_quota_us", "-1\n");
	put("cpu/box/cpu.cfs_period_us", "100000\n");
	assert_int_equal(cores(groups), 0);
	put("cpu/box/cpu.cfs_quota_us", "400000\n");
	assert_int_equal(cores(groups), 4);
	put("cpu/cpu.cfs_quota_us", "100001\n");
	put("cpu/cpu.cfs_period_us", "100000\n");
	assert_int_equal(cores(groups), 2);
}

static void nonsense(void **state)
{
	(void)state;
	assert_int_equal(cores(""), 0);
	assert_int_equal(cores("no colon\n:\n::\n0::\n"), 3);
	put("cpu.max", "rubbish");
	assert_int_equal(cores("0::/\n"), 0);
	put("cpu.max", "100000 0\n");
	assert_int_equal(cores("0::/\n"), 0);
	assert_int_equal(cpu_quota_cores("/not/there", root), 0);
}

static int make_root(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
	char command[sizeof(root) + 16];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", root);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_2),
		cmocka_unit_test(version_1),
		cmocka_unit_test(nonsense),
	};

	return cmocka_run_group_tests(tests, make_root, drop_root);
}
