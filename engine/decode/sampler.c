/* sampler.c - see sampler.h for the law.
 *
 * Candidates are kept as (id, score) with score = log p up to a constant; the noise is added last,
 * so everything before it is a plain filter on a distribution.
 * Invariant: equal inputs give equal choices; ties go to the smaller id. */
#include "engine/decode/sampler.h"
#include "kernels/noise.h"
#include "engine/decode/probs.h"
#include "kernels/peaks.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
	float score;            /* logit, later logit / temperature */
	int at;                 /* place in the row; places are ordered as token ids are */
};

struct sampler {
	int n;                  /* logits in a row */
	const int *ids;         /* (n) their tokens; NULL: 0, 1, ... */
	struct candidate *cand; /* (n) */
	float *changed;         /* (n, and peaks) logits after penalties */
	int *count;             /* (n) occurrences, all 0 between calls */
	const unsigned char *ends;      /* (n_ends) by token id, 1: is not penalised */
	int n_ends;
};

struct sampler *sampler_open(int n, const int *ids, char err[ERR_MAX])
{
	struct sampler *s = mem_new(1, sizeof(*s), err);

	if (!s)
		return NULL;
	s->n = n;
	s->ids = ids;
	s->cand = mem_new((size_t)n, sizeof(*s->cand), err);
	s->changed = mem_new((size_t)(n + row_peaks(n)), sizeof(*s->changed), err);
	s->count = mem_new((size_t)n, sizeof(*s->count), err);
	if (s->cand && s->changed && s->count)
		return s;
	sampler_close(s);
	return NULL;
}

void sampler_spare(struct sampler *s, const unsigned char *ends, int n)
{
	s->ends = ends;
	s->n_ends = n;
}

void sampler_close(struct sampler *s)
{
	if (!s)
		return;
	mem_free(s->cand);
	mem_free(s->changed);
	mem_free(s->count);
	mem_free(s);
}

static int token_at(const struct sampler *s, int at)
{
	return s->ids ? s->ids[at] : at;
}

/* Where a token's logit stands, -1: it has none. */
static int place_of(const struct sampler *s, int token)
{
	int low = 0, high = s->n;

	if (!s->ids)
		return token < s->n ? token : -1;
	while (low < high) {
		int middle = low + (high - low) / 2;

		if (s->ids[middle] < token)
			low = middle + 1;
		else
			high = middle;
	}
	return low < s->n && s->ids[low] == token ? low : -1;
}

bool sampler_penalises(const struct sampler_opt *o)
{
	return o->repeat_last_n != 0 && (o->repeat_penalty != 1.0f ||
	       o->frequency_penalty != 0.0f || o->presence_penalty != 0.0f);
}

/* Logits after the penalties for the last tokens of hist (llama.cpp's definitions): divided or
 * multiplied by repeat, less count * frequency, less presence. */
static const float *penalise(struct sampler *s, const struct sampler_opt *o, const float *logits,
			     const int *hist, int n)
{
	int first = o->repeat_last_n > 0 && o->repeat_last_n < n ? n - o->repeat_last_n : 0;

	memcpy(s->changed, logits, sizeof(*logits) * (size_t)s->n);
	for (int i = first; i < n; i++) {
		int at = place_of(s, hist[i]);

		if (at >= 0 && !(hist[i] < s->n_ends && s->ends[hist[i]]))
			s->count[at]++;
	}
	for (int i = first; i < n; i++) {
		int at = place_of(s, hist[i]);
		float *x, c;

		if (at < 0 || s->count[at] == 0)
			continue;       /* no logit, spared, or done at an earlier occurrence */
		x = &s->changed[at];
		c = (float)s->count[at];
		*x = *x > 0 ? *x / o->repeat_penalty : *x * o->repeat_penalty;
		*x -= c * o->frequency_penalty + o->presence_penalty;
		s->count[at] = 0;
	}
	probs_peaks(s->changed, s->n);
	return s->changed;
}

static bool before(struct candidate a, struct candidate b)
{
	return a.score > b.score || (a.score == b.score && a.at < b.at);
}

static int compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return before(*x, *y) ? -1 : before(*y, *x);
}

/* Restores the heap property (worst candidate on top) below i. */
static void sift(struct candidate *c, int n, int i)
{
	for (;;) {
		int worst = i, left = 2 * i + 1;

		for (int child = left; child < left + 2 && child < n; child++)
			if (before(c[worst], c[child]))
				worst = child;
		if (worst == i)
			return;
		struct candidate t = c[i];
		c[i] = c[worst];
		c[worst] = t;
		i = worst;
	}
}

/* Those of the group of PEAK logits from place i on that are among the k best so far. */
static void take_group(struct sampler *s, const float *logits, int i, int k)
{
	int end = i + PEAK < s->n ? i + PEAK : s->n;

	for (; i < end; i++)
		if (logits[i] > s->cand[0].score) {
			s->cand[0] = (struct candidate){ logits[i], i };
			sift(s->cand, k, 0);
		}
}

/* The k best of the vocabulary, best first, and how many there are: a logit that is -infinity, or a
 * NaN (a damaged model), which would upset every order, is no candidate unless none is. */
static int top_k(struct sampler *s, const float *logits, int k)
{
	if (k <= 0 || k > s->n)
		k = s->n;
	for (int i = 0; i < k; i++)
		s->cand[i] = (struct candidate){ -INFINITY, s->n };
	for (int i = 0; i < s->n; i += PEAK)
		if (logits[s->n + i / PEAK] > s->cand[0].score)
			take_group(s, logits, i, k);
	qsort(s->cand, (size_t)k, sizeof(*s->cand), compare);
	while (k > 1 && s->cand[k - 1].at == s->n)
		k--;
	if (s->cand[0].at == s->n)
		s->cand[0].at = 0;
	return k;
}

/* How many of the n candidates, best first, top-p and then min-p leave. */
static int cut(const struct candidate *c, int n, const struct sampler_opt *o)
{
	double all = 0, sum = 0;
	int keep = 0;

	for (int i = 0; i < n; i++)
		all += exp((double)c[i].score - (double)c[0].score);
	if (o->top_p < 1.0f) {
		while (keep < n && (keep == 0 || sum < (double)o->top_p * all)) {
			sum += exp((double)c[keep].score - (double)c[0].score);
			keep++;
		}
		n = keep;
	}
	if (o->min_p > 0)
		while (n > 1 && exp((double)c[n - 1].score - (double)c[0].score) < (double)o->min_p)
			n--;
	return n;
}

int sampler_best(const struct sampler_opt *o)
{
	return sampler_penalises(o) ? 0 : o->temp <= 0 ? 1 : o->top_k > 0 ? o->top_k : 0;
}

int sampler_choose(struct sampler *s, const struct sampler_opt *o, const float *logits,
		   const int *hist, int n, float lambda)
{
	int count, best = 0;
	double top = -INFINITY;

	if (sampler_penalises(o))
		logits = penalise(s, o, logits, hist, n);
	if (o->temp <= 0)
		return token_at(s, probs_first(logits, s->n));
	count = top_k(s, logits, o->top_k);
	for (int i = 0; i < count; i++)
		s->cand[i].score /= o->temp;
	count = cut(s->cand, count, o);
	for (int i = 0; i < count; i++) {
		double x = (double)s->cand[i].score;

		if (lambda != 0)
			x += (double)lambda * noise_gumbel(o->seed, (uint64_t)n,
							   (uint32_t)token_at(s, s->cand[i].at));
		if (x > top) {
			top = x;
			best = i;
		}
	}
	return token_at(s, s->cand[best].at);
}
