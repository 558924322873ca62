/* test_calibrate.c - whole calibrations of tiny models: of every architecture, of a text, out of
 * memory. */
#include "engine/place/memory.h"
#include "kernels/devices/registry.h"
#include "engine/decode/probs.h"
#include "tests/calibrate_kit.h"

static void test_models(void **state)
{
	static const struct mk_spec specs[] = {
		MK_SMALL(.n_layers = 2, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96,
			 .type = "F32", .seed = 1),
		{ .n_layers = 6, .n_embd = 64, .n_heads = 4, .n_kv_heads = 2, .n_ff = 96,
		  .n_vocab = 6000, .n_ctx = 512, .type = "Q4_1", .embd_type = "Q8_0", .tied = true,
		  .rope_freqs = true, .seed = 2 },
		{ .n_layers = 5, .n_embd = 96, .n_heads = 6, .n_kv_heads = 2, .n_ff = 160,
		  .n_vocab = MK_VOCAB_MIN + 5, .n_ctx = 256, .type = "Q4_0", .tied = true,
		  .seed = 3 },
		MK_SMALL(.n_layers = 4, .n_embd = 64, .n_heads = 4, .n_kv_heads = 4, .n_ff = 96,
			 .type = "F16", .tied = true, .seed = 4, .arch = "qwen2"),
		MK_OTHERS
	};
	struct calibrate_result r;

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		make(&specs[i]);
		must((struct calibrate_opt){ .sums_most = 0 }, &r);
		print_message("# %s %d layers: %d bridges, best %d to %d, %.2f drafts, %.1f s of "
			      "%.1f, %zu MiB\n", specs[i].arch ? specs[i].arch : "llama",
			      specs[i].n_layers, r.n, r.row[r.chosen].a, r.row[r.chosen].s,
			      r.row[r.chosen].run[0], r.seconds, begin_s, begin_bytes >> 20);
		check_sidecar(&r);
		assert_true(i != 1 || (r.n == 4 || r.n == 2));
		assert_true((i == 1) == (r.vocab > 0));
		assert_int_equal(*notes, 0);
		assert_true(r.seconds < 5 * begin_s + 30);      /* others may be at work */
	}
}

/* The key of the chat template gets another name. */
static void hide_template(void)
{
	static const char key[] = "tokenizer.chat_template";
	FILE *f = fopen(model, "r+b");
	static char all[1 << 20];
	char *at = memmem(all, fread(all, 1, sizeof(all), f), key, sizeof(key) - 1);

	assert_non_null(at);
	fseek(f, at - all, SEEK_SET);
	fputs("tokenizer.chat_x", f);
	fclose(f);
}

static void test_no_template(void **state)
{
	struct calibrate_result r;

	(void)state;
	make(&tiny);
	hide_template();
	must((struct calibrate_opt){ .sums_most = 0 }, &r);
	must((struct calibrate_opt){ .engine.chat_template = "llama2" }, &r); /* no end */
	check_sidecar(&r);
}

/* What is needed beside what the program has: a sanitizer keeps what was freed before. */
static size_t more_bytes(struct calibrate_opt o, struct calibrate_result *r)
{
	size_t has = machine_taken();

	must(o, r);
	return begin_bytes - has;
}

static void test_memory(void **state)
{
	struct mk_spec wide = MK_SMALL(.n_layers = 12, .n_embd = 256, .n_heads = 4, .n_kv_heads = 2,
		.n_ff = 96, .type = "Q8_0", .tied = true, .seed = 1);
	struct calibrate_result r;
	size_t all;

	(void)state;
	make(&wide);
	all = more_bytes((struct calibrate_opt){ .sums_most = 0 }, &r);
	assert_int_equal(r.n, 8);
	assert_true(more_bytes((struct calibrate_opt){ .sums_most = 12 << 20 }, &r) < all);
	assert_int_equal(r.n, 1);
	begin_s = 0;
	refused((struct calibrate_opt){ .free = 5 << 20 }, "MiB even for one bridge");
	assert_true(begin_s == 0);      /* before it began */
	assert_true(more_bytes((struct calibrate_opt){ .free = 70 << 20 }, &r) <=
		    (size_t)70 << 20 || r.n < 8);
}

static void test_text(void **state)
{
	struct calibrate_result r;
	char path[96];
	FILE *f;

	(void)state;
	make(&tiny);
	must((struct calibrate_opt){ .text = "LICENSE" }, &r);
	check_sidecar(&r);
	refused((struct calibrate_opt){ .text = "build/no-such-text" }, "No such file");
	refused((struct calibrate_opt){ .text = "build" }, "directory");
	refused((struct calibrate_opt){ .text = "/dev/null" }, "too short to calibrate with");
	snprintf(path, sizeof(path), "%s/short", folder);
	f = fopen(path, "w");
	fputs("Not much.\n", f);
	fclose(f);
	refused((struct calibrate_opt){ .text = path }, "too short to calibrate with");
	assert_int_equal(access(part, F_OK), -1);
}

/* How often the first draft holds on a text, found forwards: a draft, then the token itself. */
static double first_draft(const int *ids, int from, int to)
{
	char err[ERR_MAX];
	struct model *m = model_open(model, NULL, err);
	struct sidecar *s = sidecar_open(out, m, err);
	struct backend_opt o = { .n_threads = 1 };
	struct dev *d = backend_cpu.open(m, &o, err);
	struct kv *kv = backend_cpu.kv_new(d, CONTEXT, err);
	struct schedule whole, over;
	int held = 0;

	assert_int_equal(backend_cpu.draft->kv_keep(kv, (int[]){ s->bridge.s, m->cfg.n_layers - 1 },
						    2, err), 0);
	assert_int_equal(backend_cpu.draft->bridge(d, &s->bridge, err), 0);
	schedule_make(&whole, m, &(struct plan){ .target = true });
	schedule_make(&over, m, &(struct plan){ .bridge = &s->bridge });
	for (int n = 0; n < to; n++) {
		struct batch b = { .tok = ids + n, .n = 1, .pos = n, .n_out = 1, .run = &over };
		int draft = probs_first(backend_cpu.forward(d, kv, &b), m->cfg.n_out);

		b.run = &whole;
		held += n >= from && draft == probs_first(backend_cpu.forward(d, kv, &b),
							  m->cfg.n_out);
	}
	backend_cpu.kv_free(kv);
	backend_cpu.close(d);
	sidecar_close(s);
	model_close(m);
	return (double)held / (to - from);
}

/* What is expected of drafts is what they do, on the text's first window, which was not used. */
static void test_expected(void **state)
{
	static const struct mk_spec spec = MK_SMALL(.n_layers = 4, .n_embd = 64, .n_heads = 4,
		.n_kv_heads = 4, .n_ff = 96, .type = "F16", .tied = true, .seed = 4,
		.arch = "qwen2");
	struct calibrate_result r;
	char err[ERR_MAX], text[4096];
	int ids[4096], n;
	FILE *f = fopen("LICENSE", "r");
	struct tokenizer *tok;
	struct model *m;
	double hit;

	(void)state;
	make(&spec);
	must((struct calibrate_opt){ .text = "LICENSE", .minutes = 0.1 }, &r);
	m = model_open(model, NULL, err);
	tok = tokenizer_open(m->file, err);
	n = (int)fread(text, 1, sizeof(text), f);
	assert_true(tokenizer_encode(tok, text, (size_t)n, false, ids, 4096, err) > CONTEXT);
	hit = first_draft(ids, 16, CONTEXT - 4);
	print_message("# first draft: %.3f expected, %.3f found\n", r.row[r.chosen].hit[0], hit);
	assert_true(fabs(hit - r.row[r.chosen].hit[0]) < 0.12);
	tokenizer_close(tok);
	model_close(m);
	fclose(f);
}

/* The model's template gets a system prompt of n letters: a whole number of 32 bytes is put into
 * the file, so that its tensors lie as they should. */
static void give_system(int n)
{
	static const char key[] = "tokenizer.chat_template";
	static char all[1 << 20], more[1024];
	FILE *f = fopen(model, "r+b");
	size_t size = fread(all, 1, sizeof(all), f);
	char *at = memmem(all, size, key, sizeof(key) - 1);
	int len = sprintf(more, "{{ '<|im_start|>system\n%0*d<|im_end|>\n' }}", n, 0);
	uint64_t text;

	assert_non_null(at);
	for (; len % 32; len++)
		more[len] = ' ';
	at += sizeof(key) - 1 + 4;
	memcpy(&text, at, 8);
	text += (uint64_t)len;
	memcpy(at, &text, 8);
	rewind(f);
	at += 8;
	fwrite(all, 1, (size_t)(at - all), f);
	fwrite(more, 1, (size_t)len, f);
	fwrite(at, 1, size - (size_t)(at - all), f);
	assert_int_equal(fclose(f), 0);
}

/* Behind the frame come the words of a question, those that the model adds when all lines have been
 * asked, and an answer.  What would end behind the context is refused before. */
static void test_long_system(void **state)
{
	static const struct { int n; bool fits; } all[] = {
		{ 280, false }, { 260, false }, { 240, false }, { 180, true },
	};
	struct calibrate_opt o = { .lanes = 64, .minutes = 0.2 };
	struct calibrate_result r;
	char err[ERR_MAX] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		make(&tiny);
		give_system(all[i].n);
		assert_int_equal(calibrate(o, &r, err), all[i].fits ? 0 : -1);
		assert_true(all[i].fits || strstr(err, "too short for a question"));
	}
}

/* What is told after `gone` of 1000 seconds, the last of them spent on timing (100) and on holding
 * (10). */
static double left(struct calibrate *c, double gone, double done)
{
	double now = clock_now();

	c->start = now - gone;
	c->end = c->start + 700;
	c->weighs = now - 110;
	c->holds = now - 10;
	c->told = 0;
	calibrate_tell(c, done, "test");
	return told_left;
}

/* Time that went into other things does not count for what is left, which never grows by itself. */
static void test_left(void **state)
{
	const struct calibrate_opt o = { .progress = on_progress };
	struct calibrate_result r = { .n = 0 };
	struct calibrate c = { .o = &o, .r = &r, .all_s = 1000 };

	(void)state;
	assert_true(fabs(left(&c, 600, -1) - 400) < 1);
	assert_true(fabs(left(&c, 650, -1) - 350) < 1);
	assert_true(fabs(left(&c, 800, -1) - 300) < 1); /* the text is late */
	r.text_s = 800;
	assert_true(fabs(left(&c, 900, -1) - 100) < 1);
	assert_true(fabs(left(&c, 901, 0.1) - 90) < 1); /* a tenth took 10 seconds */
	assert_true(fabs(left(&c, 902, 0.09) - 90) < 1);        /* slower: it waits */
	assert_true(fabs(left(&c, 903, 0.5) - 10) < 1);
	calibrate_found(&c, 40);
	assert_true(fabs(left(&c, 904, 0.2) - 40) < 1);
	calibrate_found(&c, 20);                        /* less than was known */
	assert_true(fabs(left(&c, 905, 0.1) - 40) < 1);
	assert_true(fabs(left(&c, 906, 0.9) - 1.1) < 0.2);
}

static void test_refused(void **state)
{
	struct mk_spec one = MK_TINY, little = MK_TINY;

	(void)state;
	make(&tiny);
	begin_s = 0;
	refused((struct calibrate_opt){ .out = "build/no-such-folder/x" }, "cannot write");
	assert_true(begin_s == 0);
	one.n_layers = 1;
	make(&one);
	refused((struct calibrate_opt){ .sums_most = 0 }, "one layer");
	little.n_ctx = 64;
	make(&little);
	refused((struct calibrate_opt){ .sums_most = 0 }, "too short");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_no_template),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_expected),
		cmocka_unit_test(test_long_system),
		cmocka_unit_test(test_left),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("calibrate", tests, begin, end);
}
