/* eval_ref.c - recorded logits of an independent program, compared row by row; see eval.h.
 *
 * Invariant: both distributions are normalised in double before they meet, so a divergence is
 * never negative by more than rounding. */
#include "app/tools/eval.h"
#include "engine/decode/probs.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 32 };

static uint32_t get_u32(const unsigned char *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static float get_f32(const unsigned char *p)
{
	uint32_t u = get_u32(p);
	float f;

	memcpy(&f, &u, sizeof(f));
	return f;
}

double eval_log_sum(const float *logits, int n)
{
	double max = logits[probs_argmax(logits, n)], sum = 0;

	for (int i = 0; i < n; i++)
		sum += exp(logits[i] - max);
	return max + log(sum);
}

static size_t row_bytes(const struct eval_ref *r)
{
	return r->n_top ? 8 * (size_t)r->n_top : 4 * (size_t)r->n_vocab;
}

static int short_file(const struct eval_ref *r, char err[ERR_MAX])
{
	return fail(err, "%s: %s", r->path, ferror(r->f) ? strerror(errno) :
		    "the file ends early; record it again (tests/tools/make_reference_logits.py)");
}

static int check_size(struct eval_ref *r, char err[ERR_MAX])
{
	uint64_t want = HEADER + (uint64_t)r->n_chunks *
		(4 * (uint64_t)r->chunk + (uint64_t)r->n_rows * row_bytes(r));
	off_t have;

	if (fseeko(r->f, 0, SEEK_END) || (have = ftello(r->f)) < 0 ||
	    fseeko(r->f, HEADER, SEEK_SET))
		return fail(err, "%s: %s", r->path, strerror(errno));
	if ((uint64_t)have != want)
		return fail(err, "%s: %lld bytes, but its header asks for %llu; record it again",
			    r->path, (long long)have, (unsigned long long)want);
	return 0;
}

static int read_header(struct eval_ref *r, char err[ERR_MAX])
{
	unsigned char h[HEADER];
	uint32_t v[6];

	if (fread(h, 1, HEADER, r->f) != HEADER || memcmp(h, "S3DKLREF", 8))
		return fail(err, "%s: not a reference of tests/tools/make_reference_logits.py",
			    r->path);
	for (int i = 0; i < 6; i++)
		v[i] = get_u32(h + 8 + 4 * i);
	if (v[0] != 1)
		return fail(err, "%s: version %u of the format, this program reads 1", r->path,
			    v[0]);
	if (v[1] < 1 || v[1] > 1 << 20 || v[2] < 4 || v[2] > 1 << 20 ||
	    v[3] != v[2] - 1 - v[2] / 2 || v[4] < 2 || v[4] > 1 << 24 || v[5] >= v[4])
		return fail(err, "%s: impossible header: %u chunks of %u tokens, %u rows, "
			    "vocabulary %u, top %u", r->path, v[1], v[2], v[3], v[4], v[5]);
	r->n_chunks = (int)v[1], r->chunk = (int)v[2], r->n_rows = (int)v[3];
	r->n_vocab = (int)v[4], r->n_top = (int)v[5];
	return check_size(r, err);
}

static int read_ids(struct eval_ref *r, char err[ERR_MAX])
{
	size_t n = (size_t)r->n_chunks * (size_t)r->chunk;
	unsigned char b[4];

	r->ids = mem_new(n, sizeof(*r->ids), err);
	if (!r->ids)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (fread(b, 1, 4, r->f) != 4)
			return short_file(r, err);
		if (get_u32(b) >= (uint32_t)r->n_vocab)
			return fail(err, "%s: token %u at %zu is outside the vocabulary of %d",
				    r->path, get_u32(b), i, r->n_vocab);
		r->ids[i] = (int)get_u32(b);
	}
	return 0;
}

int eval_ref_open(struct eval_ref *r, const char *path, char err[ERR_MAX])
{
	int n;

	*r = (struct eval_ref){ .path = path, .f = fopen(path, "rb") };
	if (!r->f)
		return fail(err, "%s: %s", path, strerror(errno));
	if (read_header(r, err) || read_ids(r, err))
		goto bad;
	n = r->n_top ? r->n_top : r->n_vocab;
	r->raw = mem_new(row_bytes(r), 1, err);
	r->top = mem_new(r->n_top ? (size_t)r->n_top : 1, sizeof(*r->top), err);
	r->logp = mem_new((size_t)n, sizeof(*r->logp), err);
	if (r->raw && r->top && r->logp)
		return 0;
bad:
	eval_ref_close(r);
	return -1;
}

void eval_ref_close(struct eval_ref *r)
{
	if (r->f)
		fclose(r->f);
	mem_free(r->ids);
	mem_free(r->raw);
	mem_free(r->top);
	mem_free(r->logp);
	*r = (struct eval_ref){ 0 };
}

/* Whole row: logp over the vocabulary and top[0]. */
static void unpack_full(struct eval_ref *r)
{
	double max = -INFINITY, sum = 0;

	for (int i = 0; i < r->n_vocab; i++) {
		r->logp[i] = get_f32(r->raw + 4 * (size_t)i);
		if (r->logp[i] > max) {
			max = r->logp[i];
			r->top[0] = i;
		}
	}
	for (int i = 0; i < r->n_vocab; i++)
		sum += exp(r->logp[i] - max);
	for (int i = 0; i < r->n_vocab; i++)
		r->logp[i] -= max + log(sum);
}

static int unpack_top(struct eval_ref *r, char err[ERR_MAX])
{
	const unsigned char *logp = r->raw + 4 * (size_t)r->n_top;

	for (int i = 0; i < r->n_top; i++) {
		uint32_t id = get_u32(r->raw + 4 * (size_t)i);

		if (id >= (uint32_t)r->n_vocab)
			return fail(err, "%s: token %u in a row, but the vocabulary has %d",
				    r->path, id, r->n_vocab);
		r->top[i] = (int)id;
		r->logp[i] = get_f32(logp + 4 * (size_t)i);
	}
	return 0;
}

static void compare_full(const struct eval_ref *r, const float *logits, double lse, int next,
			 struct eval_row *out)
{
	for (int i = 0; i < r->n_vocab; i++)
		out->kl += exp(r->logp[i]) * (r->logp[i] - (logits[i] - lse));
	out->logp_ref = r->logp[next];
}

/* Merging all other tokens into one event can only lower the divergence (data processing
 * inequality): so this is an honest lower bound. */
static void compare_top(const struct eval_ref *r, const float *logits, double lse, int next,
			struct eval_row *out)
{
	double p_rest = 1, q_rest = 1;

	for (int i = 0; i < r->n_top; i++) {
		double q = logits[r->top[i]] - lse;

		out->kl += exp(r->logp[i]) * (r->logp[i] - q);
		p_rest -= exp(r->logp[i]);
		q_rest -= exp(q);
		if (r->top[i] == next)
			out->logp_ref = r->logp[i];
	}
	if (p_rest > 0 && q_rest > 0)
		out->kl += p_rest * log(p_rest / q_rest);
}

int eval_ref_compare(struct eval_ref *r, const float *logits, int next, struct eval_row *out,
		     char err[ERR_MAX])
{
	double lse = eval_log_sum(logits, r->n_vocab);

	*out = (struct eval_row){ .logp_ref = NAN };
	if (fread(r->raw, 1, row_bytes(r), r->f) != row_bytes(r))
		return short_file(r, err);
	if (r->n_top) {
		if (unpack_top(r, err))
			return -1;
		compare_top(r, logits, lse, next, out);
	} else {
		unpack_full(r);
		compare_full(r, logits, lse, next, out);
	}
	out->same_top = probs_argmax(logits, r->n_vocab) == r->top[0];
	return 0;
}
