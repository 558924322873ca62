/* test_args.c - the command line: every kind of value, every kind of mistake.
 *
 * Expected values are written out by hand from the manual, not taken from the table. */
#include "app/config/args.h"
#include "app/config/setup.h"
#include "engine/decode/sampler.h"
#include "engine/strategy/strategies.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct options opts;
static char err[ERR_MAX];

/* Splits a command line at blanks and parses it. */
static int parse(const char *line)
{
	static char copy[512];
	static char *argv[64];
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	argv[0] = "s3dchat";
	for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
		argv[argc++] = p;
	argv[argc] = NULL;
	err[0] = '\0';
	return args_parse(&opts, argc, argv, err);
}

static void assert_refused(const char *line, const char *says)
{
	if (parse(line) != -1 || !strstr(err, says))
		fail_msg("'%s' should be refused with '%s', got '%s'", line, says, err);
}

static void test_defaults(void **state)
{
	struct sampler_opt law = SAMPLER_DEFAULTS;
	struct strategy_opt st = STRATEGY_DEFAULTS;

	(void)state;
	assert_int_equal(parse(""), 0);
	assert_int_equal(opts.mode, MODE_CHAT);
	assert_true(opts.temp == law.temp && opts.top_p == law.top_p && opts.min_p == law.min_p);
	assert_int_equal(opts.top_k, law.top_k);
	assert_true(opts.repeat_penalty == law.repeat_penalty);
	assert_true(opts.frequency_penalty == 0 && opts.presence_penalty == 0);
	assert_int_equal(opts.repeat_last_n, law.repeat_last_n);
	assert_int_equal(opts.draft_max, st.draft_max);
	assert_int_equal(opts.draft_min, st.draft_min);
	assert_int_equal(opts.seed, -1);
	assert_int_equal(opts.predict, -1);
	assert_int_equal(opts.ctx, 0);
	assert_string_equal(opts.strategy, "");     /* each command has its own */
	assert_string_equal(opts.model, "");
}

static void test_every_way_to_write_it(void **state)
{
	static const char *const same[] = { "--draft-max 3", "--draft 3", "--draft=3",
		"--spec-draft-n-max 3" };

	(void)state;
	assert_int_equal(parse("-m a.gguf --ctx-size=77 -n 5 --temp 1e-1 -s 9000000000 -st "
			       "-sys x"), 0);
	assert_string_equal(opts.model, "a.gguf");
	assert_int_equal(opts.ctx, 77);
	assert_int_equal(opts.predict, 5);
	assert_true(opts.temp == 0.1f);
	assert_true(opts.seed == 9000000000LL);
	assert_true(opts.single_turn);
	assert_string_equal(opts.system, "x");
	for (int i = 0; i < 4; i++) {
		assert_int_equal(parse(same[i]), 0);
		assert_int_equal(opts.draft_max, 3);
	}
	assert_int_equal(parse("-n 5 -n -1 --repeat-last-n -1"), 0);
	assert_int_equal(opts.predict, -1);
	assert_int_equal(opts.repeat_last_n, -1);
	assert_int_equal(parse("--prompt=--help -p=x"), -1);
	assert_int_equal(parse("--prompt=--help"), 0);
	assert_string_equal(opts.prompt, "--help");
	assert_false(opts.help);
	assert_int_equal(parse("-p -x"), 0);
	assert_string_equal(opts.prompt, "-x");
}

static void test_rollback_exact(void **state)
{
	const struct option_row *r = args_find("rollback");
	char value[16];

	(void)state;
	assert_int_equal(parse("--rollback exact"), 0);
	assert_true(isinf(opts.rollback) && opts.rollback < 0);
	assert_string_equal(args_show(&opts, r, value, sizeof(value)), "exact");
	assert_int_equal(parse("--rollback=0"), 0);
	assert_true(opts.rollback == 0);
	assert_refused("--rollback exac", "'exac' is not a number from 0 to 100, nor exact");
	assert_refused("--rollback X", "'X' is not");
	assert_refused("--rollback -0.5", "'-0.5' is not");
	assert_refused("--session=", "'' is no ID");
	assert_refused("--chat-template=", "'' is no NAME");
	assert_refused("--model=", "'' is no FILE");
	assert_int_equal(parse("--prompt= --system-prompt="), 0);
	assert_refused("--rollback=", "'' is not");
	assert_refused("--fallback=", "'' is not");
	assert_refused("--fallback exact", "'exact' is not a number from 0 to 1");
}

static void test_commands(void **state)
{
	(void)state;
	assert_int_equal(parse("eval -m a -c 512 --kl ref text.txt"), 0);
	assert_int_equal(opts.mode, MODE_EVAL);
	assert_string_equal(opts.arg[0], "text.txt");
	assert_string_equal(opts.kl, "ref");
	assert_int_equal(parse("eval -- --odd"), 0);
	assert_string_equal(opts.arg[0], "--odd");
	assert_int_equal(parse("tokenize --decode --special"), 0);
	assert_true(opts.mode == MODE_TOKENIZE && opts.decode && opts.special);
	assert_int_equal(parse("bench --csv --reps 2"), 0);
	assert_true(opts.mode == MODE_BENCH && opts.csv && opts.reps == 2);
	assert_int_equal(parse("eval --help"), 0);
	assert_refused("eval", "which text");
	assert_refused("eval a b", "'b'");
	assert_refused("tokenize a", "'a'");
	assert_refused("-m x bench", "must come first");
	assert_refused("--decode", "s3dchat tokenize");
	assert_refused("--kl x", "s3dchat eval");
	assert_refused("bench -p hi", "--prompt");
	assert_refused("tokenize --temp 1", "--temp");
}

static void test_mistakes(void **state)
{
	static const char *const numbers[] = { "x", "5x", "0x10", "1e3", "99999999999999999999",
		"-2", "5.5", NULL };
	static const char *const reals[] = { "nan", "inf", "0x1p3", "1,5", "-0.1", "1e999",
		"1.0.0", NULL };
	char line[128];

	(void)state;
	for (const char *const *p = numbers; *p; p++) {
		snprintf(line, sizeof(line), "-n %s", *p);
		assert_refused(line, "--predict");
		assert_non_null(strstr(err, *p));
	}
	for (const char *const *p = reals; *p; p++) {
		snprintf(line, sizeof(line), "--top-p %s", *p);
		assert_refused(line, "--top-p");
	}
	assert_refused("--top-k=", "--top-k");
	assert_refused("--top-p 1.01", "from 0 to 1");
	assert_refused("-s -2", "--seed");
	assert_refused("-n", "-n needs a value: N");
	assert_refused("-m --verbose", "before '--verbose'");
	assert_refused("--bogus", "unknown option '--bogus'");
	assert_refused("-bogus", "unknown option '-bogus'");
	assert_refused("--tem 1", "unknown option");
	assert_refused("--=1", "unknown option");
	assert_refused("--verbose=1", "takes no value");
	assert_refused("--kernels sse", "not one of");
	assert_refused("--kernels auto|float", "not one of");
	assert_refused("--kernels=", "not one of");
	assert_refused("hello", "unexpected argument 'hello'");
	assert_refused("--draft-max 8 --draft-min 9", "more than --draft-max");
}

static void test_settings_by_name(void **state)
{
	const struct option_row *r = args_find("top_p");
	char buf[32];

	(void)state;
	args_defaults(&opts);
	assert_non_null(r);
	assert_ptr_equal(r, args_find("top-p"));
	assert_null(args_find("top"));
	assert_null(args_find(""));
	assert_int_equal(args_set(&opts, r, "0.5", err), 0);
	assert_string_equal(args_show(&opts, r, buf, sizeof(buf)), "0.5");
	assert_int_equal(args_set(&opts, r, "7", err), -1);
	assert_string_equal(args_show(&opts, r, buf, sizeof(buf)), "0.5");
}

/* What args_show prints is taken again by args_set and gives the same value. */
static void test_show_and_set_agree(void **state)
{
	char a[64], b[64];

	(void)state;
	args_defaults(&opts);
	for (size_t i = 0; i < option_rows_n; i++) {
		const struct option_row *r = &option_rows[i];

		args_show(&opts, r, a, sizeof(a));
		assert_int_equal(args_set(&opts, r, a, err), 0);
		assert_string_equal(args_show(&opts, r, b, sizeof(b)), a);
	}
}

/* A flag takes no value on the command line; where it has one, it is on or off. */
static void test_flags(void **state)
{
	static const char *const bad[] = { "", "maybe", "true", "1", "On" };
	char argument[64];
	int flags = 0;

	(void)state;
	for (size_t i = 0; i < option_rows_n; i++) {
		const struct option_row *r = &option_rows[i];
		struct options o;
		const bool *now = (const void *)((const char *)&o + r->offset);

		if (r->kind != OPT_BOOL)
			continue;
		args_defaults(&o);
		assert_false(*now);
		for (size_t k = 0; k < sizeof(bad) / sizeof(bad[0]); k++) {
			assert_int_equal(args_set(&o, r, bad[k], err), -1);
			assert_false(*now);
		}
		assert_int_equal(args_set(&o, r, "on", err), 0);
		assert_true(*now);
		assert_int_equal(args_set(&o, r, bad[1], err), -1);
		assert_true(*now);
		assert_int_equal(args_set(&o, r, "off", err), 0);
		assert_false(*now);
		snprintf(argument, sizeof(argument), "--%s=maybe", r->name);
		if (r->where & IN_CHAT)
			assert_refused(argument, "takes no value");
		flags++;
	}
	assert_true(flags > 10);
}

/* Two rows with one name for one command would hide an option without a word. */
static void test_names_are_unique(void **state)
{
	(void)state;
	for (size_t i = 0; i < option_rows_n; i++) {
		const struct option_row *r = &option_rows[i];
		char copy[128];

		for (size_t j = 0; j < i; j++)
			assert_true(strcmp(r->name, option_rows[j].name) != 0 ||
				    !(r->where & option_rows[j].where & IN_ALL));
		snprintf(copy, sizeof(copy), "%s", r->also);
		for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
			assert_ptr_equal(args_find(p), r);
		for (size_t j = 0; j < i && *r->brief; j++)
			assert_string_not_equal(r->brief, option_rows[j].brief);
	}
}

static void test_help(void **state)
{
	(void)state;
	for (int m = 0; m < MODE_N; m++) {
		char *text = NULL;
		size_t n = 0;
		FILE *f = open_memstream(&text, &n);

		assert_non_null(f);
		args_help(f, m);
		fclose(f);
		for (char *p = strtok(text, "\n"); p; p = strtok(NULL, "\n"))
			if (strlen(p) > 80)
				fail_msg("more than 80 columns: %s", p);
		free(text);
	}
}

/* What belongs to a GPU, and what the engine is told of it. */
static void test_gpu(void **state)
{
	static const char *const same[] = { "-ngl 20", "--gpu-layers=20", "--n-gpu-layers 20" };
	struct engine_opt e;

	(void)state;
	assert_int_equal(parse(""), 0);
	e = setup_engine(&opts);
	assert_false(e.limit_layers || e.host != HOST_BUS);
	assert_int_equal(parse("--host-layers cpu -ngl 2"), 0);
	assert_int_equal(setup_engine(&opts).host, HOST_CPU);
	assert_int_equal(parse("--host-layers bus"), 0);
	assert_int_equal(setup_engine(&opts).host, HOST_BUS);
	assert_int_equal(parse("--host-layers auto"), 0);
	assert_int_equal(setup_engine(&opts).host, HOST_AUTO);
	assert_int_equal(parse("--host-layers both"), -1);
	assert_int_equal(e.be.budget, 0);
	assert_string_equal(e.backend, "auto");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(parse(same[i]), 0);
		e = setup_engine(&opts);
		assert_true(e.limit_layers && e.gpu_layers == 20);
	}
	assert_int_equal(parse("bench -ngl 0 --vram 3900 --backend cuda -c 99 -t 3 -ctk q8_0"), 0);
	e = setup_engine(&opts);
	assert_true(e.limit_layers && !e.gpu_layers);
	assert_int_equal(e.be.budget, (size_t)3900 << 20);
	assert_string_equal(e.backend, "cuda");
	assert_int_equal(e.n_ctx, 99);
	assert_int_equal(e.be.n_threads, 3);
	assert_ptr_equal(e.be.cache_k, quant_find("q8_0"));
	assert_ptr_equal(e.be.cache_v, quant_find("f16"));
	assert_int_equal(parse("--kernels avx2"), 0);
	assert_string_equal(setup_engine(&opts).backend, "cpu");
	assert_int_equal(parse("--kernels avx2 --backend cuda"), 0);
	assert_string_equal(setup_engine(&opts).backend, "cuda");
	assert_refused("--vram -1", "--vram");
	assert_refused("--gpu-layers all", "--gpu-layers");
	assert_refused("--backend gpu", "auto|cpu|cuda");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults), cmocka_unit_test(test_every_way_to_write_it),
		cmocka_unit_test(test_rollback_exact),
		cmocka_unit_test(test_commands), cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_settings_by_name), cmocka_unit_test(test_show_and_set_agree),
		cmocka_unit_test(test_names_are_unique), cmocka_unit_test(test_help),
		cmocka_unit_test(test_gpu), cmocka_unit_test(test_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
