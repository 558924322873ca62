/* test_sweep_files.c - calibrate --cqil: an interrupted sweep against one that was not, files from
 * hostile hands, and what "auto" makes of them. */
#include "tests/sweep_kit.h"
#include "engine/approx/grouping.h"
#include <sys/stat.h>

static const struct mk_spec other = MK_SMALL(.n_layers = LAYERS, .n_embd = WIDTH, .n_heads = 4,
	.n_kv_heads = 2, .n_ff = 96, .type = "F32", .seed = 33);

/* ---- interruptions ---- */

static void same_result(const struct sweep_result *a, const struct sweep_result *b)
{
	assert_int_equal(a->n, b->n);
	for (int i = 0; i < a->n; i++) {
		const struct sweep_row *x = &a->row[i], *y = &b->row[i];

		assert_true(x->group.from == y->group.from && x->group.to == y->group.to);
		assert_true(x->group.size == y->group.size && x->group.bypass == y->group.bypass);
		assert_true(x->steps == y->steps && x->same == y->same);
		assert_true(x->nll == y->nll && x->kl == y->kl && x->apart == y->apart);
	}
	assert_memory_equal(a->alike, b->alike, sizeof(*a->alike) * (LAYERS - 1));
	assert_memory_equal(a->best, b->best, sizeof(a->best));
	assert_true(a->dense == b->dense);
}

static void interrupt(long at, bool kept)
{
	struct sweep_result r;
	char err[ERR_MAX];

	stop_at = at;
	assert_int_equal(sweep(&r, err), 1);
	assert_true(r.kept == kept);
	stop_at = 0;
	sweep_free(&r);
	assert_int_equal(access(out, F_OK), -1);
}

static void test_interrupted(void **state)
{
	struct sweep_result whole, r;
	static char file[1 << 12];
	size_t n, size;
	long took;

	(void)state;
	stop_at = 1000000;
	must(&whole);
	took = asked;
	snprintf(file, sizeof(file), "%s", get(out, &n));
	unlink(out);
	interrupt(1, false);            /* in the dense model's pass */
	interrupt(CHUNKS * 6, true);
	interrupt(CHUNKS * 3, true);    /* what was known stays, though it was not come to again */
	interrupt(1, true);
	interrupt(CHUNKS * 9, true);
	stop_at = 1000000;
	must(&r);
	stop_at = 0;
	assert_true(asked < took - CHUNKS * 12);
	assert_string_equal(notes, "");
	same_result(&whole, &r);
	assert_string_equal(get(out, &size), file);
	assert_int_equal(access(part, F_OK), -1);
	sweep_free(&r);
	sweep_free(&whole);
}

/* What lies in the place of an interrupted sweep's file changes no figure. */
static void with_part(const struct sweep_result *whole, const char *bytes, size_t n, bool says)
{
	struct sweep_result r;

	put(part, bytes, n);
	must(&r);
	if (says != (strstr(notes, "begins anew") != NULL))
		fail_msg("'%s'", notes);
	same_result(whole, &r);
	sweep_free(&r);
}

static void test_hostile_part(void **state)
{
	static char file[1 << 14], bad[1 << 14];
	struct sweep_result whole, r;
	char err[ERR_MAX] = "", *got;
	size_t n, first, second;

	(void)state;
	must(&whole);
	unlink(out);
	interrupt(CHUNKS * 12, true);
	got = get(part, &n);
	memcpy(file, got, n);
	first = (size_t)(strchr(file, '\n') + 1 - file);
	second = (size_t)(strchr(file + first, '\n') + 1 - file);
	for (size_t cut = 0; cut < n; cut += n / 6)     /* of the head nothing may lack */
		with_part(&whole, file, cut, cut < second);
	for (size_t at = 3; at < n; at += n / 6) {
		memcpy(bad, file, n);
		bad[at] ^= 1;
		with_part(&whole, bad, n, at < second);
	}
	memset(bad, 0, sizeof(bad));
	with_part(&whole, bad, sizeof(bad), true);
	unlink(out);
	make(&other);                   /* another model does not take it */
	put(part, file, n);
	must(&r);
	assert_non_null(strstr(notes, "another model"));
	assert_true(r.dense != whole.dense);
	sweep_free(&r);
	make(&spec);
	assert_int_equal(mkdir(part, 0700), 0);
	assert_int_equal(sweep(&r, err), -1);
	assert_non_null(strstr(err, "ordinary"));
	sweep_free(&r);
	assert_int_equal(rmdir(part), 0);
	sweep_free(&whole);
}

/* ---- auto ---- */

static struct engine *open_auto(const char *cqil, char err[ERR_MAX])
{
	struct engine_opt o = { .model = model, .backend = "cpu", .cqil = cqil, .cqil_file = out,
				.n_ctx = CHUNK, .be = { .n_threads = 1 } };

	*err = '\0';
	return engine_open(&o, err);
}

static void refused(const char *cqil, const char *says)
{
	char err[ERR_MAX];

	assert_null(open_auto(cqil, err));
	if (!strstr(err, says))
		fail_msg("'%s' and not '%s'", err, says);
}

static void takes(const char *cqil, const char *groups, const char *note)
{
	char err[ERR_MAX], is[GROUPING_TEXT];
	struct engine *e = open_auto(cqil, err);

	if (!e)
		fail_msg("%s", err);
	assert_string_equal(grouping_text(&e->group, is), groups);
	assert_true(engine_exact(e) == !strcmp(groups, "off"));
	assert_true(*note ? strstr(e->notes[NOTE_GROUPS], note) != NULL : !*e->notes[NOTE_GROUPS]);
	engine_close(e);
}

/* A file for this model, or with another's hash, with these groups for 1 %. */
static void advise(const struct mk_spec *of, const char *groups)
{
	static const struct advice a = { { { .size = 0 }, { 1, 5, 2, 1, false },
					   { 0, 6, 3, 0, false }, { 0, 7, 4, 0, false } } };
	char err[ERR_MAX], edited[1 << 10], *at, *file;
	struct model *m;
	size_t n;

	make(of);
	m = model_open(model, NULL, err);
	assert_int_equal(advice_write(out, m, &a, NULL, err), 0);
	model_close(m);
	make(&spec);
	file = get(out, &n);
	at = strstr(file, "1:5:2:1");
	snprintf(edited, sizeof(edited), "%.*s%s%s", (int)(at - file), file, groups, at + 7);
	put(out, edited, strlen(edited));
}

static void test_auto(void **state)
{
	char err[ERR_MAX], is[GROUPING_TEXT];
	struct engine *e;

	(void)state;
	unlink(out);
	refused("auto", "calibrate --cqil");
	refused("auto:3", "0.5, 1, 2 or 5");
	refused("automatic", "auto:X");
	advise(&spec, "1:5:2:1");
	takes("auto", "1:5:2:1", "");
	takes("auto:1", "1:5:2:1", "");
	takes("auto:2", "0:6:3", "");
	takes("auto:5", "0:7:4", "");
	takes("auto:0.5", "off", "0.5 %");
	e = open_auto("off", err);
	assert_int_equal(engine_group(e, "auto", false, err), 0);
	assert_string_equal(grouping_text(&e->group, is), "1:5:2:1");
	unlink(out);
	assert_int_equal(engine_group(e, "auto:2", false, err), -1);
	assert_string_equal(grouping_text(&e->group, is), "1:5:2:1");
	engine_close(e);
}

static void test_hostile_advice(void **state)
{
	static const char *const wrong[] = { "1:9:2", "5:5:2", "1:5:99", "1:5:2:-1", "1:5", "x", "",
		"-1:5:2", "1:5:2 ", "off", "auto", "99999999999:5:2",
		"0:4:1", "1:5:2\nloss 2 1:5:2" };
	char whole[1 << 10];
	size_t n;

	(void)state;
	advise(&other, "1:5:2:1");
	refused("auto", "another model");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		advise(&spec, wrong[i]);
		if (strcmp(wrong[i], "1:5:2 "))         /* as if for a comment */
			refused("auto", "damaged");
	}
	advise(&spec, "1:5:2:1");
	memcpy(whole, get(out, &n), sizeof(whole));
	for (size_t cut = 0; cut < n; cut += cut + 8 < n ? 7 : 1) {
		put(out, whole, cut);
		refused("auto", "calibrate --cqil");
	}
	for (size_t i = 0; i < n; i++)
		whole[i] = i % 3 ? '\0' : '9';
	put(out, whole, n);
	refused("auto", "calibrate --cqil");
	unlink(out);
	assert_int_equal(mkfifo(out, 0600), 0);
	refused("auto", "ordinary");
	unlink(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_hostile_part), cmocka_unit_test(test_auto),
		cmocka_unit_test(test_hostile_advice),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
