/* talk_kit.h - a chat with a tiny random model in a data folder of its own, for tests of what stays
 * on disk.  Included once by each such test. */
#ifndef S3D_TALK_KIT_H
#define S3D_TALK_KIT_H
#include "app/config/args.h"
#include "app/talk/commands.h"
#include "base/text.h"
#include "tests/mk.h"
#include "tests/folder_kit.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static char home[] = "/tmp/s3dchat-saved.XXXXXX", model[64], chats[96], err[ERR_MAX];
static char last_error[ERR_MAX], last_note[ERR_MAX];
static struct options opts;
static struct talk t;
static int n_strategies;        /* MSG_STRATEGY that came */

static inline int write_model(void **state)
{
	struct mk_spec spec = MK_TINY;

	(void)state;
	if (!mkdtemp(home))
		return -1;
	snprintf(model, sizeof(model), "%s/model.gguf", home);
	snprintf(chats, sizeof(chats), "%s/s3dchat/chats", home);
	setenv("XDG_DATA_HOME", home, 1);
	setenv("XDG_RUNTIME_DIR", home, 1);
	return mk_write(model, &spec, err);
}

static inline int remove_all(void **state)
{
	(void)state;
	return folder_remove(home);
}

static inline int set_up(void **state)
{
	(void)state;
	args_defaults(&opts);
	opts.model = model;
	opts.predict = 6;
	opts.threads = 1;
	opts.seed = 5;
	*last_error = *last_note = '\0';
	return folder_remove(chats);
}

static inline void drain(void)
{
	struct msg m;

	for (;;) {
		if (!msgq_get(&t.worker->out, &m)) {
			if (!talk_waits(&t))
				return;
			msgq_wait(&t.worker->out, &m);
		}
		talk_take(&t, &m);
		n_strategies += m.kind == MSG_STRATEGY;
		if (m.kind == MSG_ERROR)
			snprintf(last_error, sizeof(last_error), "%s", m.text);
		if (m.kind == MSG_NOTE)
			snprintf(last_note, sizeof(last_note), "%s", m.text);
		msg_free(&m);
	}
}

static inline void begin(void)
{
	if (talk_open(&t, &opts, err))
		fail_msg("%s", err);
	drain();
	assert_true(t.ready);
}

static inline void ask(const char *text)
{
	assert_int_equal(talk_ask(&t, text, strlen(text), err), 0);
	drain();
}

/* What a command printed; NULL when it was refused (err). */
static inline char *command(const char *line)
{
	struct command c;
	const char *text;
	char *out = NULL;
	size_t n;
	bool leave = false;
	FILE *f;
	int rc;

	if (command_parse(line, strlen(line), &c, &text, err) != 1)
		return NULL;
	f = open_memstream(&out, &n);
	rc = command_run(&t, &c, f, &leave, err);
	fclose(f);
	drain();
	if (!rc)
		return out;
	free(out);
	return NULL;
}

static inline void run(const char *line)
{
	char *out = command(line);

	if (!out)
		fail_msg("%s: %s", line, err);
	free(out);
}

static inline void assert_prints(const char *line, const char *says)
{
	char *out = command(line);

	if (!out || !strstr(out, says))
		fail_msg("%s should say '%s', said '%s'", line, says, out ? out : err);
	free(out);
}

static inline void assert_refused(const char *line, const char *says)
{
	char *out = command(line);

	if (out || !strstr(err, says))
		fail_msg("%s should be refused with '%s', got '%s'", line, says, out ? out : err);
	free(out);
}

static inline int n_files(void)
{
	DIR *d = opendir(chats);
	int n = 0;

	for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
		n += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

/* In the folder of chats. */
static inline void write_file(const char *name, const char *bytes, size_t n)
{
	char path[192];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", chats, name);
	f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	fclose(f);
}

static inline bool is_there(const char *name)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", chats, name);
	return !access(path, F_OK);
}

/* The file of the running chat holds what is said here, and nothing else. */
static inline void assert_saved(void)
{
	char warning[ERR_MAX];
	struct chat *c;

	assert_non_null(t.place);
	c = chat_load(NULL, t.place, warning, err);
	assert_non_null(c);
	assert_int_equal(c->n, t.chat->n);
	for (int i = 0; i < c->n; i++) {
		assert_int_equal(c->turn[i].len, t.chat->turn[i].len);
		assert_memory_equal(c->turn[i].text, t.chat->turn[i].text, c->turn[i].len);
		assert_int_equal(c->turn[i].partial, t.chat->turn[i].partial);
		if (i % 2)
			assert_int_equal(c->turn[i].seed, t.chat->turn[i].seed);
	}
	chat_close(c);
}
#endif
