/* editor.c - see editor.h.
 *
 * Invariant: the file is ours alone (mkstemp, 0600) and is gone afterwards. */
#include "app/typing/editor.h"
#include "base/file.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { EDITED_MOST = 16 << 20 };

/* The shell splits the variable into words, as everyone's EDITOR expects. */
static int run_editor(char *path, char err[ERR_MAX])
{
	char *argv[] = { "sh", "-c", "exec ${VISUAL:-${EDITOR:-vi}} \"$1\"", "sh", path, NULL };
	posix_spawnattr_t attr;
	sigset_t usual;
	pid_t pid;
	int status = 0, rc;

	sigemptyset(&usual);
	sigaddset(&usual, SIGINT);
	sigaddset(&usual, SIGQUIT);
	sigaddset(&usual, SIGPIPE);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigdefault(&attr, &usual);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGDEF);
	rc = posix_spawn(&pid, "/bin/sh", NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (rc)
		return fail(err, "cannot start the editor: %s", strerror(rc));
	if (TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) < 0 || status)
		return fail(err, "the editor failed; the prompt is as it was (EDITOR names it)");
	return 0;
}

char *tui_editor(const char *text, size_t *n, char err[ERR_MAX])
{
	char path[] = "/tmp/s3dchat-XXXXXX";
	int fd = mkstemp(path), rc;
	char *got = NULL;

	if (fd < 0) {
		fail(err, "cannot make a file for the editor: %s", strerror(errno));
		return NULL;
	}
	rc = fd_write(fd, text, *n);
	if (rc)
		fail(err, "cannot write for the editor: %s", strerror(errno));
	close(fd);
	if (!rc && !run_editor(path, err))
		got = file_read(path, 0, EDITED_MOST, n, err);
	unlink(path);
	while (got && *n && got[*n - 1] == '\n')
		got[--*n] = '\0';
	return got;
}
