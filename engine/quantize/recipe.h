/* recipe.h - which type each tensor of a file gets when the whole is quantised to, say, q4_k_m.
 *
 * The rules are those of the files that people exchange, so that names and sizes agree with them:
 * some matrices suffer more than others and get more bits in some layers.  No state.
 * Invariant: a type that a tensor gets fits its columns. */
#ifndef S3D_RECIPE_H
#define S3D_RECIPE_H
#include "engine/gguf/gguf.h"

/* Name, type of most matrices, general.file_type of such a file. */
#define RECIPES(X) \
	X("f32", F32, 0) X("f16", F16, 1) X("q8_0", Q8_0, 7) X("q6_k", Q6_K, 18) \
	X("q5_k_m", Q5_K, 17) X("q4_k_m", Q4_K, 15) X("q4_1", Q4_1, 3) X("q4_0", Q4_0, 2) \
	X("iq4_nl", IQ4_NL, 25)
#define RECIPE_SPACED(name, ...) " " name
#define RECIPE_NAMES RECIPES(RECIPE_SPACED)     /* each behind a blank */

struct recipe {
	const char *name;       /* "q4_k_m" */
	enum quant_type type;   /* of most matrices */
	int file_type;          /* general.file_type of such a file */
};

const struct recipe *recipe_find(const char *name);     /* case-insensitive, or NULL */

struct recipe_file {            /* what the rules ask about a file */
	const struct gguf *file;
	int n_layers, gqa;      /* gqa: heads for each head of keys */
	bool tied;              /* embeddings are the output too */
	bool measured;          /* it is known how large activations are (see importance.h) */
};
enum quant_type recipe_type(const struct recipe *, const struct recipe_file *,
			    const struct gguf_tensor *);
#endif
