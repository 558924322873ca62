/* test_spread.c - which layers are the host's where groups are shared: what is chosen takes no more
 * time than any other choice of as many layers, all of which are tried; and what is told of it. */
#include "engine/approx/grouping.h"
#include "engine/place/memory.h"
#include "kernels/spread.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { LAYERS = 11, WORDS = MODEL_MAX_LAYERS / 64 };

static bool has(const uint64_t *set, int l)
{
	return set[l / 64] >> (l % 64) & 1;
}

static int count(const uint64_t *set, int from, int to)
{
	int n = 0;

	for (int l = from; l < to; l++)
		n += has(set, l);
	return n;
}

/* Of a pass: the slower half of each group, and one layer after the other elsewhere. */
static double seconds(const struct host_spread *s, const uint64_t *host, double cpu, double other)
{
	double sum = 0;

	for (int l = 0, end; l < LAYERS; l = end) {
		bool inside = s->size > 1 && l >= s->from && l < s->to;
		int n, rest;

		end = inside ? l + s->size : l + 1;
		end = inside && end > s->to ? s->to : end;
		n = count(host, l, end);
		rest = end - l - n;
		sum += fmax(n * cpu, rest * other);
	}
	return sum;
}

static void check_best(const struct host_spread *s, double cpu, double other)
{
	double best[LAYERS + 1];

	for (int n = 0; n <= LAYERS; n++)
		best[n] = INFINITY;
	for (uint64_t set = 0; set < (uint64_t)1 << LAYERS; set++) {
		int n = count(&set, 0, LAYERS);

		best[n] = fmin(best[n], seconds(s, &set, cpu, other));
	}
	for (int n = 0; n <= LAYERS; n++) {
		uint64_t host[WORDS], before[WORDS];

		spread_layers(s, LAYERS, n, host);
		assert_int_equal(count(host, 0, MODEL_MAX_LAYERS), n);
		if (fabs(seconds(s, host, cpu, other) - best[n]) > 1e-9)
			fail_msg("%d of groups %d:%d:%d at %g:%g: %g, and %g is possible", n,
				 s->from, s->to, s->size, cpu, other,
				 seconds(s, host, cpu, other), best[n]);
		spread_layers(s, LAYERS, n ? n - 1 : 0, before);
		assert_int_equal(before[0] & ~host[0], 0);
	}
}

static void test_best(void **state)
{
	static const int range[][2] = { { 0, 11 }, { 2, 10 }, { 1, 9 }, { 3, 6 } };

	(void)state;
	for (int i = 0; i < 4; i++)
		for (int size = 2; size <= 5; size++)
			for (double cpu = 1; cpu <= 16; cpu *= 2) {     /* a GPU is the faster */
				struct host_spread s = { range[i][0], range[i][1], size,
							 1 / (cpu + 1) };

				check_best(&s, cpu, 1);
			}
}

static void test_share(void **state)
{
	struct host_spread s = { 0, 8, 4, 0.5 };

	(void)state;
	assert_int_equal(spread_share(&s, 4), 2);
	assert_int_equal(spread_share(&s, 2), 1);
	assert_int_equal(spread_share(&s, 1), 0);
	s.part = 0.001;
	assert_int_equal(spread_share(&s, 8), 1);
	s.part = 0.999;                 /* the other device has one all the same */
	assert_int_equal(spread_share(&s, 4), 3);
}

/* Without groups, or with what are none, the first ones. */
static void test_first(void **state)
{
	const struct host_spread none[] = { { 0, 0, 0, 0 }, { 0, 8, 1, 0.5 } };
	uint64_t host[WORDS];

	(void)state;
	for (int i = 0; i < 2; i++)
		for (int n = 0; n <= 256; n += 64) {
			spread_layers(&none[i], 256, n, host);
			assert_int_equal(count(host, 0, n), n);
			assert_int_equal(count(host, n, 256), 0);
		}
}

static void test_bridge(void **state)
{
	const struct model_config c = { .n_layers = 8 };
	const struct host_spread none = { .size = 0 }, twos = { 0, 8, 2, 0.5 };
	char err[ERR_MAX] = "";

	(void)state;
	assert_int_equal(spread_bridge(&none, &c, 4, 4, err), 0);
	assert_int_equal(spread_bridge(&none, &c, 5, 4, err), -1);
	assert_non_null(strstr(err, "the cpu has 5 of the 8 layers, and may have 4 (-ngl 4,"));
	assert_int_equal(spread_bridge(&twos, &c, 2, 4, err), 0);       /* 0 and 2 */
	assert_int_equal(spread_bridge(&twos, &c, 4, 4, err), -1);
	assert_non_null(strstr(err, "may have 2 (-ngl 6,"));
}

static void test_text(void **state)
{
	struct memory_plan p = { .n_layers = 9, .host_layers = 4, .by_cpu = true };
	struct grouping g = { 1, 9, 2, 1, false };
	char text[MEMORY_LAYERS];

	(void)state;
	assert_string_equal(memory_layers(&p, text), "0..3");
	assert_int_equal(grouping_apart(&g, &p.groups.spread, 9, 4), 1);    /* 3 and 4 */
	p.groups.spread = (struct host_spread){ 1, 9, 2, 0.5 };
	assert_string_equal(memory_layers(&p, text), "1,3,5,7");
	assert_int_equal(grouping_apart(&g, &p.groups.spread, 9, 4), 4);
	g.bypass = 0;
	assert_int_equal(grouping_apart(&g, &p.groups.spread, 9, 4), 0);
	p.host_layers = 6;
	assert_string_equal(memory_layers(&p, text), "0..3,5,7");
	p.host_layers = 1;
	p.by_cpu = false;
	assert_string_equal(memory_layers(&p, text), "8");
	p = (struct memory_plan){ .n_layers = 256, .host_layers = 128, .by_cpu = true,
				  .groups = { .spread = { 0, 256, 2, 0.5 } } };
	assert_true(strlen(memory_layers(&p, text)) < sizeof(text));
}

/* By hand: a layer of 1000 bytes takes 4 s by the cpu, and 1 s on the device. */
static void test_groups(void **state)
{
	static struct model m;
	static struct gguf_tensor t[LAYER_MATS];
	const struct host_speed v = { .bus = 1, .cpu = 250, .own = 1000, .cross = 0.4 };
	struct host_speed slow = v;
	struct host_groups h;

	(void)state;
	for (int i = 0; i < LAYER_MATS; i++) {
		t[i].bytes = i ? 0 : 1000;
		m.layer[3].mat[i] = &t[i];
	}
	h = host_groups(&(struct grouping){ 3, 11, 4, 0, false }, &m, &v);
	assert_int_equal(h.share, 1);
	assert_true(fabs(h.cpu - 4) + fabs(h.other - 3) + fabs(h.cross - 0.8) < 1e-9);
	assert_int_equal(h.spread.size, 4);
	assert_true(fabs(h.spread.part - 0.2) < 1e-9);
	slow.cross = 1.6;       /* both ways it is more than the 3 s that both are at work */
	h = host_groups(&(struct grouping){ 3, 11, 4, 0, false }, &m, &slow);
	assert_true(h.share == 1 && !h.spread.size);
	assert_int_equal(host_groups(&(struct grouping){ 3, 11, 4, 1, false }, &m, &v).share, 0);
	assert_int_equal(host_groups(&(struct grouping){ 3, 11, 1, 0, false }, &m, &v).share, 0);
	assert_int_equal(host_groups(&(struct grouping){ .size = 0 }, &m, &v).share, 0);
	slow.own = 0;
	assert_int_equal(host_groups(&(struct grouping){ 3, 11, 4, 0, false }, &m, &slow).share,
			 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_best), cmocka_unit_test(test_share),
		cmocka_unit_test(test_first), cmocka_unit_test(test_bridge),
		cmocka_unit_test(test_text), cmocka_unit_test(test_groups),
	};

	return cmocka_run_group_tests_name("spread", tests, NULL, NULL);
}
