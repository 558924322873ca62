/* sweep_kit.h - a tiny model and a text in a folder of their own, and sweeps over groups of its
 * layers.  For all tests of a program `begin`, then `end`. */
#ifndef S3D_SWEEP_KIT_H
#define S3D_SWEEP_KIT_H
#include "engine/calibrate/sweep.h"
#include "tests/mk.h"
#include "tests/calibration_kit.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

enum { LAYERS = 7, CHUNK = 128, CHUNKS = 2, VOCAB = MK_VOCAB_MIN, WIDTH = 64,
	FIRST = 16, SCORED = CHUNK - 1 - FIRST };

static char text[64];

static const struct mk_spec spec = MK_SMALL(.n_layers = LAYERS, .n_embd = WIDTH, .n_heads = 4,
	.n_kv_heads = 2, .n_ff = 96, .type = "F32", .seed = 32);

static void on_begin(void *ctx, double seconds, size_t bytes)
{
	(void)ctx;
	assert_true(seconds > 0 && bytes > 0);
}

static void on_progress(void *ctx, double done, double left, const char *what)
{
	(void)ctx;
	assert_true(done >= 0 && done < 1 && left > 0 && *what);
	told++;
}

static int sweep(struct sweep_result *r, char err[ERR_MAX])
{
	struct sweep_opt o = {
		.engine = { .model = model, .backend = "cpu", .be = { .n_threads = 1 } },
		.text = text, .out = out, .minutes = 10, .begin = on_begin,
		.progress = on_progress, .note = on_note, .stop = stop,
	};

	asked = told = *notes = 0;
	return sweep_run(&o, r, err);
}

static void must(struct sweep_result *r)
{
	char err[ERR_MAX] = "";

	assert_string_equal(sweep(r, err) ? err : "", "");
	assert_true(told > 0);
}

static void make(const struct mk_spec *s)
{
	char err[ERR_MAX];

	assert_int_equal(mk_write_calm(model, s, err), 0);
}

static void put(const char *path, const char *bytes, size_t n)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static char *get(const char *path, size_t *n)
{
	static char bytes[1 << 16];
	FILE *f = fopen(path, "rb");

	assert_non_null(f);
	*n = fread(bytes, 1, sizeof(bytes) - 1, f);
	bytes[*n] = '\0';
	fclose(f);
	return bytes;
}

static int begin(void **state)
{
	char words[512] = "";

	(void)state;
	if (begin_in(".cqil") != 0)
		return -1;
	snprintf(text, sizeof(text), "%s/text", folder);
	make(&spec);
	for (int i = 0; i < 6; i++)
		strcat(words, "A fox, a hen and a sack of corn; who guards the boat? ");
	put(text, words, strlen(words));
	return 0;
}
#endif
