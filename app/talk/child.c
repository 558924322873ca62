/* child.c - see child.h. */
#include "app/talk/child.h"
#include "app/config/model_path.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGS_MAX = 12 };

void child_init(struct child *c)
{
	*c = (struct child){ .fd = -1, .left = -1 };
}

/* It has ended; path stays: the caller's to read until the next start. */
static int end(struct child *c)
{
	int status = 0;
	pid_t got = c->pid ? TEMP_FAILURE_RETRY(waitpid(c->pid, &status, 0)) : 0;

	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->pid = 0;
	return got < 0 ? -1 : status;
}

/* Quiet, and not where Ctrl+C goes, which is for the chat.  0, or errno. */
static int spawn(struct child *c, const char *const *args, int out)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t how;
	sigset_t none;
	int why;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, out, STDERR_FILENO);
	posix_spawnattr_init(&how);
	posix_spawnattr_setsigmask(&how, &none);
	posix_spawnattr_setpgroup(&how, 0);
	posix_spawnattr_setflags(&how, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
	why = posix_spawn(&c->pid, "/proc/self/exe", &files, &how, (char *const *)args, environ);
	posix_spawnattr_destroy(&how);
	posix_spawn_file_actions_destroy(&files);
	return why;
}

int child_start(struct child *c, const char *model, int threads, const char *backend,
		char err[ERR_MAX])
{
	char count[16];
	const char *args[ARGS_MAX] = { "s3dchat", "calibrate", "--progress", "-m", model, "-t",
				       count, "--backend", backend, "-o" };
	int ends[2], why;

	if (c->pid)
		return fail(err, "a calibration is running; /calibrate stop ends it");
	free(c->path);
	child_init(c);
	c->path = model_path_sidecar_new(model);
	if (!c->path)
		return fail(err, "there is no place for the sidecar");
	args[10] = c->path;
	snprintf(count, sizeof(count), "%d", threads);
	model_path_make(c->path);
	if (pipe2(ends, O_CLOEXEC))
		return fail(err, "cannot start the calibration: %s", strerror(errno));
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	why = spawn(c, args, ends[1]);
	close(ends[1]);
	c->fd = ends[0];
	if (!why) {
		setpriority(PRIO_PROCESS, (id_t)c->pid, 10);    /* less urgent than the chat */
		return 0;
	}
	c->pid = 0;
	end(c);
	return fail(err, "cannot start the calibration: %s", strerror(why));
}

static void take_line(struct child *c)
{
	double share;
	int left;

	c->part[c->n] = '\0';
	c->n = 0;
	if (sscanf(c->part, "progress %lf seconds-left %d", &share, &left) == 2) {
		c->share = share >= 0 && share <= 1 ? share : c->share;
		c->left = left;
	} else if (*c->part) {
		memcpy(c->line, c->part, sizeof(c->line));
	}
}

static void take_bytes(struct child *c, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\n' || s[i] == '\r')
			take_line(c);
		else if (c->n < sizeof(c->part) - 1)
			c->part[c->n++] = s[i];
	}
}

/* It has closed its end. */
static enum child_state finish(struct child *c)
{
	int status;

	take_line(c);
	status = end(c);
	if (status && !*c->line)
		snprintf(c->line, sizeof(c->line), "it ended with status %d", status);
	return status ? CHILD_FAILED : CHILD_DONE;
}

enum child_state child_read(struct child *c)
{
	char buf[1024];
	ssize_t n;

	while ((n = TEMP_FAILURE_RETRY(read(c->fd, buf, sizeof(buf)))) > 0)
		take_bytes(c, buf, (size_t)n);
	return n < 0 && errno == EAGAIN ? CHILD_RUNS : finish(c);
}

void child_stop(struct child *c)
{
	if (c->pid)
		kill(c->pid, SIGTERM);
	end(c);
	free(c->path);
	c->path = NULL;
}
