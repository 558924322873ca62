/* typed.c - see typed.h.
 *
 * Invariant: bytes before `at` are not looked at again, and of a paste in progress only the last
 * few, so that a long paste in many pieces costs no more than its length. */
#include "app/typing/typed.h"
#include "ui/term/keys.h"

#include <stdlib.h>
#include <string.h>

#define BEGIN_MARK "\033[200~"
#define END_MARK "\033[201~"
enum { MARK = 6, BULK = 64 };   /* no hand types BULK bytes between two reads */
static const double pause_s = 1;

static bool keep(struct typed *t, const char *s, size_t n)
{
	if (t->cap - t->n < n + 1) {
		size_t cap = 2 * (t->n + n) + 64;
		char *more = realloc(t->buf, cap);

		if (!more)
			return false;
		t->buf = more;
		t->cap = cap;
	}
	if (n)
		memcpy(t->buf + t->n, s, n);
	t->n += n;
	return true;
}

/* A read of nothing but Ctrl+C comes from a hand that wants out; within a paste it is text. */
static bool only_interrupts(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] != ('C' & 0x1f))
			return false;
	return n > 0;
}

/* What comes at once and in bulk after the silence is the rest of the paste, not typed. */
static bool goes_on(const char *s, size_t n)
{
	if (n >= MARK && !memcmp(s, BEGIN_MARK, MARK))
		return false;
	return n > BULK || memmem(s, n, END_MARK, MARK);
}

int typed_put(struct typed *t, const char *s, size_t n)
{
	if (t->pasting && only_interrupts(s, n)) {
		s = END_MARK;
		n = MARK;
	}
	if (t->torn && n) {
		t->pasting |= goes_on(s, n);
		t->torn = false;
	}
	return keep(t, s, n) ? 0 : -1;
}

void typed_end_paste(struct typed *t)
{
	if (t->pasting && keep(t, END_MARK, MARK))
		t->torn = true;
}

/* Line ends of other systems become our own. */
static size_t clean(char *s, size_t n)
{
	size_t k = 0;
	char last = '\0';

	for (size_t i = 0; i < n; i++) {
		char c = s[i];

		if (c && (c != '\n' || last != '\r'))
			s[k++] = c == '\r' ? '\n' : c;
		last = c;
	}
	s[k] = '\0';
	return k;
}

/* A paste whose end is there. */
static bool take_paste(struct typed *t, struct typed_event *e)
{
	char *s = t->buf + t->at, *end;
	size_t n = t->n - t->at;

	end = memmem(s + t->seen, n - t->seen, END_MARK, MARK);
	if (!end) {
		t->seen = n < MARK ? 0 : n - MARK + 1;
		if (n > TYPED_PASTE_MAX) {
			t->too_long = true;
			t->at += t->seen;
			t->seen = 0;
		}
		return false;
	}
	*e = (struct typed_event){ t->too_long ? TYPED_TOO_LONG : TYPED_PASTE, 0, s, 0 };
	e->n = clean(s, (size_t)(end - s));
	t->at += (size_t)(end - s) + MARK;
	t->seen = 0;
	t->pasting = t->too_long = false;
	return true;
}

bool typed_next(struct typed *t, bool final, struct typed_event *e)
{
	while (t->at < t->n) {
		size_t used;

		if (t->pasting) {
			if (take_paste(t, e))
				return true;
			break;
		}
		*e = (struct typed_event){ .kind = TYPED_KEY, .bytes = t->buf + t->at };
		used = keys_decode(e->bytes, t->n - t->at, final, &e->key);
		if (!used)
			break;
		t->at += used;
		e->n = used;
		t->pasting = e->key == KEYSYM_PASTE_BEGIN;
		if (!t->pasting && e->key != KEYSYM_PASTE_END)
			return true;
	}
	if (t->at)
		memmove(t->buf, t->buf + t->at, t->n - t->at);
	t->n -= t->at;
	t->at = 0;
	return false;
}

/* Esc alone, or with the first byte of what might be Alt and a key. */
static bool may_be_esc(const char *s, size_t n)
{
	return *s == '\033' && (n == 1 || (n == 2 && strchr("\033[O", s[1])));
}

double typed_patience(const struct typed *t, double esc)
{
	if (t->pasting)
		return pause_s;
	if (t->at == t->n)
		return -1;
	/* Nobody types half a sequence or half a character: that the rest is late is certain. */
	return may_be_esc(t->buf + t->at, t->n - t->at) || esc > pause_s ? esc : pause_s;
}

double typed_escape_time(int ms)
{
	static const char *const remote[] = { "SSH_CONNECTION", "SSH_TTY" };

	for (size_t i = 0; ms < 0 && i < sizeof(remote) / sizeof(remote[0]); i++) {
		const char *v = getenv(remote[i]);

		ms = v && *v ? 500 : ms;
	}
	return (ms < 0 ? 50 : ms) / 1000.0;
}

void typed_free(struct typed *t)
{
	free(t->buf);
	*t = (struct typed){ 0 };
}
