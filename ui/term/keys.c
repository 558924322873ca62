/* keys.c - see keys.h.
 *
 * A key has one form only: Ctrl with a letter is upper case, Shift stays where it makes a
 * difference, and what a terminal cannot tell apart (Ctrl+M, Enter) is one key. */
#include "ui/term/keys.h"
#include "base/utf8.h"
#include "ui/term/mouse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	BACKSPACE = 0x7f, ENTER = 0x0d, TAB = 0x09, ESC = 0x1b,
	MODIFIERS = KEY_ALT | KEY_CTRL | KEY_SHIFT,
	SEQUENCE_MAX = 64,      /* no key of any terminal is longer */
	F_MAX = 24,
};

#define ROW(id, name_, keys_, help_) \
	[ACTION_##id] = { .name = (name_), .keys = (keys_), .help = (help_) },
const struct action_row action_rows[ACTION_N] = { ACTIONS(ROW) };
#undef ROW

/* The first name of a key is the one that is shown. */
static const struct { const char *name; unsigned key; } named[] = {
	{ "Enter", ENTER }, { "Return", ENTER }, { "Tab", TAB }, { "Esc", ESC }, { "Escape", ESC },
	{ "Space", ' ' }, { "Backspace", BACKSPACE }, { "Up", KEYSYM_UP }, { "Down", KEYSYM_DOWN },
	{ "Left", KEYSYM_LEFT }, { "Right", KEYSYM_RIGHT }, { "Home", KEYSYM_HOME },
	{ "End", KEYSYM_END }, { "PgUp", KEYSYM_PGUP }, { "PageUp", KEYSYM_PGUP },
	{ "PgDn", KEYSYM_PGDN }, { "PageDown", KEYSYM_PGDN }, { "Insert", KEYSYM_INSERT },
	{ "Ins", KEYSYM_INSERT }, { "Delete", KEYSYM_DELETE }, { "Del", KEYSYM_DELETE },
	{ "WheelUp", KEYSYM_WHEEL_UP }, { "WheelDown", KEYSYM_WHEEL_DOWN },
};
enum { NAMED_N = sizeof(named) / sizeof(named[0]) };

const char *keys_named(int i)
{
	return i >= 0 && i < NAMED_N ? named[i].name : NULL;
}

static unsigned canonical(unsigned key)
{
	unsigned code = key & ~(unsigned)MODIFIERS, mod = key & MODIFIERS;

	if (code < 0x80 && mod & KEY_CTRL) {
		const char *same, *twins = "mMiI[?@";

		if (code >= 'a' && code <= 'z')
			code -= 'a' - 'A';
		same = code ? strchr(twins, (int)code) : NULL;
		if (same && *same == '@')
			code = ' ';
		else if (same) {
			static const unsigned to[] = { ENTER, ENTER, TAB, TAB, ESC, BACKSPACE };

			code = to[same - twins];
			mod &= ~(unsigned)KEY_CTRL;
		}
	} else if (mod & KEY_SHIFT && code > ' ' && code < KEYSYM_F1 && code != BACKSPACE) {
		if (code >= 'a' && code <= 'z')
			code -= 'a' - 'A';
		mod &= ~(unsigned)KEY_SHIFT;
	}
	return code | mod;
}

/* A byte below 0x20 or DEL as a key. */
static unsigned control(unsigned char b)
{
	if (b == ENTER || b == TAB || b == ESC || b == BACKSPACE)
		return b;
	return canonical(KEY_CTRL | (b + 0x40u));
}

/* One key without an escape before it. */
static size_t decode_plain(const char *s, size_t n, bool final, unsigned *key)
{
	unsigned char b = (unsigned char)*s;
	int k;

	if (b < 0x20 || b == BACKSPACE) {
		*key = control(b);
		return 1;
	}
	k = utf8_next(s, n);
	if (k > 0) {
		*key = utf8_value(s, k);
		return (size_t)k;
	}
	*key = 0xfffd;
	return k < 0 ? (size_t)-k : final ? n : 0;
}

/* What xterm writes as a number 1 + bits. */
static unsigned modifiers(int n)
{
	unsigned bits = n >= 2 && n <= 16 ? (unsigned)n - 1 : 0;

	return (bits & 1 ? KEY_SHIFT : 0) | (bits & (2 | 8) ? KEY_ALT : 0) |
	       (bits & 4 ? KEY_CTRL : 0);
}

/* ESC [ N ~, with the numbers of the VT220, xterm, the Linux console and rxvt. */
static unsigned numbered(int n)
{
	static const short f_key[35] = {
		[11] = 1, 2, 3, 4, 5, [17] = 6, 7, 8, 9, 10, [23] = 11, 12, 13, 14,
		[28] = 15, 16, [31] = 17, 18, 19, 20,
	};
	static const unsigned other[9] = {
		[1] = KEYSYM_HOME, KEYSYM_INSERT, KEYSYM_DELETE, KEYSYM_END, KEYSYM_PGUP,
		KEYSYM_PGDN, KEYSYM_HOME, KEYSYM_END,
	};

	if (n > 0 && n < 9)
		return other[n];
	if (n > 0 && n < 35 && f_key[n])
		return KEYSYM_F1 + (unsigned)f_key[n] - 1;
	return n == 200 ? KEYSYM_PASTE_BEGIN : n == 201 ? KEYSYM_PASTE_END : KEYSYM_UNKNOWN;
}

/* A last letter of CSI or SS3. */
static unsigned lettered(char c)
{
	static const unsigned at[26] = {
		['A' - 'A'] = KEYSYM_UP, ['B' - 'A'] = KEYSYM_DOWN, ['C' - 'A'] = KEYSYM_RIGHT,
		['D' - 'A'] = KEYSYM_LEFT, ['F' - 'A'] = KEYSYM_END, ['H' - 'A'] = KEYSYM_HOME,
		['P' - 'A'] = KEYSYM_F1, ['Q' - 'A'] = KEYSYM_F1 + 1,
		['R' - 'A'] = KEYSYM_F1 + 2, ['S' - 'A'] = KEYSYM_F1 + 3,
		['Z' - 'A'] = TAB | (unsigned)KEY_SHIFT,
	};
	unsigned key = c >= 'A' && c <= 'Z' ? at[c - 'A'] : 0;

	return key ? key : KEYSYM_UNKNOWN;
}

/* A key reported by its code point (CSI u, and xterm's modifyOtherKeys). */
static unsigned coded(int code, int mod)
{
	if (code == '\b')
		code = BACKSPACE;
	if (code < 0x20 && code != ENTER && code != TAB && code != ESC)
		return KEYSYM_UNKNOWN;
	if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return KEYSYM_UNKNOWN;
	return canonical((unsigned)code | modifiers(mod));
}

struct csi {
	int number[3], n;       /* parameters; a missing one is 0 */
	bool odd;               /* private marks or intermediates: no key */
	char last;
};

static unsigned csi_key(const struct csi *c)
{
	unsigned key;

	if (c->odd)
		return KEYSYM_UNKNOWN;
	switch (c->last) {
	case '~':
		if (c->number[0] == 27 && c->n == 3)
			return coded(c->number[2], c->number[1]);
		key = numbered(c->number[0]);
		break;
	case '^': case '$': case '@':           /* rxvt */
		key = numbered(c->number[0]);
		if (key != KEYSYM_UNKNOWN)
			key |= (c->last != '$' ? (unsigned)KEY_CTRL : 0) |
			       (c->last != '^' ? (unsigned)KEY_SHIFT : 0);
		return key;
	case 'u':
		return coded(c->number[0], c->number[1]);
	case 'a': case 'b': case 'c': case 'd': /* rxvt */
		return lettered((char)(c->last - 'a' + 'A')) | KEY_SHIFT;
	default:
		key = lettered(c->last);
	}
	if (key == KEYSYM_UNKNOWN || key == KEYSYM_PASTE_BEGIN || key == KEYSYM_PASTE_END)
		return key;
	return key | modifiers(c->number[1]);
}

/* One byte of a CSI sequence; true when it was the last. */
static bool csi_take(struct csi *c, unsigned char b)
{
	int *number = &c->number[c->n - 1];

	if (b >= '0' && b <= '9') {
		*number = *number < 0x200000 ? *number * 10 + b - '0' : *number;
	} else if (b == ';') {
		c->odd |= c->n == 3;
		c->n += c->n < 3;
	} else if (b >= 0x40 || b == '$') {
		c->last = (char)b;
		return true;
	} else {
		c->odd = true;
	}
	return false;
}

/* ESC [ and more at s; returns the bytes taken, 0 when the end is missing. */
static size_t decode_csi(const char *s, size_t n, bool final, unsigned *key)
{
	struct csi c = { .n = 1 };
	size_t i;

	*key = KEYSYM_UNKNOWN;
	if (n > 3 && s[2] == '[') {             /* the Linux console: ESC [ [ A is F1 */
		if (s[3] >= 'A' && s[3] <= 'E')
			*key = KEYSYM_F1 + (unsigned)(s[3] - 'A');
		return s[3] >= 0x20 && s[3] < 0x7f ? 4 : 3;
	}
	for (i = 2; i < n && i < SEQUENCE_MAX; i++) {
		unsigned char b = (unsigned char)s[i];

		if (b < 0x20 || b >= 0x7f)
			return i;               /* cut off: what follows is another key */
		if (!(b == '[' && i == 2) && csi_take(&c, b)) {
			*key = csi_key(&c);
			return i + 1;
		}
	}
	return i == SEQUENCE_MAX || final ? i : 0;
}

/* From behind ESC O.  0: more must come; -1: no sequence, so it was Alt+O. */
static int decode_ss3(const char *s, size_t n, bool final, unsigned *key)
{
	static const char keypad[] = "*+,-./0123456789";

	if (!n)
		return final ? -1 : 0;
	if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f)
		return -1;
	if (*s == 'M')
		*key = ENTER;
	else if (*s >= 'j' && *s <= 'y')
		*key = (unsigned char)keypad[*s - 'j'];
	else if (*s >= 'a' && *s <= 'd')        /* rxvt */
		*key = lettered((char)(*s - 'a' + 'A')) | KEY_CTRL;
	else
		*key = lettered(*s);
	return 1;
}

/* ESC [ or ESC O at s, n >= 2. */
static size_t decode_sequence(const char *s, size_t n, bool final, unsigned *key)
{
	int ss3;

	if (n == 2 && final) {
		*key = KEY_ALT | (unsigned char)s[1];
		return 2;
	}
	if (mouse_report(s, n))
		return mouse_decode(s, n, final, key);
	if (s[1] == '[')
		return decode_csi(s, n, final, key);
	ss3 = decode_ss3(s + 2, n - 2, final, key);
	if (ss3 < 0)
		*key = KEY_ALT | 'O';
	return ss3 < 0 ? 2 : ss3 ? (size_t)ss3 + 2 : 0;
}

/* ESC ESC at s: rxvt's Alt with a sequence, or the key Esc before another one. */
static size_t decode_double(const char *s, size_t n, bool final, unsigned *key)
{
	size_t k;

	*key = ESC;
	if (n == 2)
		return final;
	if (s[2] != '[' && s[2] != 'O')
		return 1;
	if (n == 3)
		return final;
	k = decode_sequence(s + 1, n - 1, final, key);
	if (*key != KEYSYM_UNKNOWN && *key != KEYSYM_PASTE_BEGIN && *key != KEYSYM_PASTE_END)
		*key |= KEY_ALT;
	return k ? k + 1 : 0;
}

size_t keys_decode(const char *s, size_t n, bool final, unsigned *key)
{
	size_t k;

	if (!n || *s != ESC)
		return n ? decode_plain(s, n, final, key) : 0;
	if (n == 1) {
		*key = ESC;
		return final;
	}
	if (s[1] == ESC)
		return decode_double(s, n, final, key);
	if (s[1] == '[' || s[1] == 'O')
		return decode_sequence(s, n, final, key);
	k = decode_plain(s + 1, n - 1, final, key);
	*key |= KEY_ALT;
	return k ? k + 1 : 0;
}

/* Takes a prefix such as "Ctrl+" off; false if something else stands there. */
static bool prefix(const char **name, const char *word)
{
	size_t n = strlen(word);

	/* "Ctrl+" alone would leave no key. */
	if (strncasecmp(*name, word, n) || !(*name)[n])
		return false;
	*name += n;
	return true;
}

static int parse_code(const char *name, unsigned *code)
{
	size_t n = strlen(name);
	unsigned long v;

	for (size_t i = 0; i < NAMED_N; i++)
		if (!strcasecmp(name, named[i].name)) {
			*code = named[i].key;
			return 0;
		}
	if (n > 1 && n < 4 && strchr("Ff", *name) && strspn(name + 1, "0123456789") == n - 1) {
		v = strtoul(name + 1, NULL, 10);
		*code = KEYSYM_F1 + (unsigned)v - 1;
		return v >= 1 && v <= F_MAX ? 0 : -1;
	}
	if (n >= 6 && n <= 8 && !strncasecmp(name, "U+", 2) &&
	    strspn(name + 2, "0123456789abcdefABCDEF") == n - 2) {
		v = strtoul(name + 2, NULL, 16);
		*code = (unsigned)v;
		return v >= ' ' && v <= 0x10ffff && (v < 0xd800 || v > 0xdfff) ? 0 : -1;
	}
	if (!n || (unsigned char)*name <= ' ' || *name == BACKSPACE ||
	    utf8_next(name, n) != (int)n)
		return -1;
	*code = utf8_value(name, (int)n);
	return 0;
}

int keys_parse(const char *name, unsigned *key)
{
	unsigned mod = 0, code;

	for (;;)
		if (prefix(&name, "Ctrl+") || prefix(&name, "C-"))
			mod |= KEY_CTRL;
		else if (prefix(&name, "Alt+") || prefix(&name, "M-"))
			mod |= KEY_ALT;
		else if (prefix(&name, "Shift+") || prefix(&name, "S-"))
			mod |= KEY_SHIFT;
		else
			break;
	if (parse_code(name, &code))
		return -1;
	*key = canonical(code | mod);
	return 0;
}

/* Characters that show as themselves, and do nothing else. */
static bool shows(unsigned code)
{
	return code > ' ' && (code < 0x7f || code >= 0xa1) && code != 0xad && code != 0x61c &&
	       !(code >= 0x300 && code < 0x370) && !(code >= 0x2000 && code < 0x2070) &&
	       !(code >= 0xd800 && code < 0xe000) && code < 0xe0000 && code != 0xfeff;
}

static void put_code(unsigned code, char out[16])
{
	char *p = out;

	if (code < 0x80) {
		*p++ = (char)code;
	} else if (code < 0x800) {
		*p++ = (char)(0xc0 | code >> 6);
		*p++ = (char)(0x80 | (code & 0x3f));
	} else if (code < 0x10000) {
		*p++ = (char)(0xe0 | code >> 12);
		*p++ = (char)(0x80 | (code >> 6 & 0x3f));
		*p++ = (char)(0x80 | (code & 0x3f));
	} else {
		*p++ = (char)(0xf0 | code >> 18);
		*p++ = (char)(0x80 | (code >> 12 & 0x3f));
		*p++ = (char)(0x80 | (code >> 6 & 0x3f));
		*p++ = (char)(0x80 | (code & 0x3f));
	}
	*p = '\0';
}

void keys_name(unsigned key, char out[32])
{
	unsigned code = key & ~(unsigned)MODIFIERS;
	char text[16];

	snprintf(text, sizeof(text), "U+%04X", code);
	if (shows(code))
		put_code(code, text);
	if (code >= KEYSYM_F1)
		snprintf(text, sizeof(text), "?");
	if (code >= KEYSYM_F1 && code < KEYSYM_F1 + F_MAX)
		snprintf(text, sizeof(text), "F%u", code - KEYSYM_F1 + 1);
	for (size_t i = NAMED_N; i-- > 0;)
		if (named[i].key == code)
			snprintf(text, sizeof(text), "%s", named[i].name);
	snprintf(out, 32, "%s%s%s%s", key & KEY_CTRL ? "Ctrl+" : "", key & KEY_ALT ? "Alt+" : "",
		 key & KEY_SHIFT ? "Shift+" : "", text);
}

static int action_find(const char *name)
{
	for (int i = 0; i < ACTION_N; i++)
		if (!strcmp(action_rows[i].name, name))
			return i;
	return -1;
}

static int find_row(const struct keymap *m, unsigned key)
{
	for (int i = 0; i < m->n; i++)
		if (m->row[i].key == key)
			return i;
	return -1;
}

int keymap_find(const struct keymap *m, unsigned key)
{
	int i = find_row(m, key);

	return i < 0 ? -1 : m->row[i].action;
}

/* What the user types must stay typable. */
static bool is_text(unsigned key)
{
	return !(key & (KEY_ALT | KEY_CTRL)) && key >= ' ' && key < KEYSYM_F1 && key != BACKSPACE;
}

int keymap_bind(struct keymap *m, const char *key, const char *action, char err[ERR_MAX])
{
	int what = action_find(action), i;
	unsigned k;

	if (keys_parse(key, &k))
		return fail(err, "'%s' is no key: F4, Ctrl+T, Alt+Enter, PgUp, Shift+Tab", key);
	if (is_text(k))
		return fail(err, "'%s' types text and cannot be bound; with Ctrl or Alt it can",
			    key);
	if (what < 0 && strcmp(action, "none"))
		return fail(err, "'%s' is no action; man 5 s3dchat lists them", action);
	i = find_row(m, k);
	if (what < 0) {
		if (i >= 0)
			m->row[i] = m->row[--m->n];
		return 0;
	}
	if (i < 0 && m->n == KEYMAP_MAX)
		return fail(err, "more than %d keys are bound", KEYMAP_MAX);
	if (i < 0)
		i = m->n++;
	m->row[i].key = k;
	m->row[i].action = what;
	return 0;
}

void keymap_default(struct keymap *m)
{
	char err[ERR_MAX], name[32];

	m->n = 0;
	for (int a = 0; a < ACTION_N; a++)
		for (const char *p = action_rows[a].keys; *p; p += strspn(p, " ")) {
			size_t n = strcspn(p, " ");

			snprintf(name, sizeof(name), "%.*s", (int)n, p);
			keymap_bind(m, name, action_rows[a].name, err);
			p += n;
		}
}
