/* short_kit.h - a model with more outputs than its vocabulary has tokens: none of these is ever
 * chosen, under any strategy, and the others are by the law of choice among them.
 *
 * The including file says on which backend.  Nothing here outlives a call. */
#ifndef S3D_TESTS_SHORT_KIT_H
#define S3D_TESTS_SHORT_KIT_H
#include "engine/decode/probs.h"
#include "tests/gguf_edit.h"
#include "tests/mk.h"
#include "tests/strategy_kit.h"

#define SHORT_BIG "build/test-short.gguf"
#define SHORT_LITTLE "build/test-short-little.gguf"
enum { SHORT_OUT = MK_VOCAB_MIN + 203, SHORT_TOKENS = MK_VOCAB_MIN, SHORT_LEN = 16 };

static inline void write_short(const char *path, int n_layers)
{
	struct mk_spec s = MK_TINY;
	char err[ERR_MAX], whole[64];

	s.n_layers = n_layers;
	s.n_embd = 32;
	s.n_heads = 2;
	s.n_kv_heads = 1;
	s.n_ff = 32;
	s.type = "Q8_0";
	s.tied = true;
	s.n_vocab = SHORT_OUT;
	snprintf(whole, sizeof(whole), "%s.whole", path);
	assert_int_equal(mk_write(whole, &s, err), 0);
	gguf_edit_file(path, whole, &(struct edit){ .n_tokens = SHORT_TOKENS });
	remove(whole);
}

/* What the law chooses of the first SHORT_TOKENS logits of each row, from rows that know of no
 * vocabulary; returns how often a longer row has its largest logit behind them. */
static inline int choose_by_hand(const struct backend *be, const int *ids, int n,
				 const struct sampler_opt *law, int *out)
{
	char err[ERR_MAX];
	struct backend_opt o = { .n_threads = 1, .n_batch = 64, .n_out = 4 };
	struct model *m = model_open(SHORT_BIG, NULL, err);
	struct dev *dev = m ? be->open(m, &o, err) : NULL;
	struct sampler *smp = sampler_open(SHORT_TOKENS, NULL, err);
	float row[SHORT_TOKENS + SHORT_TOKENS / PEAK + 1];
	struct session s;
	int behind = 0;

	assert_true(dev && smp);
	assert_int_equal(session_open(&s, be, dev, m, 256, 64, err), 0);
	assert_int_equal(session_set(&s, ids, n, err), 0);
	for (int i = 0; i < SHORT_LEN; i++) {
		const float *all = session_extend(&s, NULL, 0, err);

		assert_non_null(all);
		behind += probs_first(all, SHORT_OUT) >= SHORT_TOKENS;
		memcpy(row, all, sizeof(float) * SHORT_TOKENS);
		probs_peaks(row, SHORT_TOKENS);
		out[i] = sampler_choose(smp, law, row, s.tok, s.n, 1);
		session_accept(&s, 0, out[i]);
	}
	session_close(&s);
	sampler_close(smp);
	be->close(dev);
	model_close(m);
	return behind;
}

static inline int answer_short(const struct strategy *s, int *out)
{
	struct emit e[STEP_MAX];
	char err[ERR_MAX];
	bool done = false;
	int n = 0;

	if (engine_strategy(engine, s->name, err) != 0)
		fail_msg("%s", err);
	while (n < SHORT_LEN && !done) {
		int got = engine_step(engine, SHORT_LEN - n, e, &done, err);

		assert_in_range(got, 1, SHORT_LEN - n);
		for (int i = 0; i < got; i++) {
			if (e[i].tok >= SHORT_TOKENS)
				fail_msg("%s chose %d, which is no token", s->name, e[i].tok);
			out[n++] = e[i].tok;
		}
	}
	return n;
}

/* Every strategy with what a prompt, a temperature and top-k make of it. */
static inline int check_short_prompt(int prompt, float temp, int top_k)
{
	int want[SHORT_LEN], got[SHORT_LEN], ids[64], n = make_prompt(prompt, ids), behind = 0;

	for (int i = 0; strategies[i]; i++) {
		if (strategy_lacks(&engine->strat, strategies[i]))
			continue;
		for (int how = 0; how < 3; how++) {     /* exact, as usual, by the paper */
			begin(prompt, temp, 3, 1);
			engine->strat.law.top_k = top_k;
			engine->strat.opt.rollback_exact = how == 0;
			engine->strat.opt.bild_paper = how == 2;
			behind += i || how ? 0 :
				  choose_by_hand(engine->be, ids, n, &engine->strat.law, want);
			int m = answer_short(strategies[i], got);
			if (strategy_exact(&engine->strat))
				assert_memory_equal(want, got, sizeof(int) * (size_t)m);
		}
	}
	return behind;
}

static inline void check_short_vocabulary(const char *backend, int prompts)
{
	struct engine_opt o = { .model = SHORT_BIG, .model_draft = SHORT_LITTLE, .n_ctx = 256,
				.backend = backend, .be = { .n_threads = 1, .n_batch = 64 } };
	struct engine *other = engine;
	char err[ERR_MAX];
	int behind = 0;

	write_short(SHORT_BIG, 2);
	write_short(SHORT_LITTLE, 1);
	engine = engine_open(&o, err);
	if (!engine || !engine->strat.draft)
		fail_msg("%s", engine ? engine->draft_err : err);
	for (int prompt = 0; prompt < prompts; prompt++) {
		behind += check_short_prompt(prompt, 0, 0);
		behind += check_short_prompt(prompt, 0.8f, 40);
		behind += check_short_prompt(prompt, 1.0f, 0);
	}
	assert_true(behind > 0);     /* else the test has shown nothing */
	engine_close(engine);
	engine = other;
	remove(SHORT_BIG);
	remove(SHORT_LITTLE);
}
#endif
