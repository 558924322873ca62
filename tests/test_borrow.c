/* test_borrow.c - little models with a borrowed embedding table and an output for some tokens:
 * they choose what a whole twin would if its other logits were -infinity, exact strategies stay
 * exact with them, and damaged or foreign ones are refused. */
#include "engine/engine.h"
#include "engine/decode/probs.h"
#include "kernels/devices/registry.h"
#include "tests/borrower.h"
#include "tests/mk.h"
#include "tests/strategy_kit.h"
#include <math.h>

static const char BIG[] = "build/test-borrow-big.gguf", TWIN[] = "build/test-borrow-twin.gguf",
	LITTLE[] = "build/test-borrow-little.gguf", OTHER[] = "build/test-borrow-other.gguf";
enum { N_IDS = 101 };           /* not whole units of 16 rows */
static int ids[N_IDS];

static struct model *open_little(const struct borrower *o, const char *base_path, char err[ERR_MAX])
{
	static struct model *base;
	struct model *m;

	borrower_write(OTHER, TWIN, BIG, o);
	model_close(base);      /* of the call before: it outlives what borrows from it */
	base = base_path ? model_open(base_path, NULL, err) : NULL;
	if (base_path)
		assert_non_null(base);
	m = model_open(OTHER, base, err);
	remove(OTHER);
	return m;
}

static void refused(const struct borrower *o, const char *base, const char *says)
{
	char err[ERR_MAX] = "";

	if (open_little(o, base, err))
		fail_msg("taken, although %s", says);
	if (!strstr(err, says) || !strstr(err, OTHER))
		fail_msg("no '%s' in: %s", says, err);
}

static void test_refused(void **state)
{
	const int not_ascending[] = { 3, 9, 9 }, negative[] = { -1, 4 };
	const int too_large[] = { 1, MK_VOCAB_MIN };
	static int many[MK_VOCAB_MIN + 1];
	char zeros[65];

	(void)state;
	memset(zeros, '0', 64);
	zeros[64] = '\0';
	for (int i = 0; i <= MK_VOCAB_MIN; i++)
		many[i] = i;
	refused(&(struct borrower){ .id = ids, .n = N_IDS }, NULL, "-md");
	refused(&(struct borrower){ .id = ids, .n = N_IDS, .sha256 = zeros }, BIG,
		"made for another model");
	refused(&(struct borrower){ .id = ids, .n = N_IDS, .sha256 = "12" }, BIG, "SHA-256");
	refused(&(struct borrower){ .id = ids, .n = N_IDS, .borrows = "output.weight" }, BIG,
		"s3dchat.borrows");
	refused(&(struct borrower){ .id = not_ascending, .n = 3 }, BIG, "[2] = 9, after 9");
	refused(&(struct borrower){ .id = negative, .n = 2 }, BIG, "[0] = -1");
	refused(&(struct borrower){ .id = too_large, .n = 2 }, BIG, "[1] = 272");
	refused(&(struct borrower){ .id = many, .n = MK_VOCAB_MIN + 1 }, BIG, "1 to 272");
	refused(&(struct borrower){ .id = ids, .n = 0, .rows = 1 }, BIG, "1 to 272");
	refused(&(struct borrower){ .id = ids, .n = N_IDS, .rows = N_IDS - 1 }, BIG,
		"output.weight is 64 x 100");
	refused(&(struct borrower){ .id = ids, .n = N_IDS, .id_type = GGUF_F32 }, BIG,
		"s3dchat.output_ids");
}

/* The hash is over the table's bytes in the file: one bit of it makes another model. */
static void test_other_base(void **state)
{
	char err[ERR_MAX], *bytes;
	size_t n;
	struct gguf *g, *little;
	struct model *base;

	(void)state;
	bytes = borrower_read(BIG, &n);
	g = gguf_parse(bytes, n, "big", err);
	((char *)(uintptr_t)gguf_tensor_find(g, "token_embd.weight")->data)[77] ^= 1;
	base = model_bind(g, NULL, err);
	assert_non_null(base);
	little = gguf_open(LITTLE, err);
	assert_null(model_bind(little, base, err));
	assert_non_null(strstr(err, "made for another model"));
	bytes[(const char *)base->embd->data + 77 - bytes] ^= 1;
	little = gguf_open(LITTLE, err);
	struct model *m = model_bind(little, base, err);
	assert_non_null(m);
	assert_ptr_equal(m->embd, base->embd);
	assert_int_equal(m->cfg.n_out, N_IDS);
	assert_int_equal(m->cfg.n_vocab, MK_VOCAB_MIN);
	model_close(m);
	model_close(base);
	free(bytes);
}

/* Bytes of the keys and the table of tensors changed at random: refused, or all that was promised
 * holds. */
static void test_damaged(void **state)
{
	char err[ERR_MAX];
	size_t n;
	char *bytes = borrower_read(LITTLE, &n), *copy = malloc(n);
	struct model *base = model_open(BIG, NULL, err);
	int taken = 0;

	(void)state;
	srand(3);
	for (int i = 0; i < 5000; i++) {
		struct gguf *g;
		struct model *m;

		memcpy(copy, bytes, n);
		for (int j = rand() % 3; j >= 0; j--)
			copy[rand() % (n / 4)] = (char)(rand() % 4 ? rand() : 255);
		g = gguf_parse(copy, n, "little", err);
		m = g ? model_bind(g, base, err) : NULL;
		if (!m)
			continue;
		taken++;
		assert_int_equal(m->output->dim[1], m->cfg.n_out);
		assert_int_equal(m->embd->dim[1], m->cfg.n_vocab);
		for (int k = 0; m->out_id && k < m->cfg.n_out; k++)
			assert_in_range(m->out_id[k], k ? m->out_id[k - 1] + 1 : 0,
					m->cfg.n_vocab - 1);
		model_close(m);
	}
	print_message("# %d of 5000 taken\n", taken);
	assert_in_range(taken, 500, 4900);
	model_close(base);
	free(copy);
	free(bytes);
}

struct opened {
	struct model *m;
	struct dev *dev;
	struct session s;
	struct sampler *smp;
};

static void side_open(struct opened *x, const char *path, const struct model *base)
{
	struct backend_opt be = { .n_threads = 1, .n_batch = 64, .n_out = 4 };
	char err[ERR_MAX];

	x->m = model_open(path, base, err);
	x->dev = x->m ? backend_cpu.open(x->m, &be, err) : NULL;
	x->smp = x->m ? sampler_open(x->m->cfg.n_out, x->m->out_id, err) : NULL;
	if (!x->dev || !x->smp ||
	    session_open(&x->s, &backend_cpu, x->dev, x->m, 512, 64, err) != 0)
		fail_msg("%s", err);
}

static void side_close(struct opened *x)
{
	session_close(&x->s);
	sampler_close(x->smp);
	backend_cpu.close(x->dev);
	model_close(x->m);
}

/* Both run the same timeline; every choice must be the same. */
static void same_choices(struct opened *twin, struct opened *little, const struct sampler_opt *law,
			 float lambda)
{
	float row[MK_VOCAB_MIN + MK_VOCAB_MIN / PEAK + 1];
	int prompt[] = { 1, 80, 90, 100, 80, 90 };
	char err[ERR_MAX];

	session_set(&twin->s, prompt, 6, err);
	session_set(&little->s, prompt, 6, err);
	for (int step = 0; step < 60; step++) {
		const float *all = session_extend(&twin->s, NULL, 0, err), *some;
		int want, got;

		for (int i = 0; i < MK_VOCAB_MIN; i++)
			row[i] = -INFINITY;
		for (int i = 0; i < N_IDS; i++)
			row[ids[i]] = all[ids[i]];
		probs_peaks(row, MK_VOCAB_MIN);
		some = session_extend(&little->s, NULL, 0, err);
		for (int i = 0; i < N_IDS; i++)
			assert_true(some[i] == row[ids[i]]);
		want = sampler_choose(twin->smp, law, row, twin->s.tok, twin->s.n, lambda);
		got = sampler_choose(little->smp, law, some, little->s.tok, little->s.n, lambda);
		assert_int_equal(got, want);
		/* the timeline also has tokens that the little one cannot say */
		session_accept(&twin->s, 0, step % 5 ? want : 7 * step % MK_VOCAB_MIN);
		session_accept(&little->s, 0, step % 5 ? want : 7 * step % MK_VOCAB_MIN);
	}
}

static void test_like_twin(void **state)
{
	static const float temps[] = { 0, 0.7f, 1.5f }, lambdas[] = { 0, 0.6f, 1 };
	struct opened big, twin, little;

	(void)state;
	side_open(&big, BIG, NULL);
	side_open(&twin, TWIN, NULL);
	side_open(&little, LITTLE, big.m);
	for (int i = 0; i < 54; i++) {
		struct sampler_opt law = SAMPLER_DEFAULTS;

		law.seed = (uint64_t)i;
		law.temp = temps[i % 3];
		law.repeat_penalty = i / 9 % 2 ? 1.3f : 1;
		law.presence_penalty = i / 9 % 2 ? 0.5f : 0;
		law.frequency_penalty = i / 9 % 2 ? 0.25f : 0;
		law.top_k = i / 18 == 0 ? 0 : i / 18 == 1 ? 5 : 40;
		same_choices(&twin, &little, &law, lambdas[i / 3 % 3]);
	}
	side_close(&little);
	side_close(&twin);
	side_close(&big);
}

static void test_exact(void **state)
{
	const char *(*const all[])(int) = { draft, bild, automatic, random_one };
	struct engine_opt o = { .model = BIG, .model_draft = LITTLE, .n_ctx = 512,
				.be = { .n_threads = 1, .n_batch = 64 } };
	char err[ERR_MAX];

	(void)state;
	engine = engine_open(&o, err);
	if (!engine || !engine->strat.draft)
		fail_msg("%s", engine ? engine->draft_err : err);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		long accepted = 0;

		identity(all[i], &accepted);
		print_message("# %ld drafts accepted\n", accepted);
		assert_true(accepted > 50);
	}
	engine_close(engine);
}

/* A little model opened as the big one, and one beside the wrong big one. */
static void test_engine_says(void **state)
{
	struct engine_opt o = { .model = LITTLE, .n_ctx = 64, .be = { .n_threads = 1 } };
	char err[ERR_MAX] = "";

	(void)state;
	assert_null(engine_open(&o, err));
	assert_non_null(strstr(err, "-md"));
	o.model = OTHER;
	o.model_draft = LITTLE;
	struct mk_spec spec = MK_TINY;
	spec.seed = 5;
	assert_int_equal(mk_write(OTHER, &spec, err), 0);
	engine = engine_open(&o, err);
	assert_non_null(engine);
	assert_null(engine->strat.draft);
	assert_non_null(strstr(engine->draft_err, "made for another model"));
	engine_close(engine);
	remove(OTHER);
}

static int set_up(void **state)
{
	struct mk_spec spec = MK_TINY;
	char err[ERR_MAX];

	(void)state;
	for (int i = 0; i < N_IDS; i++)
		ids[i] = i * 27 / 10;
	spec.type = "Q8_0";
	spec.tied = true;       /* such models like to repeat, and so agree now and then */
	spec.n_layers = 2;
	if (mk_write(BIG, &spec, err) != 0)
		return -1;
	spec.n_layers = 1;      /* the same table, which is written first */
	if (mk_write(TWIN, &spec, err) != 0)
		return -1;
	borrower_write(LITTLE, TWIN, BIG, &(struct borrower){ .id = ids, .n = N_IDS });
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	remove(BIG);
	remove(TWIN);
	remove(LITTLE);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused), cmocka_unit_test(test_other_base),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_like_twin), cmocka_unit_test(test_exact),
		cmocka_unit_test(test_engine_says),
	};

	return cmocka_run_group_tests_name("borrow", tests, set_up, tear_down);
}
