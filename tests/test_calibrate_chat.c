/* test_calibrate_chat.c - what a calibration beside a chat has made is taken in, but only by the
 * model that it was made for.
 *
 * This program is its own calibration: asked to, it puts in place what the test has prepared. */
#include "engine/sidecar/sidecar.h"
#include "tests/talk_kit.h"

#include <poll.h>

enum { WIDTH = 64, LINE = 128 };

static void name_of(const char *path, const char *ending, char out[LINE])
{
	snprintf(out, LINE, "%.*s%s", (int)(strlen(path) - strlen(".gguf")), path, ending);
}

/* A sidecar that makes of the row what it was, for the model at path. */
static void write_sidecar(const char *path, const char *to)
{
	static float w[WIDTH][BRIDGE_PARTS * WIDTH], bias[WIDTH];
	const double expected[BRIDGE_ROWS] = { 0.3 };
	struct gguf_tensor weight = { .type = QUANT_F32, .n_dims = 2, .data = w, .bytes = sizeof(w),
				      .dim = { BRIDGE_PARTS * WIDTH, WIDTH, 1, 1 } };
	struct gguf_tensor b = { .type = QUANT_F32, .n_dims = 1, .data = bias,
				 .bytes = sizeof(bias), .dim = { WIDTH, 1, 1, 1 } };
	struct bridge g = { .a = 1, .s = 2, .k = 1, .weight = &weight, .bias = &b };
	struct model *m = model_open(path, NULL, err);

	assert_non_null(m);
	for (int i = 0; i < WIDTH; i++)
		w[i][i] = 1;
	if (sidecar_write(to, m, &g, expected, "test_calibrate_chat", err) != 0)
		fail_msg("%s", err);
	model_close(m);
}

/* A second model in the folder of the tests. */
static void write_other(char other[LINE])
{
	struct mk_spec spec = MK_TINY;

	spec.seed = 2;
	snprintf(other, LINE, "%s/other.gguf", home);
	if (mk_write(other, &spec, err) != 0)
		fail_msg("%s", err);
}

/* Until the calibration has ended and the decode thread has heard of it. */
static void wait_for_child(void)
{
	while (t.child.pid) {
		struct pollfd p = { .fd = t.child.fd, .events = POLLIN };

		assert_int_equal(poll(&p, 1, 10000), 1);
		talk_child(&t);
	}
	run("/strategy plain");         /* behind what it was told */
	drain();
}

static void test_taken_in(void **state)
{
	char side[LINE], ready[LINE];

	(void)state;
	name_of(model, ".s3d.gguf", side);
	name_of(model, ".s3d.gguf.ready", ready);
	write_sidecar(model, ready);
	begin();
	assert_refused("/calibrate now", "takes nothing, or stop");
	assert_refused("/calibrate stop", "no calibration is running");
	run("/calibrate");
	assert_refused("/calibrate", "/calibrate stop ends it");
	wait_for_child();
	assert_non_null(strstr(last_note, "can draft for itself now"));
	assert_true(t.info.sidecar > 0);
	run("/strategy s3d");
	ask("hello");
	assert_string_equal(t.strategy, "s3d");
	talk_close(&t);
	remove(side);
}

/* The chat has gone on with another model, which has a sidecar of its own. */
static void test_another_model(void **state)
{
	char other[LINE], side[LINE], ready[LINE], line[LINE + 8];

	(void)state;
	write_other(other);
	name_of(other, ".s3d.gguf", side);
	write_sidecar(other, side);
	name_of(model, ".s3d.gguf.ready", ready);
	write_sidecar(model, ready);
	begin();
	run("/calibrate");
	snprintf(line, sizeof(line), "/model %s", other);
	run(line);
	assert_true(t.info.sidecar > 0);
	wait_for_child();
	assert_non_null(strstr(last_note, "model.s3d.gguf"));
	assert_true(t.info.sidecar > 0);
	run("/strategy s3d");
	ask("hello");
	assert_string_equal(t.strategy, "s3d");
	talk_close(&t);
}

/* It fails while another model is being loaded: what is calibrated next is that one. */
static void test_fails_meanwhile(void **state)
{
	char other[LINE], side[LINE], ready[LINE];

	(void)state;
	write_other(other);
	name_of(other, ".s3d.gguf", side);
	name_of(other, ".s3d.gguf.ready", ready);
	remove(side);
	begin();
	assert_int_equal(talk_calibrate(&t, false, err), 0);
	while (t.child.pid) {           /* nothing was prepared, so it fails */
		struct pollfd p = { .fd = t.child.fd, .events = POLLIN };

		assert_int_equal(poll(&p, 1, 10000), 1);
		talk_child(&t);
	}
	assert_int_equal(talk_model(&t, other, err), 0);
	drain();
	assert_non_null(strstr(last_error, "calibration: "));
	assert_string_equal(t.file, other);
	write_sidecar(other, ready);
	run("/calibrate");
	wait_for_child();
	assert_int_equal(access(side, F_OK), 0);
	assert_true(t.info.sidecar > 0);
	talk_close(&t);
	remove(side);
}

/* One that cannot be taken leaves the one in use as it is. */
static void test_bad_sidecar(void **state)
{
	char other[LINE], side[LINE], wrong[LINE];

	(void)state;
	write_other(other);
	name_of(other, ".wrong.gguf", wrong);
	write_sidecar(other, wrong);
	name_of(model, ".s3d.gguf", side);
	write_sidecar(model, side);
	begin();
	run("/strategy s3d");
	assert_true(t.info.sidecar > 0);
	assert_true(msgq_put_text(&t.worker->in, (struct msg){ .kind = CMD_SIDECAR }, wrong,
				  strlen(wrong)));
	ask("hello");
	assert_non_null(strstr(last_note, "another model"));
	assert_true(t.info.sidecar > 0);
	assert_string_equal(t.strategy, "s3d");
	assert_true(t.stats.rounds > 0);
	talk_close(&t);
	remove(side);
}

/* In place of "s3dchat calibrate ... -o OUT". */
static int play(const char *out)
{
	char ready[LINE];

	usleep(300000);
	puts("progress 0.5 seconds-left 1");
	snprintf(ready, sizeof(ready), "%s.ready", out);
	return rename(ready, out) != 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_taken_in, set_up),
		cmocka_unit_test_setup(test_another_model, set_up),
		cmocka_unit_test_setup(test_fails_meanwhile, set_up),
		cmocka_unit_test_setup(test_bad_sidecar, set_up),
	};

	if (argc > 1 && !strcmp(argv[1], "calibrate"))
		return play(argv[argc - 1]);
	return cmocka_run_group_tests_name("calibrate_chat", tests, write_model, remove_all);
}
