/* mkmodel.c - command line over mk.h: mkmodel [--shape NAME] [--type T] [--seed N] OUT.gguf */
#include "tests/mk_arch.h"
#include "engine/gguf/quant.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	struct mk_spec s;
} shapes[] = {
	{ "tiny", MK_TINY },
	{ "smollm2-135m",
	  { 30, 576, 9, 3, 1536, 49152, 8192, "Q4_1", "Q8_0", true, false, 1, 0, 0, 0 } },
	{ "smollm2-360m",
	  { 32, 960, 15, 5, 2560, 49152, 8192, "Q4_K_M", NULL, true, false, 1, 0, 0, 0 } },
	{ "llama-3.2-1b",
	  { 16, 2048, 32, 8, 8192, 128256, 8192, "Q4_K_M", NULL, true, true, 1, 0, 0, 0 } },
	{ "llama-2-7b",
	  { 32, 4096, 32, 32, 11008, 32000, 4096, "Q4_K_M", NULL, false, false, 1, 0, 0, 0 } },
	{ "qwen2.5-0.5b",
	  { 24, 896, 14, 2, 4864, 151936, 8192, "Q4_K_M", NULL, true, false, 1, "qwen2", 0, 0 } },
	{ "qwen2.5-1.5b",
	  { 28, 1536, 12, 2, 8960, 151936, 8192, "Q4_K_M", NULL, true, false, 1, "qwen2", 0, 0 } },
	{ "qwen3-0.6b",
	  { 28, 1024, 16, 8, 3072, 151936, 8192, "Q4_K_M", NULL, true, false, 1, "qwen3", 128,
	    0 } },
	{ "gemma-2-2b",
	  { 26, 2304, 8, 4, 9216, 256000, 8192, "Q4_K_M", NULL, true, false, 1, "gemma2", 256,
	    4096 } },
	{ "gemma-3-270m",
	  { 18, 640, 4, 1, 2048, 262144, 8192, "Q4_K_M", NULL, true, false, 1, "gemma3", 256,
	    512 } },
	{ "phi-4-mini",         /* mk's phi3 turns three quarters of a head, as this one does */
	  { 32, 3072, 24, 8, 8192, 200064, 8192, "Q4_K_M", NULL, true, false, 1, "phi3", 0,
	    262144 } },
};
enum { N_SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

static int usage(void)
{
	fprintf(stderr, "usage: mkmodel [--shape NAME] [--type TYPE] [--seed N] OUT.gguf\nshapes:");
	for (int i = 0; i < N_SHAPES; i++)
		fprintf(stderr, " %s", shapes[i].name);
	for (int i = 0; i < MK_ARCHS; i++)
		fprintf(stderr, " tiny-%s", mk_archs[i].name);
	fprintf(stderr, "\n");
	return 2;
}

/* NULL: there is none; *calm: how it is written. */
static const struct mk_spec *find_shape(const char *name, bool *calm)
{
	*calm = !strncmp(name, "tiny-", 5);
	for (int i = 0; i < N_SHAPES; i++)
		if (!strcmp(shapes[i].name, name))
			return &shapes[i].s;
	for (int i = 0; *calm && i < MK_ARCHS; i++)
		if (!strcmp(mk_archs[i].name, name + 5))
			return &mk_archs[i].spec;
	return NULL;
}

static char *upper(const char *s)
{
	static char out[16];
	size_t i;

	for (i = 0; s[i] && i < sizeof(out) - 1; i++)
		out[i] = s[i] >= 'a' && s[i] <= 'z' ? (char)(s[i] - 32) : s[i];
	out[i] = 0;
	return out;
}

int main(int argc, char **argv)
{
	struct mk_spec s = shapes[0].s;
	const char *type = NULL;
	bool calm = false;
	char err[ERR_MAX];
	int i = 1;

	for (; i + 2 < argc; i += 2) {
		if (!strcmp(argv[i], "--shape")) {
			const struct mk_spec *shape = find_shape(argv[i + 1], &calm);

			if (!shape)
				return usage();
			s = *shape;
		} else if (!strcmp(argv[i], "--type")) {
			type = upper(argv[i + 1]);
		} else if (!strcmp(argv[i], "--seed")) {
			s.seed = strtoull(argv[i + 1], NULL, 10);
		} else {
			return usage();
		}
	}
	if (i + 1 != argc)
		return usage();
	if (type) {
		s.type = type;
		s.embd_type = NULL;
	}
	if (strcmp(s.type, "Q4_K_M") && strcmp(s.type, "Q5_K_M") && !quant_find(s.type))
		return usage();
	if ((calm ? mk_write_calm : mk_write)(argv[i], &s, err) != 0) {
		fprintf(stderr, "mkmodel: %s\n", err);
		return 1;
	}
	return 0;
}
