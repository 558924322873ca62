/* sampler.h - the one law of choice.
 *
 * The token at position t is argmax over candidates v of log p(v) + g(seed, t, v), where p is the
 * model's distribution after penalties, temperature, top-k, top-p and min-p, and g is Gumbel noise
 * from a counter-based generator (kernels/noise.h).  So a choice is a pure function of context,
 * settings and seed.
 * The sampler owns only scratch; invariant: no call changes the result of another. */
#ifndef S3D_SAMPLER_H
#define S3D_SAMPLER_H
#include "base/util.h"

struct sampler_opt {            /* llama.cpp's names and defaults */
	float temp;             /* 0.8; 0: greedy */
	int top_k;              /* 40; 0: all */
	float top_p;            /* 0.95; 1: off */
	float min_p;            /* 0.05; 0: off */
	float repeat_penalty;   /* 1.0: off */
	float frequency_penalty, presence_penalty;      /* 0: off */
	int repeat_last_n;      /* 64; 0: off, -1: the whole context */
	uint64_t seed;
};
#define SAMPLER_DEFAULTS { .temp = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f, \
	.repeat_penalty = 1.0f, .repeat_last_n = 64 }

struct sampler;
/* For rows of n logits; ids (n), ascending, are their tokens (kept by the caller), NULL: 0, 1, ...
 * A token that is not among them has probability 0. */
struct sampler *sampler_open(int n, const int *ids, char err[ERR_MAX]);
void sampler_close(struct sampler *);
/* No penalty falls on the tokens whose byte in ends (n, kept by the caller) is 1: what ends a turn
 * stands behind each of the text so far, and still must end this one. */
void sampler_spare(struct sampler *, const unsigned char *ends, int n);

/* The choice (a token id) for the position after hist[0..n-1], given its row of logits with the
 * peaks behind it (row_at in backend.h).  lambda scales the
 * noise: 1 is the law; a drafter that guesses the choice passes less (DESIGN: about 0.6). */
int sampler_choose(struct sampler *, const struct sampler_opt *, const float *logits,
		   const int *hist, int n, float lambda);
/* How many of the largest logits sampler_choose looks at (see struct batch); 0: at all. */
int sampler_best(const struct sampler_opt *);
/* Whether tokens of the text so far are worth less or more than their logits. */
bool sampler_penalises(const struct sampler_opt *);
#endif
