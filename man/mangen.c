/* mangen.c - fills the tables of the manual: stdin to stdout, at build time.
 *
 * A line "@OPTIONS chat" (or eval, tokenize, bench, calibrate) becomes the options of that command
 * by group, "@COMMANDS" the table of commands, "@KEYS" that of keys, "@SETTINGS" the names that
 * /set takes, "@VERSION" the version; "@PART FILE" that file, whose @ lines count too.
 * For s3dchat.5: "@CONFIG" the names that set lines take, "@ROLES", "@ACTIONS", "@KEYNAMES".
 * Invariant: nothing about a row of a table is said in the manual's source. */
#include "app/config/args.h"
#include "app/talk/commands.h"
#include "app/config/config_parts.h"
#include "ui/term/keys.h"
#include "ui/cell/role.h"
#include "ui/term/keys.h"

#include <stdlib.h>
#include <string.h>

/* Text of the table as mdoc: no escapes, no macro at the start of a line. */
static void put(const char *s)
{
	for (; *s; s++)
		if (*s == '\\')
			fputs("\\e", stdout);
		else if (*s == '-')
			fputs("\\-", stdout);
		else if (*s == '\'')
			fputs("\\(aq", stdout);
		else
			putchar(*s);
}

static void put_option(const struct option_row *r)
{
	const char *arg = *r->value ? " Ar " : "";

	printf(".It");
	if (*r->brief)
		printf(" Fl %s%s%s ,", r->brief, arg, r->value);
	printf(" Fl \\-%s%s%s\n", r->name, arg, r->value);
	put(r->help);
	printf(".\n");
	if (*r->preset)
		printf("The default is %s.\n", r->preset);
	for (const char *p = r->also; *p; p += strcspn(p, " "), p += *p == ' ')
		printf("Also\n.Fl \\-%.*s .\n", (int)strcspn(p, " "), p);
}

static void options(enum mode m)
{
	static const char *const groups[GROUP_N] = OPTION_GROUPS;

	for (int g = 0; g < GROUP_N; g++) {
		bool any = false;

		for (size_t i = 0; i < option_rows_n; i++) {
			const struct option_row *r = &option_rows[i];

			/* What the chat has is said once, there. */
			if ((int)r->group != g || !(r->where & 1u << m) ||
			    (m != MODE_CHAT && r->where & IN_CHAT))
				continue;
			if (!any && m == MODE_CHAT)
				printf(".Ss %s\n", groups[g]);
			if (!any)
				puts(".Bl -tag -width Ds");
			any = true;
			put_option(r);
		}
		if (any)
			puts(".El");
	}
}

static void shared(enum mode m)
{
	bool any = false;

	for (size_t i = 0; i < option_rows_n; i++) {
		const struct option_row *r = &option_rows[i];

		if (!(r->where & 1u << m) || !(r->where & IN_CHAT) || r->group == GROUP_GENERAL)
			continue;
		printf("%s.Fl \\-%s\n", any ? "" : "It also takes\n", r->name);
		any = true;
	}
	if (any)
		puts("as described above.");
}

static void commands(void)
{
	puts(".Bl -tag -width Ds");
	for (int i = 0; i < COMMAND_N; i++) {
		const struct command_row *r = &command_rows[i];

		printf(".It Ic /%s%s%s\n", r->name, *r->arg ? " Ar " : "", r->arg);
		put(r->help);
		printf(".\n");
		for (const char *p = r->also; *p; p += strcspn(p, " "), p += *p == ' ')
			printf("Also\n.Ic /%.*s .\n", (int)strcspn(p, " "), p);
	}
	puts(".El");
}

static void keys(void)
{
	puts(".Bl -tag -width Ds");
	for (int i = 0; i < ACTION_N; i++) {
		const struct action_row *r = &action_rows[i];

		printf(".It %s\n", r->keys);
		put(r->help);
		printf("\n(%s).\n", r->name);
	}
	puts(".El");
}

static void settings(void)
{
	const char *before = "";

	for (size_t i = 0; i < option_rows_n; i++)
		if (option_rows[i].where & LIVE) {
			printf("%s.Cm %s", before, option_rows[i].name);
			before = " ,\n";
		}
	puts(" .");
}

static void config_settings(void)
{
	puts(".Bl -column -compact \"frequency-penaltyXX\" \"value\"");
	for (size_t i = 0; i < option_rows_n; i++) {
		const struct option_row *r = &option_rows[i];

		if (config_settable(r)) {
			printf(".It Cm %s Ta Ar ", r->name);
			put(*r->value ? r->value : "on|off");
			putchar('\n');
		}
	}
	puts(".El");
}

static void roles(void)
{
	static const struct { const char *key, *look, *help; } row[ROLE_N] = {
#define ROLE_ROW(id, key_, look_, help_) [ROLE_##id] = { key_, look_, help_ },
		ROLES(ROLE_ROW)
#undef ROLE_ROW
	};

	puts(".Bl -tag -width Ds");
	for (int i = 0; i < ROLE_N; i++) {
		printf(".It Cm %s\n", row[i].key);
		put(row[i].help);
		printf(".\nThe default is\n.Ql %s .\n", row[i].look);
	}
	puts(".El");
}

static void actions(void)
{
	puts(".Bl -tag -width Ds");
	for (int i = 0; i < ACTION_N; i++) {
		const char *p = action_rows[i].keys;

		printf(".It Cm %s\n", action_rows[i].name);
		put(action_rows[i].help);
		puts(".");
		for (const char *before = "By default on"; *p; before = "and on") {
			size_t n = strcspn(p, " ");
			char key[32];

			snprintf(key, sizeof(key), "%.*s", (int)n, p);
			p += n + strspn(p + n, " ");
			printf("%s\n.Cm ", before);
			put(key);
			puts(*p ? "\\&" : "\\& .");       /* "Alt+." ends no sentence */
		}
	}
	puts(".El");
}

static void key_names(void)
{
	puts("Names are");
	for (int i = 0; keys_named(i); i++)
		printf(".Cm %s ,\n", keys_named(i));
	printf("and\n.Cm F1\nto\n.Cm F24 .\n");
}

static int failed;

static void copy(FILE *);

static void part(const char *s)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%.*s", (int)strcspn(s, "\n"), s);
	f = fopen(path, "r");
	if (f)
		copy(f);
	else
		perror(path);
	failed |= !f || fclose(f);
}

static void line(const char *s)
{
	if (*s != '@') {
		fputs(s, stdout);
		return;
	}
	for (int m = 0; m < MODE_N; m++) {
		const char *name = m == MODE_CHAT ? "chat" : args_mode_name(m);

		if (!strncmp(s, "@OPTIONS ", 9) && !strncmp(s + 9, name, strlen(name))) {
			options(m);
			if (m != MODE_CHAT)
				shared(m);
		}
	}
	if (!strcmp(s, "@COMMANDS\n"))
		commands();
	else if (!strcmp(s, "@KEYS\n"))
		keys();
	else if (!strcmp(s, "@SETTINGS\n"))
		settings();
	else if (!strcmp(s, "@CONFIG\n"))
		config_settings();
	else if (!strcmp(s, "@ROLES\n"))
		roles();
	else if (!strcmp(s, "@ACTIONS\n"))
		actions();
	else if (!strcmp(s, "@KEYNAMES\n"))
		key_names();
	else if (!strncmp(s, "@PART ", 6))
		part(s + 6);
	else if (!strcmp(s, "@VERSION\n"))
		puts(".Os s3dchat " S3D_VERSION);
}

static void copy(FILE *f)
{
	char buf[1024];

	while (fgets(buf, sizeof(buf), f))
		line(buf);
	failed |= ferror(f);
}

int main(void)
{
	copy(stdin);
	return failed || fflush(stdout) ? 1 : 0;
}
