/* test_emu.cpp - the emulated device against what CUDA says of the real one: runs all groups. */
#include "tests/emu/test_kit.h"
#include <cstdio>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* A test that failed may have left something. */
int kit_before(void **)
{
	cudaDeviceReset();
	emu_reset();
	return 0;
}

int kit_after(void **)
{
	struct emu_use u = emu_memory();

	emu_reset();
	return u.allocations || u.pinned_allocations || u.streams || u.graphs || u.execs ||
	       u.events || u.libraries || u.device || u.pinned;
}

static void child(void (*f)(void), int to)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	dup2(to, STDERR_FILENO);
	f();
	_exit(0);
}

bool kit_dies(void (*f)(void), const char *text)
{
	char said[65536];
	size_t n = 0;
	ssize_t got;
	int ends[2], status;

	assert_int_equal(pipe(ends), 0);
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0)
		child(f, ends[1]);
	close(ends[1]);
	while ((got = read(ends[0], said + n, sizeof(said) - 1 - n)) > 0)
		n += (size_t)got;
	said[n] = 0;
	close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status && strstr(said, text))
		return true;
	fprintf(stderr, "# status %d, not \"%s\" but:\n%s\n", status, text, said);
	return false;
}

int main()
{
	return test_collectives() | test_mistakes() | test_values() | test_runtime() |
	       test_graphs() | test_streams() | test_libraries() ? 1 : 0;
}
