/* test_host_layers.c - --host-layers auto: who gets the layers that do not fit, by two speeds of
 * which the test sets one (of fake_gpu.h) or both (in the file where they are kept); what a broken
 * file does, and one that is about others.
 *
 * Owns a folder.  Of the big model two layers fit, see test_gpu_plan.c. */
#include "engine/info.h"
#include "tests/fake_gpu.h"
#include "tests/folder_kit.h"
#include "tests/mk.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#define MIB ((size_t)1 << 20)
#define FAST 1e15
static const char HASH[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

static char folder[] = "build/test-host-layers-XXXXXX";
static char model[64], other[64], side[64], file[64], err[ERR_MAX];
static struct memory_plan seen;
static char note[ERR_MAX], device[192];

static void on_plan(void *ctx, const struct memory_plan *p)
{
	(void)ctx;
	seen = *p;
}

static struct engine_opt on_card(double bus)
{
	fake = (struct fake_gpu){ .there = true, .free = 1000 * MIB, .layer = 10 * MIB,
				  .fixed = 5 * MIB, .bus = bus, .name = "A card" };
	memset(&seen, 0, sizeof(seen));
	return (struct engine_opt){ .model = model, .backend = "cuda", .n_ctx = 512,
				    .host = HOST_AUTO, .host_file = file, .planned = on_plan,
				    .be = { .n_threads = 1, .budget = 26 * MIB } };
}

/* Whether the cpu has got the layers that do not fit. */
static bool by_cpu(const struct engine_opt *o)
{
	struct engine *e = engine_open(o, err);

	if (!e)
		fail_msg("%s", err);
	assert_int_equal(e->plan.by_cpu, seen.by_cpu);
	assert_true(!seen.device || fake.told[0].host_layers == seen.host_layers);
	snprintf(note, sizeof(note), "%s", e->notes[NOTE_LAYERS]);
	snprintf(device, sizeof(device), "%s", engine_device(e));
	engine_close(e);
	assert_int_equal(fake.devs + fake.kvs, 0);
	assert_true(!strstr(device, "layers: cpu, ") ==
		    !(seen.by_cpu && seen.host_layers));
	return seen.by_cpu;
}

static void put(const char *text)
{
	FILE *f = fopen(file, "wb");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static char *get(void)
{
	static char text[1 << 16];
	FILE *f = fopen(file, "rb");

	*text = '\0';
	if (f) {
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
		fclose(f);
	}
	return text;
}

static int lines(void)
{
	int n = 0;

	for (const char *p = get(); (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static int none(void **state)
{
	(void)state;
	remove(file);
	return 0;
}

/* The faster one; found once, and then read. */
static void test_both(void **state)
{
	(void)state;
	for (int fast = 0; fast < 2; fast++) {
		struct engine_opt o = on_card(fast ? FAST : 1);
		double bus = fast ? 9e13 : 1e6;         /* as far as a line goes */

		none(NULL);
		assert_int_equal(by_cpu(&o), !fast);
		assert_int_equal(fake.measured, 1);
		assert_int_equal(seen.host_layers, 2);
		assert_true(fabs(seen.speed.bus / fake.bus - 1) < 1e-9 && seen.speed.cpu > 1);
		assert_int_equal(strlen(seen.speed.date), 10);
		assert_string_equal(note, "");
		assert_int_equal(lines(), 2);
		fake.bus = fast ? 1 : FAST;             /* it is not asked again */
		assert_int_equal(by_cpu(&o), !fast);
		assert_int_equal(fake.measured, 1);
		assert_true(seen.speed.bus == bus);
		o.host_file = NULL;                     /* without a place: each time */
		assert_int_equal(by_cpu(&o), fast);
		assert_int_equal(fake.measured, 2);
	}
}

/* The model's line of the file, made anew with other speeds. */
static void say(int bus, int cpu)
{
	char text[256], hash[65], name[65];
	int threads;

	assert_int_equal(sscanf(get(), "s3dchat host-layers 2\n%64s %d auto %*d %*d %*d %*d "
				"%*s %64s",
				hash, &threads, name), 3);
	assert_string_equal(name, "A_card");
	snprintf(text, sizeof(text), "s3dchat host-layers 2\n%s %d auto %d %d 300000 20000 "
		 "2026-11-30 %s\n", hash, threads, bus, cpu, name);
	put(text);
}

static void test_stored(void **state)
{
	struct engine_opt o = on_card(1);

	(void)state;
	by_cpu(&o);
	say(6100, 18000);
	assert_true(by_cpu(&o));
	assert_true(seen.speed.bus == 6.1e9 && seen.speed.cpu == 18e9);
	assert_string_equal(seen.speed.date, "2026-11-30");
	say(18001, 18000);
	assert_false(by_cpu(&o));
	say(18000, 18000);
	assert_false(by_cpu(&o));
	assert_int_equal(fake.measured, 1);
}

/* Whose speeds they are: model, card, threads and kernels. */
static void test_keys(void **state)
{
	struct engine_opt o = on_card(1);
	char *text;

	(void)state;
	for (int round = 0; round < 2; round++) {
		o = on_card(1);
		by_cpu(&o);
		o.be.kernels = "float";
		by_cpu(&o);
		o.be.kernels = "auto";
		o.model = other;
		by_cpu(&o);
		o.model = model;
		fake.name = "Another\ncard\033[2J";
		by_cpu(&o);
		assert_int_equal(fake.measured, round ? 0 : 4);
		assert_int_equal(lines(), 5);
		assert_null(strchr(get(), '\033'));
	}
	text = get();           /* as if all of it were of another number of threads */
	for (char *p = text; (p = strstr(p, " 1 ")); p++)
		p[1] = '9';
	put(text);
	by_cpu(&o);
	assert_int_equal(fake.measured, 1);
	assert_int_equal(lines(), 6);
}

/* What is broken is as if it was not there, and then whole again. */
static void test_broken(void **state)
{
	static const char good[] = "s3dchat host-layers 2\n"
		"%s 1 auto 6100 18000 300000 20000 2026-11-30 A\n";
	static const char *const bad[] = {
		"", "\n", "s3dchat host-layers 1\n", "s3dchat host-layers 2",
		"s3dchat host-layers 2\n%s 1 auto 6100 18000 2026-11-30 A\n",
		"s3dchat host-layers 2\n%s 1 auto 6100 18000 0 20000 2026-11-30 A\n",
		"s3dchat host-layers 2\n%s 1 auto 6100 18000 300000 0 2026-11-30 A\n",
		"s3dchat host-layers 2\nx\n", "s3dchat host-layers 2\n\n",
		"s3dchat host-layers 2\n%s 1 auto 6100 18000 300000 20000 2026-11-30 A",
		"s3dchat host-layers 2\n%s1 1 auto 6100 18000 300000 20000 2026-11-30 A\n",
		"s3dchat host-layers 2\n%s 0 auto 6100 18000 300000 20000 2026-11-30 A\n",
		"s3dchat host-layers 2\n%s 1 au/to 6100 18000 300000 20000 2026-11-30 A\n",
		"s3dchat host-layers 2\n%s 1 auto 0 18000 300000 20000 2026-11-30 A\n",
		"s3dchat host-layers 2\n%s 1 auto 6100 -1 300000 20000 2026-11-30 A\n",
		"s3dchat host-layers 2\n%s 1 auto 6100 99999999999 300000 20000 2026-11-30 A\n",
		"s3dchat host-layers 2\n%s 1 auto 6100 nan 300000 20000 2026-11-30 A\n",
		"s3dchat host-layers 2\n%s 1 auto 6100 18000 300000 20000 2026-11-3 A\n",
		"s3dchat host-layers 2\n%s 1 auto 6100 18000 300000 20000 2026-11-300 A\n",
		"s3dchat host-layers 2\n%s 1 auto 6100 18000 300000 20000 ----------  A\n",
		"s3dchat host-layers 2\n%s 1 auto 6100 18000 300000 20000 2026-11-30 %s\n",
	};
	char text[512];
	struct engine_opt o = on_card(1);

	(void)state;
	snprintf(text, sizeof(text), good, HASH);       /* of another: one more */
	put(text);
	assert_true(by_cpu(&o));
	assert_int_equal(lines(), 3);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *rest = strstr(bad[i], "%s");
		int first = rest ? (int)(rest - bad[i]) : (int)strlen(bad[i]);

		snprintf(text, sizeof(text), "%.*s%s%s", first, bad[i], rest ? HASH : "",
			 rest ? rest + 2 : "");
		for (char *more = strstr(text, "%s"); more; more = NULL)
			snprintf(more, sizeof(text) - (size_t)(more - text), "%s\n", HASH);
		put(text);
		fake.measured = 0;
		assert_true(by_cpu(&o));
		if (fake.measured != 1 || lines() != 2)
			fail_msg("broken file %zu: %d lines, measured %d times", i, lines(),
				 fake.measured);
	}
}

/* Zero bytes, too long, and a folder in its place. */
static void test_no_text(void **state)
{
	struct engine_opt o = on_card(1);
	FILE *f = fopen(file, "wb");

	(void)state;
	fwrite("s3dchat host-layers 2\n\0\n", 1, 24, f);
	fclose(f);
	assert_true(by_cpu(&o) && fake.measured == 1 && lines() == 2);
	f = fopen(file, "ab");          /* behind what is good and of this model */
	fwrite("\0\n", 1, 2, f);
	fclose(f);
	assert_true(by_cpu(&o) && fake.measured == 2 && lines() == 2);
	f = fopen(file, "ab");
	for (int i = 0; i < 2000; i++)
		fprintf(f, "%s 1 auto 6100 18000 300000 20000 2026-11-30 A\n", HASH);
	fclose(f);
	assert_true(by_cpu(&o) && fake.measured == 3 && lines() == 2);
	remove(file);
	o.host_file = "build/there-is-no-such-folder/file";
	assert_true(by_cpu(&o) && fake.measured == 4);
	assert_non_null(strstr(note, "not kept"));
}

/* The oldest are forgotten. */
static void test_many(void **state)
{
	struct engine_opt o = on_card(1);
	char names[70][8];

	(void)state;
	for (int i = 0; i < 70; i++) {
		snprintf(names[i], sizeof(names[i]), "card%d", i);
		fake.name = names[i];
		by_cpu(&o);
	}
	assert_int_equal(fake.measured, 70);
	assert_int_equal(lines(), 1 + 64);
	fake.name = names[6];
	by_cpu(&o);
	assert_int_equal(fake.measured, 70);
	fake.name = names[5];
	by_cpu(&o);
	assert_int_equal(fake.measured, 71);
}

/* Nothing is left over, or nobody asked. */
static void test_not_asked(void **state)
{
	struct engine_opt o = on_card(1);

	(void)state;
	o.be.budget = 0;
	assert_false(by_cpu(&o));
	o.be.budget = 26 * MIB;
	o.host = HOST_BUS;
	assert_false(by_cpu(&o));
	o.host = HOST_CPU;
	assert_true(by_cpu(&o));
	assert_int_equal(fake.measured, 0);
	o.host = HOST_AUTO;
	o.backend = "cpu";
	assert_false(by_cpu(&o));
	assert_int_equal(fake.measured, 0);
	assert_string_equal(get(), "");
}

/* Over the bus, as without auto. */
static void test_not_measured(void **state)
{
	struct engine_opt o = on_card(0);

	(void)state;
	assert_false(by_cpu(&o));
	assert_non_null(strstr(note, "--host-layers auto: layers are read over the bus"));
	assert_non_null(strstr(note, "no bus to be seen"));
	fake.name = NULL;
	assert_false(by_cpu(&o));
	assert_non_null(strstr(note, "without a name"));
	assert_true(seen.speed.bus == 0 && seen.speed.cpu == 0);
	assert_string_equal(get(), "");
}

/* Caches of layers that the cpu has are not on the card: what does not fit over the bus may. */
static void test_fits_only_so(void **state)
{
	struct engine_opt o = on_card(FAST);

	(void)state;
	o.n_ctx = 8192;         /* 4 MiB of cache */
	o.be.budget = 6 * MIB;
	o.host = HOST_BUS;
	assert_null(engine_open(&o, err));
	o.host = HOST_AUTO;
	assert_true(by_cpu(&o));
	assert_int_equal(seen.host_layers, 4);
	o.be.budget = 4 * MIB;
	assert_null(engine_open(&o, err));
	assert_non_null(strstr(err, "are missing"));
}

/* A sidecar whose bridge goes over the cut is not loaded, and its room is for layers. */
static void test_sidecar(void **state)
{
	struct engine_opt o = on_card(1);
	struct engine *e;
	size_t without;

	(void)state;
	o.host = HOST_CPU;
	o.be.budget = 45 * MIB + 4 * 128 * 512;         /* all layers, and nothing else */
	by_cpu(&o);
	assert_int_equal(seen.host_layers, 0);
	o.limit_layers = true;
	o.gpu_layers = 1;
	by_cpu(&o);
	without = memory_total(&seen);
	for (o.gpu_layers = 1; o.gpu_layers <= 2; o.gpu_layers++) {
		o.sidecar = side;
		assert_non_null(e = engine_open(&o, err));
		assert_int_equal(seen.host_layers, 4 - o.gpu_layers);
		if (o.gpu_layers == 1) {        /* a bridge to layer 2, and the cpu has 3 */
			assert_int_equal(seen.sidecar, 0);
			assert_int_equal(memory_total(&seen) - seen.now, without - seen.now);
			assert_null(e->sidecar);
			assert_non_null(strstr(e->sidecar_err, "-ngl 2"));
		} else {
			assert_true(seen.sidecar > 0);
		}
		engine_close(e);
	}
}

/* Groups that cpu and card share, if that pays: which layers go where, by speeds that are kept. */
static void test_groups(void **state)
{
	struct engine_opt o = on_card(1);

	(void)state;
	o.host = HOST_CPU;
	o.cqil = "0:4:2";
	fake.own = 1e9;
	by_cpu(&o);
	assert_int_equal(fake.measured, 1);
	assert_int_equal(lines(), 2);
	assert_int_equal(seen.host_layers, 2);
	assert_true(seen.groups.size == 2 && seen.groups.share == 1 && seen.groups.other > 0);
	assert_true(seen.groups.spread.from == 0 && seen.groups.spread.size == 2);
	assert_memory_equal(&fake.told[0].spread, &seen.groups.spread,
			    sizeof(seen.groups.spread));
	fake.cross = 1;         /* not asked again, with auto too */
	o.host = HOST_AUTO;
	by_cpu(&o);
	assert_int_equal(fake.measured, 1);
	assert_int_equal(seen.groups.spread.size, 2);
	none(NULL);
	by_cpu(&o);
	assert_true(seen.groups.share == 1 && !seen.groups.spread.size && seen.by_cpu);
	assert_int_equal(fake.told[0].spread.size, 0);
	o.cqil = "0:4:2:1";
	by_cpu(&o);
	assert_int_equal(seen.groups.share, 0);
	o.cqil = NULL;
	by_cpu(&o);
	assert_int_equal(seen.groups.share, 0);
}

static void test_groups_not_measured(void **state)
{
	struct engine_opt o = on_card(0);

	(void)state;
	o.host = HOST_CPU;
	o.cqil = "0:4:2";
	assert_true(by_cpu(&o));
	assert_non_null(strstr(note, "--cqil: CPU and GPU share no groups but one"));
	assert_non_null(strstr(note, "no bus to be seen"));
	assert_int_equal(fake.told[0].spread.size, 0);
	o.be.budget = 0;                /* nothing is the cpu's, and nobody asks */
	by_cpu(&o);
	assert_string_equal(note, "");
}

/* Only before a sidecar's bridge, which is to layer 2. */
static void test_groups_sidecar(void **state)
{
	struct engine_opt o = on_card(1);

	(void)state;
	o.host = HOST_CPU;
	o.cqil = "0:4:2";
	o.sidecar = side;
	o.limit_layers = true;
	fake.own = 1e9;
	o.be.budget = 0;
	o.gpu_layers = 3;
	by_cpu(&o);
	assert_true(seen.sidecar > 0 && seen.groups.spread.to == 2);
	o.gpu_layers = 2;               /* 0 of the group, and what is alone then: 2, not 1 */
	by_cpu(&o);
	assert_true(seen.sidecar > 0 && seen.groups.share == 1 && !seen.groups.spread.size);
}

static void write_side(void)
{
	enum { K = 3, WIDTH = 64 };
	static float w[K * WIDTH][BRIDGE_PARTS * WIDTH], bias[K * WIDTH];
	struct gguf_tensor weight = { .type = QUANT_F32, .n_dims = 2, .data = w, .bytes = sizeof(w),
				      .dim = { BRIDGE_PARTS * WIDTH, K * WIDTH, 1, 1 } };
	struct gguf_tensor b = { .type = QUANT_F32, .n_dims = 1, .data = bias,
				 .bytes = sizeof(bias), .dim = { K * WIDTH, 1, 1, 1 } };
	struct bridge g = { .a = 1, .s = 2, .k = K, .weight = &weight, .bias = &b };
	const double expected[BRIDGE_ROWS] = { 0.3, 0.1 };
	struct model *m = model_open(model, NULL, err);

	if (!m || sidecar_write(side, m, &g, expected, "test", err) != 0)
		fail_msg("%s", err);
	model_close(m);
}

static int set_up(void **state)
{
	struct mk_spec spec = MK_TINY;

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	snprintf(model, sizeof(model), "%s/m.gguf", folder);
	snprintf(other, sizeof(other), "%s/o.gguf", folder);
	snprintf(side, sizeof(side), "%s/m.s3d.gguf", folder);
	snprintf(file, sizeof(file), "%s/host-layers", folder);
	spec.n_layers = 4;
	if (mk_write(model, &spec, err) != 0)
		return -1;
	spec.seed++;
	write_side();
	return mk_write(other, &spec, err);
}

static int tear_down(void **state)
{
	(void)state;
	return folder_remove(folder);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup(f, none)
	const struct CMUnitTest tests[] = {
		TEST(test_both), TEST(test_stored), TEST(test_keys), TEST(test_broken),
		TEST(test_no_text), TEST(test_many), TEST(test_not_asked),
		TEST(test_not_measured), TEST(test_fits_only_so), TEST(test_sidecar),
		TEST(test_groups), TEST(test_groups_not_measured), TEST(test_groups_sidecar),
	};

	return cmocka_run_group_tests_name("host layers", tests, set_up, tear_down);
}
