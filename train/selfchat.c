/* selfchat.c - conversations that a model has with itself, to teach a little model.
 *
 *   selfchat -m MODEL -w WORDS -o OUT [-n TOKENS] [-s SEED] [-t THREADS]
 *
 * The model goes on from an empty user turn (or a line of WORDS), which makes the question, and
 * then answers it, greedily in half of the conversations and at temperature 0.7 in the others.
 * LANES conversations advance together, one token of each in a pass.  OUT is a head (8 bytes
 * magic, u32 TOP, u32 size of the vocabulary) and records:
 *
 *   u32 n_prompt, n_answer, number of the conversation, 1 if greedy
 *   u16 ids[n_prompt + n_answer]  with the frame; the last one ends the turn, unless it was cut
 *   u16 top[n_answer][TOP]        the likeliest tokens of the row that chose answer i, best first
 *   f16 log_p[n_answer][TOP]      their log-probabilities, untempered, over the whole vocabulary
 *
 * in the machine's byte order.  Invariant: a record is written whole, behind whole ones; begun
 * again, the program cuts off what is not whole and goes on with the next conversation, so that all
 * depends on SEED alone but for the conversations that an interruption lost. */
#include "kernels/devices/registry.h"
#include "kernels/schedule.h"
#include "engine/decode/probs.h"
#include "engine/decode/sampler.h"
#include "engine/frame/template.h"
#include "kernels/peaks.h"
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LANES = 64, TOP = 20, QUESTION_MAX = 48, ANSWER_MAX = 192, CTX = 512, WORDS_MAX = 4096 };
__extension__ typedef _Float16 f16;

struct head {
	char magic[8];
	uint32_t top, n_vocab;
};
static const char magic[8] = { 'S', '3', 'D', 'C', 'H', 'A', 'T', '1' };

struct record {
	uint32_t n_prompt, n_answer, number, greedy;
};

struct talk {           /* one conversation */
	struct lane at;
	struct sampler_opt law;
	uint32_t number;
	int ids[CTX];
	int n, fed;             /* ids known; of them in the cache */
	int question, answer;   /* where each begins; answer is 0 until the question has ended */
	uint16_t top[ANSWER_MAX][TOP];
	f16 log_p[ANSWER_MAX][TOP];
};

struct self {
	const char *model, *words, *out;
	long wanted, made;
	uint64_t seed;
	int threads;
	struct model *m;
	struct tokenizer *tok;
	struct dev *dev;
	struct schedule whole;  /* the model itself */
	struct sampler *sampler;
	FILE *f;
	int *frame, n_frame, before;    /* the frame of a turn; the question comes at before */
	char *word[WORDS_MAX];
	int n_words;
	uint32_t next;                  /* number of the next conversation */
	struct talk talk[LANES];
};

/* The frame around an empty question: what ends the user's turn is in it the last end of a turn. */
static int open_frame(struct self *s, char err[ERR_MAX])
{
	const struct template *t = template_guess(s->m->file, s->tok, err);
	char *system = t ? template_default_system(t, s->m->file) : NULL;
	int rc = -1;

	if (system) {
		struct turn turns[2] = { { SPEAKER_SYSTEM, system, strlen(system) },
					 { SPEAKER_USER, "", 0 } };

		rc = template_render(t, s->tok, turns + !*system, 1 + !!*system, true, &s->frame,
				     &s->n_frame, err);
	}
	for (s->before = s->n_frame - 1; s->before > 0; s->before--)
		if (tokenizer_is_end(s->tok, s->frame[s->before]))
			break;
	free(system);
	if (rc == 0 && s->n_frame + QUESTION_MAX + ANSWER_MAX > CTX)
		return fail(err, "%s: its chat frame of %d tokens leaves no room for a question "
			    "and an answer", s->model, s->n_frame);
	return rc;
}

static int read_words(struct self *s, char err[ERR_MAX])
{
	FILE *f = fopen(s->words, "r");
	char line[256];

	if (!f)
		return fail(err, "%s: %s", s->words, strerror(errno));
	while (s->n_words < WORDS_MAX && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		s->word[s->n_words++] = strdup(line);
	}
	fclose(f);
	return s->n_words ? 0 : fail(err, "%s: no line in it", s->words);
}

static int begin_out(struct self *s, char err[ERR_MAX])
{
	struct head h = { .top = TOP, .n_vocab = (uint32_t)s->m->cfg.n_vocab };

	memcpy(h.magic, magic, sizeof(magic));
	if (fwrite(&h, sizeof(h), 1, s->f) != 1 || fflush(s->f) != 0)
		return fail(err, "%s: %s", s->out, strerror(errno));
	return 0;
}

/* Goes over what OUT has, cuts off a record that is not whole, and opens it for more. */
static int open_out(struct self *s, char err[ERR_MAX])
{
	long end = sizeof(struct head), size;
	struct record r;
	struct head h;

	s->f = fopen(s->out, "ab+");
	if (!s->f || fseek(s->f, 0, SEEK_END) != 0 || (size = ftell(s->f)) < 0)
		return fail(err, "%s: %s", s->out, strerror(errno));
	if (!size)
		return begin_out(s, err);
	rewind(s->f);
	if (fread(&h, sizeof(h), 1, s->f) != 1 || memcmp(h.magic, magic, sizeof(magic)) != 0 ||
	    h.top != TOP || h.n_vocab != (uint32_t)s->m->cfg.n_vocab)
		return fail(err, "%s: something else, or for another model", s->out);
	while (fseek(s->f, end, SEEK_SET) == 0 && fread(&r, sizeof(r), 1, s->f) == 1) {
		long next = end + (long)sizeof(r) +
			    2L * (r.n_prompt + r.n_answer + 2L * r.n_answer * TOP);

		if (next > size)
			break;
		end = next;
		s->made += r.n_answer;
		s->next = r.number >= s->next ? r.number + 1 : s->next;
	}
	if (ftruncate(fileno(s->f), end) != 0)
		return fail(err, "%s: %s", s->out, strerror(errno));
	return 0;
}

static int begin(struct self *s, struct talk *t, char err[ERR_MAX])
{
	const char *word;
	int n;

	t->number = s->next++;
	t->law = (struct sampler_opt)SAMPLER_DEFAULTS;
	t->law.temp = 1;
	t->law.top_k = 100;
	t->law.min_p = 0;
	t->law.seed = s->seed + t->number;
	word = s->word[(uint64_t)(t->law.seed * 0x9e3779b97f4a7c15u >> 32) % (uint64_t)s->n_words];
	memcpy(t->ids, s->frame, sizeof(int) * (size_t)s->before);
	n = tokenizer_encode(s->tok, word, strlen(word), false, t->ids + s->before, QUESTION_MAX,
			     err);
	if (n < 0 || n > QUESTION_MAX / 2)
		return n < 0 ? -1 : fail(err, "%s: a line is too long: %s", s->words, word);
	t->question = s->before;
	t->n = s->before + n;
	t->answer = 0;
	/* Whoever was in this cache before had the same frame; one token must be left to run. */
	t->fed = t->fed > s->before - 1 ? s->before - 1 : t->fed;
	return 0;
}

static void end_question(struct self *s, struct talk *t)
{
	int n = s->n_frame - s->before;

	memcpy(t->ids + t->n, s->frame + s->before, sizeof(int) * (size_t)n);
	t->n += n;
	t->answer = t->n;
	t->law.temp = t->number % 2 ? 0.7f : 0;
	t->law.top_k = 40;
}

static void insert(float x, uint16_t v, float best[TOP], uint16_t id[TOP])
{
	int at = TOP;

	while (at > 0 && x > best[at - 1])
		at--;
	for (int i = TOP - 1; i > at; i--) {
		best[i] = best[i - 1];
		id[i] = id[i - 1];
	}
	if (at < TOP) {
		best[at] = x;
		id[at] = v;
	}
}

/* The TOP largest of a row, best first.  Sixteens whose peak is 20 below the largest logit weigh
 * less than 1e-4 of it all together, and are left out. */
static void keep_top(const float *row, int n, uint16_t id[TOP], f16 log_p[TOP])
{
	float best[TOP], most = row[probs_first(row, n)];
	double sum = 0;

	for (int i = 0; i < TOP; i++)
		best[i] = -INFINITY;
	for (int g = 0; g < row_peaks(n); g++)
		for (int v = PEAK * g; row[n + g] > most - 20 && v < n && v < PEAK * (g + 1); v++) {
			sum += exp((double)(row[v] - most));
			insert(row[v], (uint16_t)v, best, id);
		}
	for (int i = 0; i < TOP; i++)
		log_p[i] = (f16)((double)(best[i] - most) - log(sum));
}

static bool put_ids(FILE *f, const int *ids, int n)
{
	for (int i = 0; i < n; i++)
		if (fwrite(&(uint16_t){ (uint16_t)ids[i] }, 2, 1, f) != 1)
			return false;
	return true;
}

static int write_talk(struct self *s, const struct talk *t, char err[ERR_MAX])
{
	int n = t->n - t->answer;
	struct record r = { (uint32_t)t->answer, (uint32_t)n, t->number, t->law.temp == 0 };
	size_t rows = (size_t)n;

	if (fwrite(&r, sizeof(r), 1, s->f) != 1 || !put_ids(s->f, t->ids, t->n) ||
	    fwrite(t->top, sizeof(t->top[0]), rows, s->f) != rows ||
	    fwrite(t->log_p, sizeof(t->log_p[0]), rows, s->f) != rows || fflush(s->f) != 0)
		return fail(err, "%s: %s", s->out, strerror(errno));
	s->made += n;
	return 0;
}

/* What a row of logits adds to its conversation. */
static int advance(struct self *s, struct talk *t, const float *row, char err[ERR_MAX])
{
	int id, from = t->answer ? t->answer : t->question;

	if (t->fed < t->n)
		return 0;
	if (t->answer)
		keep_top(row, s->m->cfg.n_vocab, t->top[t->n - from], t->log_p[t->n - from]);
	id = sampler_choose(s->sampler, &t->law, row, t->ids, t->n, 1);
	if (!t->answer && (tokenizer_is_end(s->tok, id) || t->n - from == QUESTION_MAX)) {
		end_question(s, t);
		return 0;
	}
	t->ids[t->n++] = id;
	if (t->answer && (tokenizer_is_end(s->tok, id) || t->n - from == ANSWER_MAX))
		return write_talk(s, t, err) != 0 || begin(s, t, err) != 0 ? -1 : 0;
	return 0;
}

static int pass(struct self *s, char err[ERR_MAX])
{
	int tok[LANES];
	struct lane lanes[LANES];
	struct batch b = { .tok = tok, .n = LANES, .n_out = LANES, .lanes = lanes,
			   .run = &s->whole };

	for (int i = 0; i < LANES; i++) {
		struct talk *t = &s->talk[i];

		t->at.pos = t->fed;
		lanes[i] = t->at;
		tok[i] = t->ids[t->fed++];
	}
	const float *rows = backend_cpu.forward(s->dev, NULL, &b);

	if (!rows)
		return fail(err, "%s", backend_cpu.error(s->dev));
	for (int i = 0; i < LANES; i++)
		if (advance(s, &s->talk[i], row_at(rows, s->m->cfg.n_vocab, i), err) != 0)
			return -1;
	return 0;
}

static int open_self(struct self *s, char err[ERR_MAX])
{
	struct backend_opt o = { .n_threads = s->threads, .n_batch = LANES, .n_out = LANES };

	if (!(s->m = model_open(s->model, NULL, err)) ||
	    !(s->tok = tokenizer_open(s->m->file, err)))
		return -1;
	schedule_make(&s->whole, s->m, &(struct plan){ .target = true });
	if (s->m->cfg.n_vocab > UINT16_MAX + 1)
		return fail(err, "%s: more tokens than 16 bits can name", s->model);
	if (open_frame(s, err) != 0 || read_words(s, err) != 0 || open_out(s, err) != 0 ||
	    !(s->dev = backend_cpu.open(s->m, &o, err)) ||
	    !(s->sampler = sampler_open(s->m->cfg.n_vocab, NULL, err)))
		return -1;
	for (int i = 0; i < LANES; i++)
		if (!(s->talk[i].at.kv = backend_cpu.kv_new(s->dev, CTX, err)) ||
		    begin(s, &s->talk[i], err) != 0)
			return -1;
	return 0;
}

static int run(struct self *s, char err[ERR_MAX])
{
	double start = clock_now(), told = start;
	long before;

	if (open_self(s, err) != 0)
		return -1;
	before = s->made;
	while (s->made < s->wanted) {
		double now = clock_now();

		if (pass(s, err) != 0)
			return -1;
		if (now - told < 10)
			continue;
		told = now;
		fprintf(stderr, "selfchat: %ld of %ld tokens, %.0f a second\n", s->made, s->wanted,
			(double)(s->made - before) / (now - start));
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct self s = { .wanted = 2000000, .seed = 1 };
	char err[ERR_MAX];

	for (int o; (o = getopt(argc, argv, "m:w:o:n:s:t:")) != -1;)
		switch (o) {
		case 'm': s.model = optarg; break;
		case 'w': s.words = optarg; break;
		case 'o': s.out = optarg; break;
		case 'n': s.wanted = atol(optarg); break;
		case 's': s.seed = strtoull(optarg, NULL, 10); break;
		case 't': s.threads = atoi(optarg); break;
		default: return 2;
		}
	if (!s.model || !s.words || !s.out) {
		fprintf(stderr, "usage: selfchat -m MODEL -w WORDS -o OUT [-n TOKENS] [-s SEED] "
			"[-t THREADS]\n");
		return 2;
	}
	if (run(&s, err) != 0) {
		fprintf(stderr, "selfchat: %s\n", err);
		return 1;
	}
	return 0;
}
