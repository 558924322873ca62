/* args.c - see args.h.  The table in options.h is the only list of options.
 *
 * Invariant: a number is taken only if all of its text was read and it lies in its range. */
#include "app/config/args.h"
#include "engine/quantize/recipe.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROW(kind_, field_, name_, brief_, also_, value_, preset_, low_, high_, where_, \
	    group_, help_) \
	{ .kind = OPT_##kind_, .offset = offsetof(struct options, field_), .name = (name_), \
	  .brief = (brief_), .also = (also_), .value = (value_), .preset = (preset_), \
	  .low = (double)(low_), .high = (double)(high_), .where = (where_), \
	  .group = GROUP_##group_, .help = (help_) },
const struct option_row option_rows[] = { OPTIONS(ROW) };
const size_t option_rows_n = sizeof(option_rows) / sizeof(option_rows[0]);
#undef ROW

static const char *const mode_names[MODE_N] = {
	[MODE_CHAT] = "", [MODE_EVAL] = "eval", [MODE_TOKENIZE] = "tokenize",
	[MODE_BENCH] = "bench", [MODE_CALIBRATE] = "calibrate", [MODE_QUANTIZE] = "quantize",
};

/* What a command takes that is no option. */
static const struct {
	int n;
	const char *what, *usage;
} mode_args[MODE_N] = {
	[MODE_EVAL] = { 1, "text", "TEXT-FILE" },
	[MODE_QUANTIZE] = { ARGS_MOST, "files and type", "IN.gguf OUT.gguf TYPE" },
};

const char *args_mode_name(enum mode m)
{
	return mode_names[m];
}

static void *field(struct options *o, const struct option_row *r)
{
	return (char *)o + r->offset;
}

/* The word that a number may be instead; "": none. */
static const char *word_of(const struct option_row *r)
{
	const char *bar = r->kind == OPT_FLOAT ? strchr(r->value, '|') : NULL;

	return bar ? bar + 1 : "";
}

static int bad_number(const struct option_row *r, const char *value, char err[ERR_MAX])
{
	const char *what = r->kind == OPT_FLOAT ? "number" : "whole number";

	if (r->high > 1e15)
		return fail(err, "--%s: '%s' is not a %s of at least %.0f", r->name, value, what,
			    r->low);
	return fail(err, "--%s: '%s' is not a %s from %g to %.12g%s%s", r->name, value, what,
		    r->low, r->high, *word_of(r) ? ", nor " : "", word_of(r));
}

static bool parse_long(const char *s, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(s, &end, 10);
	return !isspace((unsigned char)*s) && !*end && end != s && !errno;
}

static bool parse_double(const char *s, double *out)
{
	char *end;

	if (strspn(s, "0123456789+-.eE") != strlen(s))
		return false;
	*out = strtod(s, &end);
	return *s && !*end && isfinite(*out);
}

static bool is_word_of(const char *word, const char *list, const char *separator)
{
	size_t n;

	for (const char *p = list; *p; p += n + (p[n] != '\0')) {
		n = strcspn(p, separator);
		if (n && strlen(word) == n && !strncmp(p, word, n))
			return true;
	}
	return false;
}

static int set_int(struct options *o, const struct option_row *r, const char *value,
		   char err[ERR_MAX])
{
	int64_t n;

	if (!parse_long(value, &n) || (double)n < r->low || (double)n > r->high)
		return bad_number(r, value, err);
	if (r->kind == OPT_LONG)
		*(int64_t *)field(o, r) = n;
	else
		*(int *)field(o, r) = (int)n;
	return 0;
}

bool args_is_of_chat(const struct option_row *r)
{
	return (r->where & (LIVE | OF_MODEL)) == LIVE;
}

int args_set(struct options *o, const struct option_row *r, const char *value, char err[ERR_MAX])
{
	double x;

	switch (r->kind) {
	case OPT_BOOL:
		if (strcmp(value, "on") && strcmp(value, "off"))
			return fail(err, "--%s: '%s' is not on or off", r->name, value);
		*(bool *)field(o, r) = !strcmp(value, "on");
		return 0;
	case OPT_INT:
	case OPT_LONG:
		return set_int(o, r, value, err);
	case OPT_FLOAT:
		if (*value && !strcmp(value, word_of(r))) {
			*(float *)field(o, r) = -INFINITY;
			return 0;
		}
		if (!parse_double(value, &x) || x < r->low || x > r->high)
			return bad_number(r, value, err);
		*(float *)field(o, r) = (float)x;
		return 0;
	case OPT_CHOICE:
		if (!is_word_of(value, r->value, "|"))
			return fail(err, "--%s: '%s' is not one of %s", r->name, value, r->value);
		/* fall through */
	case OPT_TEXT:
	case OPT_FILE:
		*(const char **)field(o, r) = value;
		return 0;
	}
	return fail(err, "--%s: unknown kind of option", r->name);
}

const char *args_show(const struct options *o, const struct option_row *r, char *buf, size_t cap)
{
	const void *p = (const char *)o + r->offset;

	switch (r->kind) {
	case OPT_BOOL:
		snprintf(buf, cap, "%s", *(const bool *)p ? "on" : "off");
		break;
	case OPT_INT:
		snprintf(buf, cap, "%d", *(const int *)p);
		break;
	case OPT_LONG:
		snprintf(buf, cap, "%lld", (long long)*(const int64_t *)p);
		break;
	case OPT_FLOAT:
		if (isinf(*(const float *)p))
			snprintf(buf, cap, "%s", word_of(r));
		else
			snprintf(buf, cap, "%g", (double)*(const float *)p);
		break;
	case OPT_TEXT:
	case OPT_FILE:
	case OPT_CHOICE:
		snprintf(buf, cap, "%s", **(const char *const *)p ? *(const char *const *)p :
			 "default");
		break;
	}
	return buf;
}

void args_defaults(struct options *o)
{
	char err[ERR_MAX];

	memset(o, 0, sizeof(*o));       /* every flag is off */
	for (size_t i = 0; i < option_rows_n; i++)
		if (option_rows[i].kind != OPT_BOOL)
			args_set(o, &option_rows[i], option_rows[i].preset, err);
}

static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(strchr("-_", *a) && strchr("-_", *b)))
			return false;
	return *a == *b;
}

const struct option_row *args_find(const char *name)
{
	for (size_t i = 0; i < option_rows_n; i++)
		if (same_name(option_rows[i].name, name) ||
		    is_word_of(name, option_rows[i].also, " "))
			return &option_rows[i];
	return NULL;
}

const struct option_row *args_setting(const char *key, bool change, char err[ERR_MAX])
{
	static const char *const command[][2] = {
		{ "model", "/model FILE" }, { "system-prompt", "/system TEXT" },
		{ "strategy", "/strategy NAME" }, { "theme", "/theme NAME" },
		{ "resume", "/resume" }, { "session", "/resume ID" }, { "file", "/read FILE" },
		{ "help", "/help" },
	};
	const struct option_row *r = args_find(key);

	if (!r || !(r->where & IN_CHAT)) {
		fail(err, "there is no setting '%s'; /set alone lists them", key);
		return NULL;
	}
	for (size_t i = 0; i < sizeof(command) / sizeof(command[0]); i++)
		if (!strcmp(command[i][0], r->name)) {
			fail(err, "%s is not for /set; see %s", r->name, command[i][1]);
			return NULL;
		}
	if (change && !(r->where & LIVE)) {
		fail(err, "%s can only be set at the start: s3dchat --%s%s%s", r->name, r->name,
		     *r->value ? " " : "", r->value);
		return NULL;
	}
	return r;
}

/* What a command takes by that name; else what others do. */
static const struct option_row *find_for(enum mode m, const char *name)
{
	const struct option_row *first = args_find(name);

	for (size_t i = 0; first && i < option_rows_n; i++)
		if (option_rows[i].where & 1u << m && same_name(option_rows[i].name, first->name))
			return &option_rows[i];
	return first;
}

/* The row that an argument names; *value is set to what follows '=' or to NULL. */
static const struct option_row *find_argument(enum mode m, const char *arg, const char **value)
{
	char name[64];
	size_t n;

	*value = NULL;
	if (arg[0] != '-' || !arg[1])
		return NULL;
	if (arg[1] != '-') {
		for (size_t i = 0; i < option_rows_n; i++)
			if (!strcmp(option_rows[i].brief, arg + 1))
				return &option_rows[i];
		return NULL;
	}
	n = strcspn(arg + 2, "=");
	if (!n || n >= sizeof(name))
		return NULL;
	memcpy(name, arg + 2, n);
	name[n] = '\0';
	if (arg[2 + n])
		*value = arg + 3 + n;
	return find_for(m, name);
}

static int wrong_place(const struct option_row *r, enum mode m, char err[ERR_MAX])
{
	for (int i = 0; i < MODE_N; i++)
		if (r->where & 1u << i && i != MODE_CHAT && !(r->where & IN_CHAT))
			return fail(err, "--%s belongs to 's3dchat %s'", r->name, mode_names[i]);
	return fail(err, "--%s has no meaning for 's3dchat %s'", r->name, mode_names[m]);
}

/* An empty text is one for a prompt only, of the system too; elsewhere a variable was empty. */
static int set_value(struct options *o, const struct option_row *r, const char *value,
		     char err[ERR_MAX])
{
	bool text = r->offset == offsetof(struct options, prompt) ||
		    r->offset == offsetof(struct options, system);

	if (!*value && !text && (r->kind == OPT_TEXT || r->kind == OPT_FILE))
		return fail(err, "--%s: '' is no %s", r->name, r->value);
	return args_set(o, r, value, err);
}

/* argv[i] is an option; returns how many arguments it took, -1 on error. */
static int take_option(struct options *o, char *const *argv, int i, char err[ERR_MAX])
{
	const char *value, *ignored;
	const struct option_row *r = find_argument(o->mode, argv[i], &value);

	if (!r)
		return fail(err, "unknown option '%s'", argv[i]);
	if (!(r->where & 1u << o->mode))
		return wrong_place(r, o->mode, err);
	o->given[r - option_rows] = true;
	if (r->kind == OPT_BOOL)
		return value ? fail(err, "--%s takes no value", r->name) :
			       (args_set(o, r, "on", err), 1);
	if (value)
		return set_value(o, r, value, err) ? -1 : 1;
	if (!argv[i + 1])
		return fail(err, "%s needs a value: %s", argv[i], r->value);
	if (find_argument(o->mode, argv[i + 1], &ignored))
		return fail(err, "%s needs a value before '%s' (a value that looks like an option: "
			    "--%s=VALUE)", argv[i], argv[i + 1], r->name);
	return set_value(o, r, argv[i + 1], err) ? -1 : 2;
}

static int take_text(struct options *o, const char *arg, char err[ERR_MAX])
{
	for (int m = MODE_CHAT + 1; m < MODE_N && !o->n_args; m++)
		if (!strcmp(arg, mode_names[m]))
			return fail(err, "'%s' must come first: s3dchat %s ...", arg, arg);
	if (o->mode == MODE_CHAT)
		return fail(err, "unexpected argument '%s' (a prompt goes behind -p, a model "
			    "behind -m)", arg);
	if (o->n_args == mode_args[o->mode].n)
		return fail(err, "unexpected argument '%s'", arg);
	o->arg[o->n_args++] = arg;
	return 0;
}

int args_check(const struct options *o, char err[ERR_MAX])
{
	if (o->draft_min > o->draft_max)
		return fail(err, "--draft-min %d is more than --draft-max %d", o->draft_min,
			    o->draft_max);
	return 0;
}

int args_parse(struct options *o, int argc, char *const *argv, char err[ERR_MAX])
{
	args_defaults(o);
	return args_parse_over(o, argc, argv, err);
}

int args_parse_over(struct options *o, int argc, char *const *argv, char err[ERR_MAX])
{
	bool only_text = false;
	int i = 1, n;

	for (int m = MODE_CHAT + 1; m < MODE_N && argc > 1; m++)
		if (!strcmp(argv[1], mode_names[m])) {
			o->mode = m;
			i = 2;
		}
	while (i < argc) {
		if (!only_text && !strcmp(argv[i], "--")) {
			only_text = true;
			i++;
		} else if (!only_text && argv[i][0] == '-' && argv[i][1]) {
			n = take_option(o, argv, i, err);
			if (n < 0)
				return -1;
			i += n;
		} else if (take_text(o, argv[i++], err)) {
			return -1;
		}
	}
	if (o->n_args < mode_args[o->mode].n && !o->help && !o->version)
		return fail(err, "which %s? s3dchat %s [options] %s", mode_args[o->mode].what,
			    mode_names[o->mode], mode_args[o->mode].usage);
	return args_check(o, err);
}

/* Help text in a column of its own, wrapped at 80. */
static void put_wrapped(FILE *f, const char *text, int column)
{
	int at = column;
	bool first = true;

	for (const char *p = text; *p; first = false) {
		int n = (int)strcspn(p, " ");

		if (!first && at + 1 + n > 80) {
			fprintf(f, "\n%*s", column, "");
			at = column;
		} else if (!first) {
			fputc(' ', f);
			at++;
		}
		fprintf(f, "%.*s", n, p);
		at += n;
		p += n + (p[n] == ' ');
	}
	fputc('\n', f);
}

static void help_row(FILE *f, const struct option_row *r)
{
	enum { COLUMN = 30 };
	char left[96], text[256];
	int n = snprintf(left, sizeof(left), "  %s%s%s--%s%s%s", *r->brief ? "-" : "",
			 r->brief, *r->brief ? ", " : "    ", r->name, *r->value ? " " : "",
			 r->value);

	fputs(left, f);
	if (n >= COLUMN - 1)
		fprintf(f, "\n%*s", COLUMN, "");
	else
		fprintf(f, "%*s", COLUMN - n, "");
	snprintf(text, sizeof(text), *r->preset ? "%s [%s]" : "%s", r->help, r->preset);
	put_wrapped(f, text, COLUMN);
}

void args_help(FILE *f, enum mode m)
{
	static const char *const groups[GROUP_N] = OPTION_GROUPS;
	static const char *const usage[MODE_N] = {
		"Usage: s3dchat [options]               chat\n"
		"       s3dchat [options] -p TEXT       answer once (also -f FILE, or a pipe)\n"
		"       s3dchat eval [options] TEXT     perplexity of a text file\n"
		"       s3dchat tokenize [options]      text on standard input to token ids\n"
		"       s3dchat bench [options]         measure this machine\n"
		"       s3dchat calibrate [options]     let a model draft for itself\n"
		"       s3dchat quantize IN OUT TYPE    a smaller copy of a model file\n"
		"s3dchat COMMAND --help lists what that command takes.\n",
		"Usage: s3dchat eval [options] TEXT     perplexity of a text file\n",
		"Usage: s3dchat tokenize [options]      text on standard input to token ids\n",
		"Usage: s3dchat bench [options]         measure this machine\n",
		"Usage: s3dchat calibrate [options]     let a model draft for itself\n",
		"Usage: s3dchat quantize [options] IN.gguf OUT.gguf TYPE\n"
		"A smaller copy of a model file.  TYPE is one of\n "
		RECIPE_NAMES "\n",
	};

	fputs(usage[m], f);
	for (int g = 0; g < GROUP_N; g++) {
		bool any = false;

		for (size_t i = 0; i < option_rows_n; i++) {
			const struct option_row *r = &option_rows[i];

			if ((int)r->group != g || !(r->where & 1u << m))
				continue;
			if (!any)
				fprintf(f, "\n%s:\n", groups[g]);
			any = true;
			help_row(f, r);
		}
	}
	if (m == MODE_CHAT)
		fputs("\nIn a chat, /help lists the commands.  More: man s3dchat\n", f);
}
