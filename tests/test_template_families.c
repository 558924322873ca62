/* test_template_families.c - each family's frame against its published template.
 *
 * tests/tools/make_template_vectors.py recorded template-families.txt (conversations and their
 * ids, each frame's source beside it), template-spm.txt (the same in a vocabulary that puts
 * spaces) and template-published.txt (templates, the frame that each is for, the system prompt
 * that it has of its own).  struct lines owns the text. */
#include "engine/frame/template.h"
#include "engine/text/tok_vocab.h"
#include "tests/gguf_build.h"
#include "tests/tok_vectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>

#define FRAMES "tests/vectors/tok-frames.gguf"
#define TURNS_MAX 16
#define IDS_MAX 2048

static const char *after(const char *line, const char *word)
{
	size_t n = strlen(word);
	return strncmp(line, word, n) || line[n] != ' ' ? NULL : line + n + 1;
}

/* ---- ids ---- */

struct conversation {
	char name[32];
	int open_answer, n;
	struct turn turn[TURNS_MAX];
};

/* Reads a conversation from line i, its case, on; returns the line of its ids. */
static int read_conversation(struct conversation *c, const struct lines *l, int i)
{
	assert_int_equal(sscanf(l->line[i++], "case %31s %d", c->name, &c->open_answer), 2);
	for (c->n = 0; !after(l->line[i], "ids"); i++) {
		char *text = strchr(l->line[i], ' ') + 1;
		enum speaker who = *l->line[i] == 's' ? SPEAKER_SYSTEM :
				   *l->line[i] == 'u' ? SPEAKER_USER : SPEAKER_ASSISTANT;
		assert_true(c->n < TURNS_MAX);
		c->turn[c->n++] = (struct turn){ who, text, unescape(text) };
	}
	return i;
}

static void check_ids(const char *frame, struct tokenizer *tok, const struct conversation *c,
		      const char *want)
{
	char err[ERR_MAX];
	const struct template *t = template_find(frame);
	int *ids, n, expect[IDS_MAX], m = read_ids(want, expect, IDS_MAX);
	if (!t || template_render(t, tok, c->turn, c->n, c->open_answer, &ids, &n, err) < 0) {
		fail_msg("frame %s, case %s: %s", frame, c->name, t ? err : "no such frame");
		return;
	}
	for (int i = 0; i < (n < m ? n : m); i++)
		if (ids[i] != expect[i])
			fail_msg("frame %s, case %s: id %d is %d, not %d", frame, c->name, i,
				 ids[i], expect[i]);
	if (n != m)
		fail_msg("frame %s, case %s: %d ids, not %d", frame, c->name, n, m);
	free(ids);
}

static int count_words(const char *s)
{
	int n = 0;
	for (; *s; s += strcspn(s, " "), s += strspn(s, " "))
		n++;
	return n;
}

#define KINDS "tokenizer.ggml.token_type"

static char *read_whole(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	char *s = malloc(1 << 20);
	assert_true(f && s);
	*n = fread(s, 1, 1 << 20, f);
	assert_true(*n < 1 << 20);
	fclose(f);
	return s;
}

static int64_t tokens_of(const struct gguf *g)
{
	enum gguf_type type;
	int64_t n = 0;
	assert_true(gguf_array(g, "tokenizer.ggml.tokens", &type, &n));
	return n;
}

/* A file's vocabulary in which the tokens that FRAMES has for frames are of another kind. */
static struct tokenizer *open_mistyped(const char *path, enum vocab_kind kind)
{
	char err[ERR_MAX];
	struct gguf *marks = NULL, *g;
	struct tokenizer *known = open_vocab(FRAMES, &marks), *t;
	size_t n;
	char *bytes = read_whole(path, &n), *at = memmem(bytes, n, KINDS, strlen(KINDS));
	int32_t *kinds;
	assert_true(known && at);
	kinds = (int32_t *)(void *)(at + strlen(KINDS) + 4 + 4 + 8);    /* type, element, count */
	g = gguf_parse(bytes, n, path, err);
	assert_non_null(g);
	for (int64_t i = 0, end = tokens_of(g); i < end; i++) {
		struct gguf_str p = gguf_array_string(g, "tokenizer.ggml.tokens", i);
		char text[64] = "";
		int32_t now;
		memcpy(text, p.s, p.n < 63 ? p.n : 63);
		memcpy(&now, kinds + i, sizeof now);
		if (now != VOCAB_CONTROL)
			continue;
		if (tokenizer_is_control(known, tokenizer_find(known, text)))
			memcpy(kinds + i, &(int32_t){ (int32_t)kind }, sizeof now);
	}
	t = tokenizer_open(g, err);
	assert_non_null(t);
	tokenizer_close(known);
	gguf_close(marks);
	gguf_close(g);
	free(bytes);
	return t;
}

/* All that path holds, with the tokens of frames as the files have them (VOCAB_CONTROL) or not;
 * returns how many frames. */
static int check_families(const char *path, enum vocab_kind kind)
{
	struct lines l = lines_read(path);
	struct tokenizer *tok = NULL;
	struct conversation c;
	char frame[32] = "", vocab[64], file[128];
	int n_frames = 0, n_cases = 10;
	for (int i = 0; i < l.n; i++) {
		if (after(l.line[i], "case")) {
			i = read_conversation(&c, &l, i);
			check_ids(frame, tok, &c, after(l.line[i], "ids"));
			n_cases++;
		} else if (after(l.line[i], "frame")) {
			assert_true(n_cases >= 10);
			assert_int_equal(sscanf(l.line[i], "frame %31s %63s", frame, vocab), 2);
			snprintf(file, sizeof file, "tests/vectors/%s", vocab);
			tokenizer_close(tok);
			tok = open_mistyped(file, kind);
			n_frames++;
			n_cases = 0;
		}
	}
	assert_true(n_cases >= 10);
	tokenizer_close(tok);
	lines_free(&l);
	return n_frames;
}

/* Whatever the file calls the tokens of a frame, they are put for the frame and never for what a
 * user typed (the conversations have them in their messages). */
static void test_families(void **state)
{
	(void)state;
	/* All but Mistral's v1, which has SentencePiece vocabularies only. */
	for (enum vocab_kind k = VOCAB_NORMAL; k <= VOCAB_BYTE; k++)
		assert_int_equal(check_families("tests/vectors/template-families.txt", k),
				 count_words(TEMPLATE_NAMES) - 1);
}

static void test_sentencepiece(void **state)
{
	(void)state;
	for (enum vocab_kind k = VOCAB_NORMAL; k <= VOCAB_BYTE; k++)
		assert_int_equal(check_families("tests/vectors/template-spm.txt", k), 6);
}

/* What the model sees, as text. */
static size_t spell(struct tokenizer *tok, const struct template *t, const struct turn *turn, int n,
		    bool open_answer, char *out, size_t cap)
{
	char err[ERR_MAX];
	int *ids, n_ids;
	size_t len = 0;
	if (template_render(t, tok, turn, n, open_answer, &ids, &n_ids, err) < 0)
		fail_msg("%s", err);
	for (int i = 0; i < n_ids; i++) {
		struct gguf_str p = tokenizer_piece(tok, ids[i]);
		assert_true(len + p.n < cap);
		memcpy(out + len, p.s, p.n);
		len += p.n;
	}
	free(ids);
	return len;
}

/* An answer that is gone on with stands behind its frame with all its white space. */
static void test_open_answer_is_not_trimmed(void **state)
{
	(void)state;
	static const char begun[] = "\n \tone\n\ntwo \n";
	struct turn turn[] = { { SPEAKER_USER, "q", 1 },
			       { SPEAKER_ASSISTANT, begun, sizeof begun - 1 } };
	struct tokenizer *tok = open_vocab(FRAMES, NULL);
	char names[] = TEMPLATE_NAMES, want[1024], got[1024];
	assert_non_null(tok);
	for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) {
		const struct template *t = template_find(name);
		size_t n = spell(tok, t, turn, 1, true, want, sizeof want - sizeof begun);
		memcpy(want + n, begun, sizeof begun - 1);
		n += sizeof begun - 1;
		if (spell(tok, t, turn, 2, false, got, sizeof got) != n || memcmp(got, want, n))
			fail_msg("frame %s has changed it", name);
	}
	tokenizer_close(tok);
}

/* ---- choosing ---- */

/* Puts today's date where the template has a format between two bytes 1. */
static void put_dates(const char *from, char *out, size_t cap)
{
	time_t now = time(NULL);
	char format[32];
	size_t n = 0;
	for (; *from && n + 1 < cap; from++) {
		if (*from != '\1') {
			out[n++] = *from;
			continue;
		}
		size_t k = strcspn(++from, "\1");
		assert_true(k < sizeof format);
		memcpy(format, from, k);
		format[k] = '\0';
		n += strftime(out + n, cap - n, format, localtime(&now));
		from += k;
	}
	out[n] = '\0';
}

/* A template alone in a file, against the frame that it is for ("-": none) and its prompt. */
static void check_published(const struct tokenizer *tok, const char *source, const char *frame,
			    const char *jinja, const char *system)
{
	char err[ERR_MAX] = "", want[8192];
	struct buf b = { 0 };
	put_head(&b, 3, 0, 1);
	put_key_str(&b, "tokenizer.chat_template", jinja);
	struct gguf *g = gguf_parse(b.p, b.n, "made", err);
	assert_non_null(g);
	const struct template *t = template_guess(g, tok, err);
	const char *name = t ? template_name(t) : "-";
	if (strcmp(name, frame) != 0)
		fail_msg("%s: guessed %s, not %s; %s", source, name, frame, err);
	if (t) {
		char *own = template_default_system(t, g);
		put_dates(system, want, sizeof want);
		/* Where the template has none, Vicuna's frame has its family's. */
		assert_string_equal(own, want);
		free(own);
	} else {
		assert_non_null(strstr(err, "name one with --chat-template: " TEMPLATE_NAMES));
	}
	gguf_close(g);
	buf_free(&b);
}

static void test_published(void **state)
{
	(void)state;
	struct tokenizer *tok = open_vocab(FRAMES, NULL);
	struct lines l = lines_read("tests/vectors/template-published.txt");
	assert_non_null(tok);
	assert_true(l.n >= 5 * count_words(TEMPLATE_NAMES) && l.n % 5 == 0);
	for (int i = 0; i < l.n; i += 5) {
		char *text = l.line[i + 3] + strlen("text "), *system = l.line[i + 4] + 7;
		unescape(text);
		unescape(system);
		check_published(tok, l.line[i + 1], l.line[i] + strlen("frame "), text, system);
	}
	lines_free(&l);
	tokenizer_close(tok);
}

/* Every name that --chat-template takes has a published template which chooses it. */
static void test_every_name(void **state)
{
	(void)state;
	char names[] = TEMPLATE_NAMES, line[64];
	struct lines l = lines_read("tests/vectors/template-published.txt");
	for (char *name = strtok(names, " "); name; name = strtok(NULL, " ")) {
		int found = 0;
		snprintf(line, sizeof line, "frame %s", name);
		for (int i = 0; i < l.n; i++)
			found += !strcmp(l.line[i], line);
		if (!found)
			fail_msg("no published template for %s", name);
	}
	lines_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_sentencepiece),
		cmocka_unit_test(test_open_answer_is_not_trimmed),
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_every_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
