/* calibrate_kit.h - calibrations of a tiny model.  For all tests of a program `begin`, then
 * `end`. */
#ifndef S3D_CALIBRATE_KIT_H
#define S3D_CALIBRATE_KIT_H
#include "engine/calibrate/calibrate_parts.h"
#include "tests/mk.h"
#include "tests/calibration_kit.h"
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

static double begin_s, told_left;
static size_t begin_bytes;

static void on_progress(void *ctx, double done, double left, const char *what)
{
	(void)ctx, (void)what;
	assert_true(done >= 0 && done < 1 && left > 0);
	told_left = left;
	told++;
}

static void on_begin(void *ctx, double seconds, size_t bytes)
{
	(void)ctx;
	begin_s = seconds;
	begin_bytes = bytes;
}

static int calibrate(struct calibrate_opt o, struct calibrate_result *r, char err[ERR_MAX])
{
	o.engine = (struct engine_opt){ .model = model, .backend = "cpu",
					.chat_template = o.engine.chat_template,
					.be = { .n_threads = 1, .kernels = "auto" } };
	o.out = o.out ? o.out : out;
	o.minutes = o.minutes > 0 ? o.minutes : 0.02;
	o.lanes = o.lanes ? o.lanes : 8;
	o.begin = on_begin;
	o.progress = on_progress;
	o.note = on_note;
	o.stop = stop;
	asked = told = *notes = 0;
	return calibrate_run(&o, r, err);
}

static void must(struct calibrate_opt o, struct calibrate_result *r)
{
	char err[ERR_MAX] = "";

	assert_string_equal(calibrate(o, r, err) ? err : "", "");
}

static void make(const struct mk_spec *spec)
{
	char err[ERR_MAX];

	assert_int_equal(mk_write(model, spec, err), 0);
}

static const struct mk_spec tiny = MK_TINY;

static void check_sidecar(const struct calibrate_result *r)
{
	char err[ERR_MAX];
	struct model *m = model_open(model, NULL, err);
	struct sidecar *s = sidecar_open(out, m, err);
	const struct calibrate_row *row = &r->row[r->chosen];

	if (!s)
		fail_msg("%s", err);
	assert_int_equal(s->bridge.a, row->a);
	assert_int_equal(s->bridge.s, row->s);
	assert_int_equal(s->bridge.k, row->best);
	for (int o = 0; o < row->best; o++) {
		assert_true(fabs(s->expected[o] - row->run[o]) < 1e-6);
		assert_true(row->run[o] <= row->hit[o] && (!o || row->run[o] <= row->run[o - 1]));
	}
	for (int i = 0; i < r->n; i++)  /* of those that were tried as often */
		assert_true(r->row[i].gain[r->row[i].best - 1] <= row->gain[row->best - 1] ||
			    r->row[i].positions < row->positions);
	assert_true(row->positions >= 32 && r->rows >= 512 && told > 0);
	assert_int_equal(access(part, F_OK), -1);
	sidecar_close(s);
	model_close(m);
}

static void refused(struct calibrate_opt o, const char *says)
{
	char err[ERR_MAX] = "";
	struct calibrate_result r;

	unlink(out);
	assert_int_equal(calibrate(o, &r, err), -1);
	if (!strstr(err, says))
		fail_msg("'%s' and not '%s'", err, says);
	assert_int_equal(access(out, F_OK), -1);
}

static int begin(void **state)
{
	(void)state;
	return begin_in(".s3d.gguf");
}
#endif
