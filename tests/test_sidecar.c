/* test_sidecar.c - sidecars written and read back, and all kinds of wrong ones refused. */
#include "engine/sidecar/sidecar.h"
#include "tests/bridge_kit.h"
#include <errno.h>
#include <sys/resource.h>
#include <signal.h>

static const struct mk_spec spec = MK_SMALL(.n_layers = 6, .n_embd = 64, .n_heads = 4,
	.n_kv_heads = 2, .n_ff = 96, .type = "F32", .seed = 1);
static const char path[] = "build/test-sidecar.gguf";
static const double expected[BRIDGE_ROWS] = { 0.75, 0.5, 0.25, 0.125 };
static int vocab[PEAK];

static struct rig rig(uint64_t seed)
{
	struct backend_opt o = rig_opt(F16, "auto", 1);
	struct mk_spec other = spec;

	other.seed = seed;
	return open_rig_on(&backend_cpu, &other, &o);
}

static void write_one(struct crossing *x, struct rig *r, enum quant_type type, bool adapters)
{
	char err[ERR_MAX];

	make_bridge(x, r, 1, 4, type, adapters);
	for (int i = 0; i < PEAK; i++)
		vocab[i] = 7 * i;
	x->g.vocab = vocab;
	x->g.n_vocab = PEAK;
	if (sidecar_write(path, r->m, &x->g, expected, "test_sidecar", err) != 0)
		fail_msg("%s", err);
}

static void same_tensor(const struct gguf_tensor *a, const struct gguf_tensor *b)
{
	if (!a && !b)
		return;
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->dim[0], b->dim[0]);
	assert_int_equal(a->dim[1], b->dim[1]);
	assert_int_equal(a->bytes, b->bytes);
	assert_memory_equal(a->data, b->data, a->bytes);
}

/* What was written comes back. */
static void test_back(void **state)
{
	static const enum quant_type types[] = { QUANT_F32, QUANT_F16, QUANT_Q8_0 };

	(void)state;
	for (int i = 0; i < 3; i++) {
		struct rig r = rig(1);
		char err[ERR_MAX];
		struct crossing x;
		struct sidecar *s;

		write_one(&x, &r, types[i], i > 0);
		s = sidecar_open(path, r.m, err);
		if (!s)
			fail_msg("%s", err);
		assert_int_equal(s->bridge.a, 1);
		assert_int_equal(s->bridge.s, 4);
		assert_int_equal(s->bridge.k, ROWS);
		assert_int_equal(s->bridge.n_vocab, PEAK);
		assert_memory_equal(s->bridge.vocab, vocab, sizeof(vocab));
		assert_memory_equal(s->expected, expected, sizeof(expected));
		same_tensor(s->bridge.weight, x.g.weight);
		same_tensor(s->bridge.bias, x.g.bias);
		assert_int_equal(s->bridge.rank, i ? RANK : 0);
		assert_true(!s->bridge.adapt == !i);
		for (int l = 4; i && l < 6; l++)
			for (int j = 0; j < ADAPTS; j++) {
				same_tensor(s->bridge.adapt[l][j].down, x.adapt[l][j].down);
				same_tensor(s->bridge.adapt[l][j].up, x.adapt[l][j].up);
			}
		assert_int_equal(backend_cpu.draft->bridge(r.d, &s->bridge, err), 0);
		assert_int_equal(backend_cpu.draft->bridge(r.d, NULL, err), 0);
		sidecar_close(s);
		free_bridge(&x);
		close_rig(&r);
	}
	remove(path);
}

static void refused(const struct rig *r, const char *says)
{
	char err[ERR_MAX] = "";

	assert_null(sidecar_open(path, r->m, err));
	if (!strstr(err, says))
		fail_msg("'%s' and not '%s'", err, says);
}

/* For a model with one weight other than this one's, and for one of another shape. */
static void test_other_model(void **state)
{
	struct rig r = rig(1), other = rig(2);
	struct crossing x;
	char a[65], b[65];

	(void)state;
	write_one(&x, &r, QUANT_F16, false);
	sidecar_base(r.m, a);
	sidecar_base(other.m, b);
	assert_string_not_equal(a, b);
	refused(&other, "made for another model");
	refused(&other, "calibrate");
	free_bridge(&x);
	close_rig(&r);
	close_rig(&other);
	remove(path);
}

/* Cut anywhere it is refused, and so is what is no sidecar at all. */
static void test_cut(void **state)
{
	struct rig r = rig(1);
	char err[ERR_MAX];
	struct crossing x;
	long size;
	FILE *f;

	(void)state;
	write_one(&x, &r, QUANT_Q8_0, true);
	f = fopen(path, "rb");
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	fclose(f);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(truncate(path, size - 1 - size * i / 40), 0);
		err[0] = '\0';
		assert_null(sidecar_open(path, r.m, err));
		assert_true(*err);
	}
	if (mk_write(path, &spec, err) != 0)
		fail_msg("%s", err);
	refused(&r, "is not a sidecar");
	remove(path);
	refused(&r, "No such file");
	free_bridge(&x);
	close_rig(&r);
}

/* The bytes of a sidecar with one number changed. */
static void patch(const char *key, uint32_t value)
{
	FILE *f = fopen(path, "r+b");
	static char all[1 << 16];
	size_t n = fread(all, 1, sizeof(all), f);
	char *at = memmem(all, n, key, strlen(key));

	assert_non_null(at);
	fseek(f, at - all + (long)strlen(key) + 4, SEEK_SET);   /* behind the value's type */
	fwrite(&value, 4, 1, f);
	fclose(f);
}

static void test_wrong_numbers(void **state)
{
	static const struct { const char *key; uint32_t value; const char *says; } all[] = {
		{ "s3d.a", 5, "from layer 5 to 4" }, { "s3d.s", 6, "to 6" },
		{ "s3d.k", 3, "3 rows of this model" }, { "s3d.k", 0, "for 0 rows" },
		{ "s3d.a", 0xffffffff, "s3d.a, s3d.s and s3d.k" }, { "s3d.rank", 33, "rank 33" },
		{ "s3d.rank", 64, "shape or type" },
	};
	struct rig r = rig(1);

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct crossing x;

		write_one(&x, &r, QUANT_F16, true);
		patch(all[i].key, all[i].value);
		refused(&r, all[i].says);
		free_bridge(&x);
	}
	close_rig(&r);
	remove(path);
}

/* No room: a text, the old file as it was, and nothing else left. */
static void test_full(void **state)
{
	struct rig r = rig(1);
	struct rlimit old, few;
	struct crossing x;
	char err[ERR_MAX];
	struct sidecar *s;

	(void)state;
	write_one(&x, &r, QUANT_F16, false);
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	few = old;
	few.rlim_cur = 10000;
	setrlimit(RLIMIT_FSIZE, &few);
	assert_int_equal(sidecar_write(path, r.m, &x.g, expected, "test", err), -1);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_non_null(strstr(err, "File too large"));
	assert_int_equal(access("build/test-sidecar.gguf.tmp", F_OK), -1);
	s = sidecar_open(path, r.m, err);
	assert_non_null(s);
	sidecar_close(s);
	assert_int_equal(sidecar_write("build/none/x.gguf", r.m, &x.g, expected, "test", err), -1);
	assert_non_null(strstr(err, "build/none/x.gguf"));
	free_bridge(&x);
	close_rig(&r);
	remove(path);
}

/* Codes are within half a step, and a scale that f16 cannot hold exactly does not make it worse. */
static void test_q8(void **state)
{
	float x[64], y[64];
	uint8_t blocks[2 * 34];

	(void)state;
	for (int i = 0; i < 64; i++)
		x[i] = (float)(i * 37 % 64 - 30) * (i < 32 ? 0.013f : 1e-3f);
	sidecar_q8(x, blocks, 64);
	quant_row(QUANT_Q8_0, blocks, y, 64);
	for (int i = 0; i < 64; i++)
		assert_true(fabsf(x[i] - y[i]) <= (i < 32 ? 0.42f : 0.033f) / 127 * 0.56f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_back),
		cmocka_unit_test(test_other_model),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_wrong_numbers),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_q8),
	};

	srand(5);
	return cmocka_run_group_tests_name("sidecar", tests, NULL, NULL);
}
