/* main.c - chooses what to do; the only place that ends the program.
 *
 * Exit status: 0 well, 1 error while running, 2 wrong usage, 128 + n stopped by signal n. */
#include "app/config/args.h"
#include "app/bench/bench.h"
#include "app/tools/calibrate.h"
#include "app/charset.h"
#include "ui/term/crash.h"
#include "app/tools/eval.h"
#include "app/config/file_name.h"
#include "app/line/line.h"
#include "app/config/model_path.h"
#include "app/run/run.h"
#include "app/run/run_json.h"
#include "base/text.h"
#include "app/tools/quantize.h"
#include "app/tools/tokenize.h"
#include "app/tui/tui_main.h"
#include "app/worker/worker.h"
#include "engine/strategy/strategies.h"
#include "engine/approx/grouping_file.h"
#include "engine/approx/pruning.h"
#include "engine/frame/template.h"
#include "ui/term/term.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_one_answer(const struct options *o)
{
	return !o->line && (*o->prompt || *o->file || !isatty(STDIN_FILENO));
}

/* Names whose lists the engine keeps are still mistakes of usage. */
static int check_names(const struct options *o, char err[ERR_MAX])
{
	struct pruning keep;

	if (!strategy_find(o->strategy, err))
		return -1;
	if (skip_parse(o->self_skip, MODEL_MAX_LAYERS, NULL, err) ||
	    advice_check(o->cqil, MODEL_MAX_LAYERS, err) ||
	    advice_check(o->cqil_draft, MODEL_MAX_LAYERS, err) ||
	    pruning_parse(o->dip, &keep, err) || pruning_parse(o->dip_draft, &keep, err) ||
	    pruning_aware(o->dip_ca, &keep, err))
		return -1;
	if (*o->chat_template && !template_find(o->chat_template))
		return fail(err, "--chat-template: '%s' is not one of: %s", o->chat_template,
			    TEMPLATE_NAMES);
	if (o->json && !is_one_answer(o))
		return fail(err, "--json is for one answer: it needs -p, -f or a pipe, not --line");
	return 0;
}

/* On a terminal that cannot do it the chat goes on line by line. */
static bool is_full_screen(const struct options *o)
{
	char why[ERR_MAX];

	if (is_one_answer(o) || o->line || o->single_turn || !isatty(STDOUT_FILENO))
		return false;
	if (!term_able(getenv("TERM"), why))
		return true;
	fputs("s3dchat: ", stderr);
	text_print(stderr, why);
	fputs(", so this is the line chat\n", stderr);
	return false;
}

static int chat(const struct options *o, const struct config *cfg, bool full, char err[ERR_MAX])
{
	if (is_one_answer(o))
		return run_once(o, err);
	return full ? tui_main(o, cfg, err) : line_main(o, err);
}

/* What was wrong in the configuration. */
static void tell_warnings(const struct config *cfg)
{
	for (const char *p = cfg->warnings; *p; p += strcspn(p, "\n") + 1) {
		char line[ERR_MAX];

		snprintf(line, sizeof(line), "%.*s", (int)strcspn(p, "\n"), p);
		text_tell("s3dchat", line);
	}
}

/* Commands that take a model behind -m get the default one when none is named. */
static int with_model(struct options *o, char err[ERR_MAX])
{
	char *path = model_path(o->model, err);
	int rc;

	if (!path)
		return -1;
	o->model = path;
	if (o->mode == MODE_EVAL)
		rc = eval_run(o, stdout, err);
	else if (o->mode == MODE_BENCH)
		rc = bench_run(o, stdout, err);
	else if (o->mode == MODE_CALIBRATE)
		rc = calibrate_main(o, stdout, err);
	else
		rc = tokenize_main(path, o->decode, o->special, err);
	free(path);
	return rc;
}

/* The user's configuration below what the command line says. */
static int configure(struct options *o, struct config *cfg, int argc, char **argv,
		     char err[ERR_MAX])
{
	args_defaults(o);
	config_default(cfg, o);
	if (config_user(cfg, err))
		return -1;
	return args_parse_over(o, argc, argv, err) ? 2 : 0;
}

static int run(int argc, char **argv, char err[ERR_MAX])
{
	static struct config cfg;
	struct file_names names = { .n = 0 };
	struct options o;
	bool full;
	int rc;

	if (args_parse(&o, argc, argv, err))
		return 2;
	if (o.help || o.version) {
		if (o.help)
			args_help(stdout, o.mode);
		else
			printf("s3dchat %s\n", S3D_VERSION);
		return text_flush(stdout, err);
	}
	rc = o.mode == MODE_CHAT ? configure(&o, &cfg, argc, argv, err) : 0;
	if (!rc && check_names(&o, err))
		rc = 2;
	full = !rc && o.mode == MODE_CHAT && is_full_screen(&o);
	if (!full)              /* which would cover them, and shows them itself */
		tell_warnings(&cfg);
	if (rc)
		return rc;
	rc = file_names_open(&names, &o, err);
	if (!rc)
		rc = o.mode == MODE_CHAT ? chat(&o, &cfg, full, err) :
		     o.mode == MODE_QUANTIZE ? quantize_main(&o, stdout, err) :
		     with_model(&o, err);
	file_names_free(&names);
	return rc;
}

/* Errors of usage go to those who asked for JSON too; run_once tells of all others itself. */
static bool wants_json(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--json"))
			return true;
	return false;
}

/* Of standard input, output and error those that are closed get a file in which they fail as
 * before: else the next file opened would have their number, and what is said would go into it. */
static void fill_standard(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

int main(int argc, char **argv)
{
	char err[ERR_MAX] = "";
	int rc;

	fill_standard();
	crash_open();
	charset_open();
	signal(SIGPIPE, SIG_IGN);
	rc = run(argc, argv, err);
	if (*err && (rc < 0 || rc == 2)) {
		fputs("s3dchat: ", stderr);
		text_print(stderr, err);
		fputs(rc == 2 ? "\nTry s3dchat --help.\n" : "\n", stderr);
		if (rc == 2 && wants_json(argc, argv))
			run_json_error(stdout, err);
	}
	rc = rc < 0 ? 1 : rc;
	if (worker_left()) {            /* what exit takes down may be in use by that thread */
		fflush(NULL);
		_exit(rc);
	}
	return rc;
}
