/* session.c - see session.h.  Rollback changes lengths only. */
#include "engine/decode/session.h"
#include "kernels/backend_columns.h"
#include "kernels/backend_draft.h"
#include <string.h>

int session_open(struct session *s, const struct backend *be, struct dev *dev,
		 const struct model *m, int n_ctx, int n_batch, char err[ERR_MAX])
{
	*s = (struct session){ .be = be, .dev = dev, .n_ctx = n_ctx, .n_batch = n_batch,
			       .n_rows = n_batch,
			       .n_vocab = m->cfg.n_vocab, .n_out = m->cfg.n_out };
	schedule_make(&s->base, m, &(struct plan){ .target = true });
	s->prompt = s->base;
	s->tok = mem_new((size_t)n_ctx + SESSION_SPARE, sizeof(*s->tok), err);
	s->kv = s->tok ? be->kv_new(dev, n_ctx, err) : NULL;
	if (s->kv)
		return 0;
	session_close(s);
	return -1;
}

void session_close(struct session *s)
{
	if (s->kv)
		s->be->kv_free(s->kv);
	mem_free(s->tok);
	*s = (struct session){ 0 };
}

int session_target(struct session *s, const struct model *m, const struct plan *text,
		   const struct plan *prompt, int n, char err[ERR_MAX])
{
	struct schedule base, before = s->prompt;
	int rows;

	schedule_make(&base, m, text);
	rows = schedule_rows(&base, s->n_rows);
	if (rows < n)
		return fail(err, "groups of %d layers leave room for %d rows in a pass, which may "
			    "have %d", base.n_group, rows, n);
	schedule_make(&s->prompt, m, prompt);
	if (base.id != s->base.id || before.id != s->prompt.id)
		s->n_kv = 0;
	s->base = base;
	s->n_batch = rows;
	return 0;
}

/* A cache that has forgotten what stands before the next pass is filled again from the start. */
static void reach(struct session *s)
{
	if (s->n_kv < s->be->kv_back(s->kv))
		s->n_kv = 0;
}

int session_set(struct session *s, const int *tok, int n, char err[ERR_MAX])
{
	int common = 0;

	if (n < 1 || n > s->n_ctx)
		return fail(err, "%d tokens do not fit a context of %d; a larger -c makes room", n,
			    s->n_ctx);
	while (common < n && common < s->n_kv && s->tok[common] == tok[common])
		common++;
	/* A cache of columns begins anew with every text, so that this can be written again; what
	 * only goes on is the same text. */
	if (s->be->columns && (n != s->n || common < n - 1 || tok[n - 1] != s->tok[n - 1]))
		s->be->columns->kv_anew(s->kv);
	memmove(s->tok, tok, sizeof(*tok) * (size_t)n);
	s->n = n;
	s->n_kv = common < n ? common : n - 1;
	reach(s);
	return 0;
}

void session_truncate(struct session *s, int n)
{
	s->n = n;
	if (s->n_kv > n - 1)
		s->n_kv = n > 0 ? n - 1 : 0;
	reach(s);
}

static const float *pass(struct session *s, const struct batch *b, char err[ERR_MAX])
{
	const float *logits = s->be->forward(s->dev, s->kv, b);

	if (!logits) {
		s->failed = true;
		fail(err, "%s", s->be->error(s->dev));
	}
	return logits;
}

static const float *run(struct session *s, const struct schedule *what, int n, int n_out,
			char err[ERR_MAX])
{
	return pass(s, &(struct batch){ .tok = s->tok + s->n_kv, .n = n, .pos = s->n_kv,
					.run = what, .n_out = n_out, .n_best = s->n_best,
					.halt = s->halt }, err);
}

int session_prefill(struct session *s, char err[ERR_MAX])
{
	int left = s->n - 1 - s->n_kv, n = left < s->n_batch ? left : s->n_batch;

	if (left <= 0)
		return 0;
	if (s->halt)
		s->halt->seen = false;
	if (!run(s, &s->prompt, n, 0, err))
		return -1;
	if (s->halt && s->halt->seen) {
		reach(s);
		return s->n - 1 - s->n_kv;
	}
	s->n_kv += n;
	return left - n;
}

/* Runs all that is not in the cache but the pending token. */
static int catch_up(struct session *s, char err[ERR_MAX])
{
	int left;

	while ((left = session_prefill(s, err)) > 0)
		;
	return left;
}

const float *session_extend(struct session *s, const int *draft, int k, char err[ERR_MAX])
{
	/* What is left of a prompt goes into the same pass where that is the same. */
	int alone = s->prompt.id == s->base.id ? s->n_batch : 1;
	const float *logits;

	if (k > SESSION_SPARE || k >= s->n_batch || s->n + k > s->n_ctx) {
		fail(err, "%d drafts after %d tokens do not fit a context of %d", k, s->n,
		     s->n_ctx);
		return NULL;
	}
	while (s->n - s->n_kv > alone || s->n - s->n_kv + k > s->n_batch)
		if (session_prefill(s, err) < 0)
			return NULL;
	if (k)
		memcpy(s->tok + s->n, draft, sizeof(*draft) * (size_t)k);
	logits = run(s, &s->base, s->n - s->n_kv + k, k + 1, err);
	if (logits)
		s->n_kv = s->n + k;
	return logits;
}

const float *session_bridge(struct session *s, const struct schedule *over, int n,
			    char err[ERR_MAX])
{
	return catch_up(s, err) < 0 ? NULL : run(s, over, 1, n, err);
}

int session_guess(struct session *s, struct guess_batch *b, char err[ERR_MAX])
{
	int room = s->n_ctx - s->n + 1;

	if (catch_up(s, err) < 0)
		return -1;
	b->n = b->n > GUESS_MAX ? GUESS_MAX : b->n;
	b->n = b->n > room ? room : b->n;
	b->run = &s->base;
	b->tok = s->tok[s->n - 1];
	b->pos = s->n - 1;
	if (s->be->draft->guess(s->dev, s->kv, b) != 0) {
		s->failed = true;
		return fail(err, "%s", s->be->error(s->dev));
	}
	return b->n;
}

const float *session_peek(struct session *s, const struct schedule *what, int at, int n,
			  char err[ERR_MAX])
{
	if (n < 1 || n > s->n_batch || at + n > s->n_ctx) {
		fail(err, "%d tokens at %d do not fit a context of %d", n, at, s->n_ctx);
		return NULL;
	}
	if (s->n_kv > at)
		s->n_kv = at;
	return pass(s, &(struct batch){ .tok = s->tok + at, .n = n, .pos = at, .run = what,
					.n_out = n }, err);
}

int session_mend(struct session *s, int at, int n, char err[ERR_MAX])
{
	if (!pass(s, &(struct batch){ .tok = s->tok + at, .n = n, .pos = at, .run = &s->base },
		  err))
		return -1;
	s->n_kv = s->n - 1;
	return 0;
}

void session_accept(struct session *s, int n_kept, int next)
{
	s->n += n_kept;
	s->n_kv = s->n;
	s->tok[s->n++] = next;
}
