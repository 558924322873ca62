/* bench_quality.c - what the big model alone thinks of an answer, whoever wrote it.
 *
 * Invariant: the answer is run again, in the cache of the session that wrote it, with the tokens
 * that came out: what is judged does not depend on how they were found. */
#include "app/bench/bench_parts.h"
#include "engine/decode/probs.h"

int bench_judge(struct bench *b, const int *ids, int n, const struct bench_answer *a,
		const struct bench_answer *plain, struct bench_quality *q, char err[ERR_MAX])
{
	int n_out = b->e->target.n_out;
	int run[BENCH_PREDICT_MAX + 1];

	run[0] = ids[n - 1];
	for (int i = 0; i < a->n; i++) {
		run[i + 1] = a->tok[i];
		q->differ += i >= plain->n || a->tok[i] != plain->tok[i];
	}
	for (int i = 0; i < a->n; i += STEP_MAX) {
		int rows = a->n - i < STEP_MAX ? a->n - i : STEP_MAX;
		const float *logits = probe_look(b->e, run + i, rows, n - 1 + i, rows, err);

		if (!logits)
			return -1;
		for (int r = 0; r < rows; r++) {
			const float *row = probe_row(b->e, logits, r);
			int tok = a->tok[i + r];

			q->log_p += (double)row[tok] - probs_log_sum(row, n_out);
			q->first += probs_first(row, n_out) == tok;
		}
	}
	q->tokens += a->n;
	return 0;
}
