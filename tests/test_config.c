/* test_config.c - the configuration language: every line, every mistake, where files are found.
 *
 * Files are written to a fresh folder, which is $XDG_CONFIG_HOME for the time of a test. */
#include "app/config/config.h"
#include "app/config/args.h"
#include "tests/folder_kit.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], err[ERR_MAX], warnings[20000];
static int warned;
static struct options opts;
static struct config cfg;

static void on_warning(void *ctx, const char *text)
{
	size_t n = strlen(warnings);

	(void)ctx;
	snprintf(warnings + n, sizeof(warnings) - n, "%s\n", text);
	warned++;
}

static void fresh(void)
{
	args_defaults(&opts);
	config_default(&cfg, &opts);
	cfg.warn = on_warning;
	warnings[0] = err[0] = '\0';
	warned = 0;
}

/* Writes folder/name; returns its path until the next call. */
static const char *file_n(const char *name, const char *text, size_t n)
{
	static char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	f = fopen(path, "w");
	if (!f || fwrite(text, 1, n, f) != n || fclose(f))
		fail_msg("cannot write %s", path);
	return path;
}

static const char *file(const char *name, const char *text)
{
	return file_n(name, text, strlen(text));
}

static int setup(void **state)
{
	char path[128];

	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/s3d-config-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	setenv("XDG_CONFIG_HOME", folder, 1);
	setenv("HOME", folder, 1);
	unsetenv("NO_COLOR");
	snprintf(path, sizeof(path), "%s/s3dchat", folder);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/s3dchat/themes", folder);
	mkdir(path, 0700);
	fresh();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return folder_remove(folder);
}

static void takes(const char *line)
{
	if (config_line(&cfg, line, "x:1", err))
		fail_msg("'%s': %s", line, err);
}

static void refuses(const char *line, const char *says)
{
	if (config_line(&cfg, line, "x:1", err) != -1 || strncmp(err, "x:1: ", 5) ||
	    !strstr(err, says))
		fail_msg("'%s' should be refused with '%s', not '%s'", line, says, err);
}

static unsigned key(const char *name)
{
	unsigned k = 0;

	assert_int_equal(keys_parse(name, &k), 0);
	return k;
}

static void test_lines(void **state)
{
	(void)state;
	takes("");
	takes("   # set nonsense");
	takes("#set nonsense");
	takes("set temp 0.25");
	assert_true(opts.temp == 0.25f);
	takes("\tset  top_k\t7  # as on the command line");
	assert_int_equal(opts.top_k, 7);
	takes("set verbose on");
	assert_true(opts.verbose);
	takes("set verbose off #");
	assert_false(opts.verbose);
	takes("set system-prompt \"You say \\\"hi\\\" # \\\\ and\\n\"");
	assert_string_equal(opts.system, "You say \"hi\" # \\ and\\n");
	takes("set system-prompt \"\"");
	assert_string_equal(opts.system, "");
	takes("set seed 9000000000");
	assert_true(opts.seed == 9000000000LL);
	takes("color user #ff8000 default bold underline");
	assert_int_equal(cfg.theme.look[ROLE_USER].fg.g, 0x80);
	assert_int_equal(cfg.theme.look[ROLE_USER].attr, GRID_BOLD | GRID_UNDERLINE);
	takes("bind Alt+; theme");
	assert_int_equal(keymap_find(&cfg.keys, key("Alt+;")), ACTION_THEME);
	takes("bind Alt+\" fold");
	assert_int_equal(keymap_find(&cfg.keys, key("Alt+\"")), ACTION_FOLD);
	takes("bind \"Alt+#\" fold");
	assert_int_equal(keymap_find(&cfg.keys, key("Alt+#")), ACTION_FOLD);
	takes("bind F1 none");
	assert_int_equal(keymap_find(&cfg.keys, key("F1")), -1);
}

static void test_mistakes(void **state)
{
	struct options before = opts;
	struct theme theme = cfg.theme;

	(void)state;
	refuses("sett temp 1", "'sett'");
	refuses("SET temp 1", "'SET'");
	refuses("set temp", "value");
	refuses("set system-prompt two words", "quotes");
	refuses("set nonsense 1", "'nonsense'");
	refuses("set temp hot", "temp: 'hot'");
	refuses("set temp 101", "from 0 to 100");
	refuses("set verbose maybe", "on or off");
	refuses("set backend tpu", "auto");
	refuses("set prompt x", "no setting");
	refuses("set help on", "no setting");
	refuses("set json on", "no setting");
	refuses("set csv on", "no setting");
	refuses("color", "role");
	refuses("color user red", "background");
	refuses("color nobody red default", "'nobody'");
	refuses("color user red default blink", "'blink'");
	refuses("color user rad default", "'rad'");
	refuses("bind F4", "action");
	refuses("bind F4 dance", "'dance'");
	refuses("bind F99 help", "'F99'");
	refuses("bind a help", "types text");
	refuses("source", "file name");
	refuses("source \"\"", "file name");
	refuses("source nowhere.conf", "nowhere.conf");
	refuses("source nowhere.theme", "nowhere");
	refuses("set model \"open", "not closed");
	refuses("set model \"a\"b", "blank");
	refuses("set a b c d e f g h i j k l m n o p q", "words");
	refuses("\033]0;title\007 x", "\\x1b]0;title\\x07");
	refuses("set temp \033[2J", "\\x1b[2J");
	assert_memory_equal(&before, &opts, sizeof(opts));
	assert_memory_equal(&theme, &cfg.theme, sizeof(theme));
}

static void test_long_lines(void **state)
{
	char line[5000] = "set model \"";

	(void)state;
	memset(line + 11, 'm', 900);
	strcpy(line + 911, "\"");
	takes(line);
	assert_int_equal(strlen(opts.model), 900);
	memset(line + 11, 'm', 4000);
	strcpy(line + 4011, "\"");
	refuses(line, "longer than 1000");
	/* The room for texts has an end, and the same text takes it once. */
	for (int i = 0; i < 2000; i++)
		takes("set model same");
	for (int i = 0; i < 8; i++) {
		memset(line + 11, 'a' + i, 900);
		strcpy(line + 911, "\"");
		if (config_line(&cfg, line, "x:1", err)) {
			assert_non_null(strstr(err, "no room"));
			return;
		}
	}
	fail_msg("more than 4096 bytes of texts");
}

static void test_file(void **state)
{
	const char *path = file("a.conf", "\xEF\xBB\xBF" "set temp 0.5\r\nnonsense\n\nset top-k 3\n"
		"set top-k x\nset min-p 0.25");

	(void)state;
	assert_int_equal(config_file(&cfg, path, err), 0);
	assert_true(opts.temp == 0.5f && opts.top_k == 3 && opts.min_p == 0.25f);
	assert_int_equal(warned, 2);
	assert_non_null(strstr(warnings, "/a.conf:2: 'nonsense'"));
	assert_non_null(strstr(warnings, "/a.conf:5: top-k: 'x'"));
	cfg.opt = NULL;                 /* checked, nothing changed */
	assert_int_equal(config_file(&cfg, file("a.conf", "set temp 0.1\nset temp x\n"), err), 0);
	assert_true(opts.temp == 0.5f);
	assert_int_equal(warned, 3);
	cfg.warn = NULL;
	assert_int_equal(config_file(&cfg, file("a.conf", "x\n"), err), 0);
}

static void test_unreadable_files(void **state)
{
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/\033none", folder);
	assert_int_equal(config_file(&cfg, path, err), -1);
	assert_non_null(strstr(err, "/\\x1bnone: No such file"));
	assert_int_equal(config_file(&cfg, folder, err), -1);
	assert_non_null(strstr(err, "not a regular file"));
	snprintf(path, sizeof(path), "%s/fifo", folder);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(config_file(&cfg, path, err), -1);
	assert_int_equal(config_user(&cfg, err), 0);    /* there is none */
	snprintf(path, sizeof(path), "%s/s3dchat/config", folder);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(config_user(&cfg, err), -1);
	assert_non_null(strstr(err, "s3dchat/config"));
}

static void test_hostile_files(void **state)
{
	static char noise[1 << 21];

	(void)state;
	srand(3);
	for (size_t i = 0; i < sizeof(noise); i++)
		noise[i] = (char)rand();
	assert_int_equal(config_file(&cfg, file_n("noise", noise, sizeof(noise)), err), -1);
	assert_int_equal(config_file(&cfg, file_n("noise", noise, 1 << 20), err), 0);
	assert_int_equal(warned, 21);   /* 20, and that the rest is left out */
	for (const char *p = warnings; *p; p++)
		if (((unsigned char)*p < 0x20 && *p != '\n') || *p == 0x7f)
			fail_msg("byte %d in a warning", *p);
	assert_int_equal(config_file(&cfg, file_n("zero", "set temp 0.5\0 1\n", 16), err), 0);
	assert_non_null(strstr(warnings, "zero byte"));
	assert_true(opts.temp == 0.8f);
}

static void test_source(void **state)
{
	(void)state;
	file("s3dchat/u.conf", "set top-k 5\n");
	file("s3dchat/themes/mine.theme", "color user 200 default\n");
	file("b.conf", "set temp 0.125\nwrong\n");
	assert_int_equal(config_file(&cfg, file("a.conf", "source b.conf\nsource u.conf\n"
		"source mine.theme\nsource ~/b.conf\nsource mono.theme\n"), err), 0);
	assert_true(opts.temp == 0.125f && opts.top_k == 5);
	assert_int_equal(warned, 2);
	assert_non_null(strstr(warnings, "/b.conf:2: 'wrong'"));
	assert_int_equal(cfg.theme.look[ROLE_USER].fg.kind, COLOUR_DEFAULT);  /* mono came last */
}

static void test_source_loops(void **state)
{
	char text[4000] = "";

	(void)state;
	file("b.conf", "source a.conf\nset top-k 9\n");
	file("a.conf", "source b.conf\nset temp 0.5\n");
	assert_int_equal(config_line(&cfg, "source ~/a.conf", "x:1", err), 0);
	assert_int_equal(warned, 1);
	assert_non_null(strstr(warnings, "b.conf:1: "));
	assert_non_null(strstr(warnings, "cannot source itself"));
	assert_true(opts.temp == 0.5f && opts.top_k == 9);
	assert_int_equal(config_file(&cfg, file("self", "source self\n"), err), 0);
	assert_int_equal(warned, 2);
	/* No loop, but too much: three levels of a hundred. */
	file("c2", "set top-k 1\n");
	for (int i = 0; i < 100; i++)
		strcat(text, "source c2\n");
	file("c1", text);
	for (char *p = text; (p = strstr(p, "c2")); )
		p[1] = '1';
	assert_int_equal(config_file(&cfg, file("c0", text), err), 0);
	assert_non_null(strstr(warnings, "more than 64 files"));
}

static void test_user_file(void **state)
{
	char *argv[] = { "s3dchat", "--top-k", "2", NULL };

	(void)state;
	file("s3dchat/config", "set temp 0.5\nset top-k 3\n");
	assert_int_equal(config_user(&cfg, err), 0);
	assert_int_equal(args_parse_over(&opts, 3, argv, err), 0);
	assert_true(opts.temp == 0.5f);
	assert_int_equal(opts.top_k, 2);        /* the command line wins */
}

static void test_themes(void **state)
{
	static const char *const built_in[] = { "default", "dusk", "high-contrast", "light", "mono",
		"solarized" };
	struct theme plain;
	char names[32][64];
	int n;

	(void)state;
	file("s3dchat/themes/Mine.theme", "color user 200 default\n");
	file("s3dchat/themes/mono.theme", "color user 201 default\n");
	file("s3dchat/themes/.hidden.theme", "");
	file("s3dchat/themes/bad\033.theme", "");
	file("s3dchat/themes/readme", "");
	n = config_themes(names, 32);
	assert_int_equal(n, 7);
	assert_string_equal(names[0], "Mine");
	for (int i = 0; i < 6; i++)
		assert_string_equal(names[i + 1], built_in[i]);
	assert_int_equal(config_themes(names, 2), 2);
	for (int i = 0; i < 6; i++)
		if (config_theme(&cfg, built_in[i], err) || warned)
			fail_msg("theme %s: %s%s", built_in[i], err, warnings);
	assert_int_equal(config_theme(&cfg, "mono", err), 0);   /* the user's own comes first */
	assert_int_equal(cfg.theme.look[ROLE_USER].fg.index, 201);
	theme_default(&plain);
	assert_int_equal(config_theme(&cfg, "default", err), 0);
	for (int i = 0; i < ROLE_N; i++)
		if (cfg.theme.look[i].attr != plain.look[i].attr ||
		    cfg.theme.look[i].fg.kind != plain.look[i].fg.kind ||
		    cfg.theme.look[i].fg.index != plain.look[i].fg.index)
			fail_msg("themes/default.theme and ui/cell/role.h differ in role %d", i);
}

static void test_theme_limits(void **state)
{
	static const char *const bad[] = { "", "../config", "a/b", ".hidden", "no-such", "a b",
		"\033[2J", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct theme before;

	(void)state;
	takes("color user 99 default");
	before = cfg.theme;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(config_theme(&cfg, bad[i], err), -1);
		assert_memory_equal(&before, &cfg.theme, sizeof(before));
		assert_null(strchr(err, '\033'));
	}
	assert_int_equal(config_theme(&cfg, "no-such", err), -1);
	assert_non_null(strstr(err, "there are default, dusk, high-contrast, "));
	/* A theme changes looks and nothing else. */
	file("s3dchat/themes/evil.theme", "bind Enter leave\nset temp 9\ncolor model 3 4\n");
	assert_int_equal(config_theme(&cfg, "evil", err), 0);
	assert_int_equal(warned, 2);
	assert_int_equal(keymap_find(&cfg.keys, key("Enter")), ACTION_SEND);
	assert_true(opts.temp == 0.8f);
	assert_int_equal(cfg.theme.look[ROLE_MODEL].bg.index, 4);
	assert_int_equal(cfg.theme.look[ROLE_USER].fg.index, 6);        /* not 99: replaced */
}

static void test_no_color(void **state)
{
	(void)state;
	setenv("NO_COLOR", "1", 1);
	fresh();
	assert_int_equal(cfg.theme.look[ROLE_USER].fg.kind, COLOUR_DEFAULT);
	assert_int_equal(cfg.theme.look[ROLE_USER].attr, GRID_BOLD);
	takes("color user red blue underline");
	assert_int_equal(cfg.theme.look[ROLE_USER].bg.kind, COLOUR_DEFAULT);
	assert_int_equal(cfg.theme.look[ROLE_USER].attr, GRID_UNDERLINE);
	assert_int_equal(config_theme(&cfg, "light", err), 0);
	for (int i = 0; i < ROLE_N; i++)
		assert_true(cfg.theme.look[i].fg.kind == COLOUR_DEFAULT &&
			    cfg.theme.look[i].bg.kind == COLOUR_DEFAULT);
	setenv("NO_COLOR", "", 1);      /* the convention: empty is as if unset */
	fresh();
	assert_int_equal(cfg.theme.look[ROLE_USER].fg.index, 6);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_lines), TEST(test_mistakes), TEST(test_long_lines), TEST(test_file),
		TEST(test_unreadable_files), TEST(test_hostile_files), TEST(test_source),
		TEST(test_source_loops), TEST(test_user_file), TEST(test_themes),
		TEST(test_theme_limits), TEST(test_no_color),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
