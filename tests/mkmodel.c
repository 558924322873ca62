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
	  { .n_layers = 30, .n_embd = 576, .n_heads = 9, .n_kv_heads = 3, .n_ff = 1536,
	    .n_vocab = 49152, .n_ctx = 8192, .type = "Q4_1", .embd_type = "Q8_0", .tied = true,
	    .seed = 1 } },
	{ "smollm2-360m",
	  { .n_layers = 32, .n_embd = 960, .n_heads = 15, .n_kv_heads = 5, .n_ff = 2560,
	    .n_vocab = 49152, .n_ctx = 8192, .type = "Q4_K_M", .tied = true, .seed = 1 } },
	{ "llama-3.2-1b",
	  { .n_layers = 16, .n_embd = 2048, .n_heads = 32, .n_kv_heads = 8, .n_ff = 8192,
	    .n_vocab = 128256, .n_ctx = 8192, .type = "Q4_K_M", .tied = true, .rope_freqs = true,
	    .seed = 1 } },
	{ "llama-2-7b",
	  { .n_layers = 32, .n_embd = 4096, .n_heads = 32, .n_kv_heads = 32, .n_ff = 11008,
	    .n_vocab = 32000, .n_ctx = 4096, .type = "Q4_K_M", .seed = 1 } },
	{ "qwen2.5-0.5b",
	  { .n_layers = 24, .n_embd = 896, .n_heads = 14, .n_kv_heads = 2, .n_ff = 4864,
	    .n_vocab = 151936, .n_ctx = 8192, .type = "Q4_K_M", .tied = true, .seed = 1,
	    .arch = "qwen2" } },
	{ "qwen2.5-1.5b",
	  { .n_layers = 28, .n_embd = 1536, .n_heads = 12, .n_kv_heads = 2, .n_ff = 8960,
	    .n_vocab = 151936, .n_ctx = 8192, .type = "Q4_K_M", .tied = true, .seed = 1,
	    .arch = "qwen2" } },
	{ "qwen3-0.6b",
	  { .n_layers = 28, .n_embd = 1024, .n_heads = 16, .n_kv_heads = 8, .n_ff = 3072,
	    .n_vocab = 151936, .n_ctx = 8192, .type = "Q4_K_M", .tied = true, .seed = 1,
	    .arch = "qwen3", .head_dim = 128 } },
	{ "gemma-2-2b",
	  { .n_layers = 26, .n_embd = 2304, .n_heads = 8, .n_kv_heads = 4, .n_ff = 9216,
	    .n_vocab = 256000, .n_ctx = 8192, .type = "Q4_K_M", .tied = true, .seed = 1,
	    .arch = "gemma2", .head_dim = 256, .window = 4096 } },
	{ "gemma-3-270m",
	  { .n_layers = 18, .n_embd = 640, .n_heads = 4, .n_kv_heads = 1, .n_ff = 2048,
	    .n_vocab = 262144, .n_ctx = 8192, .type = "Q4_K_M", .tied = true, .seed = 1,
	    .arch = "gemma3", .head_dim = 256, .window = 512 } },
	{ "phi-4-mini",         /* mk's phi3 turns three quarters of a head, as this one does */
	  { .n_layers = 32, .n_embd = 3072, .n_heads = 24, .n_kv_heads = 8, .n_ff = 8192,
	    .n_vocab = 200064, .n_ctx = 8192, .type = "Q4_K_M", .tied = true, .seed = 1,
	    .arch = "phi3", .window = 262144 } },
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
