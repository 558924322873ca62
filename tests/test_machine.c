/* test_machine.c - how many cores and how much memory control groups leave, on folders made like
 * the kernel's. */
#include "base/machine.h"
#include "tests/folder_kit.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/s3d-machine-XXXXXX";

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
	return machine_quota(list, root);
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
	assert_int_equal(machine_quota("/not/there", root), 0);
}

static void here(void **state)
{
	(void)state;
	assert_true(machine_free() > 0 && machine_taken() > 0 && machine_cores() > 0);
}

static void memory_is(const char *groups, size_t free, bool group)
{
	char proc[64], folder[64];
	struct machine_memory h;

	put("proc/self/cgroup", groups);
	snprintf(proc, sizeof(proc), "%s/proc", root);
	snprintf(folder, sizeof(folder), "%s/cgroup", root);
	h = machine_memory_at(proc, folder);
	assert_int_equal(h.free, free);
	assert_int_equal(h.group, group);
	assert_int_equal(h.swap, 7000 * 1024);
}

/* The whole of a group's page cache is never counted as free: what is in use is not dropped. */
static void memory(void **state)
{
	const size_t system = (size_t)4000000 * 1024, gib = (size_t)1 << 30;

	(void)state;
	put("proc/meminfo", "MemTotal:       8000000 kB\nMemFree:  10 kB\n"
	    "MemAvailable:   4000000 kB\nSwapTotal:  9000 kB\nSwapFree:       7000 kB\n");
	memory_is("0::/user/shell/app\n", system, false);
	put("cgroup/user/shell/app/memory.max", "max\n");
	put("cgroup/user/shell/app/memory.current", "500000000\n");
	memory_is("0::/user/shell/app\n", system, false);
	put("cgroup/user/memory.max", "2147483648\n");
	put("cgroup/user/memory.current", "1610612736\n");
	put("cgroup/user/memory.stat", "anon 5\nfile 1600000000\nactive_file 9\n"
	    "inactive_file 1073741824\n");
	memory_is("0::/user/shell/app\n", gib + gib / 2, true);
	put("cgroup/user/shell/memory.high", "1073741824\n");
	put("cgroup/user/shell/memory.max", "3000000000\n");
	put("cgroup/user/shell/memory.current", "268435456\n");
	memory_is("0::/user/shell/app\n", gib / 4 * 3, true);
	memory_is("0::/user\n", gib + gib / 2, true);
	memory_is("0::/elsewhere\n", system, false);
	put("cgroup/user/memory.max", "1000\n");       /* below what is used */
	memory_is("0::/user/shell/app\n", 0, true);
	put("cgroup/memory/box/memory.limit_in_bytes", "9223372036854771712\n");
	put("cgroup/memory/box/memory.usage_in_bytes", "1000\n");
	memory_is("3:cpuset:/\n4:cpu,memory:/box/in\n", system, false);
	put("cgroup/memory/memory.limit_in_bytes", "1073741824\n");
	put("cgroup/memory/memory.usage_in_bytes", "1073741824\n");
	put("cgroup/memory/memory.stat", "inactive_file 3\ntotal_inactive_file 4096\n");
	memory_is("3:cpuset:/\n4:cpu,memory:/box/in\n", 4096, true);
}

static int make_root(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int drop_root(void **state)
{
	(void)state;
	return folder_remove(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_2),
		cmocka_unit_test(version_1),
		cmocka_unit_test(nonsense),
		cmocka_unit_test(here),
		cmocka_unit_test(memory),
	};

	return cmocka_run_group_tests(tests, make_root, drop_root);
}
