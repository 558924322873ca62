/* probe.h - what measurements (bench, eval) ask of an open engine: single passes over its model, in
 * its own cache or in one beside it, and how fast its device is.
 *
 * A probe owns a cache and borrows the engine.  Invariant: no answer is changed by a measurement
 * between answers, but a cache that passes were made in holds something else then. */
#ifndef S3D_PROBE_H
#define S3D_PROBE_H
#include "engine/engine.h"
#include "kernels/backend_draft.h"
#include "kernels/backend_time.h"

/* Runs tok[0..n-1] at pos in the engine's own cache; rows of logits for the last n_out of them, see
 * probe_row; NULL on error.  Without logits they are run as a prompt is. */
const float *probe_look(struct engine *, const int *tok, int n, int pos, int n_out,
			char err[ERR_MAX]);
/* Row i of these, of engine->target.n_out logits, and its peaks. */
const float *probe_row(const struct engine *, const float *logits, int i);

struct probe;
/* With a cache of n_ctx positions, which keeps what a pass over the engine's bridge needs. */
struct probe *probe_open(struct engine *, int n_ctx, char err[ERR_MAX]);
void probe_close(struct probe *);
/* The first position, beside 0, that a pass may begin at now (see kv_back in backend.h). */
int probe_back(const struct probe *);
/* Runs tok[0..n-1] at pos with logits for the last n_out of them, all in one pass. */
int probe_run(struct probe *, const int *tok, int n, int pos, int n_out, char err[ERR_MAX]);
/* Drafts that one pass over the engine's bridge can make; 0: it has none. */
int probe_drafts(const struct engine *);
/* A pass over the bridge from the token tok at pos, for so many drafts. */
int probe_bridge(struct probe *, int tok, int pos, int drafts, char err[ERR_MAX]);

/* PROBE_STEPS steps of the little model from tok[0] at pos, as it drafts: where its device does not
 * guess by itself tok[1], tok[2] ... are the guesses.  Its timeline is empty then. */
enum { PROBE_STEPS = GUESS_MAX };
int probe_little(struct engine *, const int *tok, int pos, char err[ERR_MAX]);

/* Seconds to stream-read bytes of memory where the engine computes. */
double probe_stream(struct engine *, size_t bytes);
/* Where the time of passes went since the last call, see stages in backend.h. */
int probe_stages(struct engine *, struct backend_stage out[BACKEND_STAGES_MAX]);
/* How passes were replayed since the last call; false: this device records none. */
bool probe_counts(struct engine *, struct backend_counts *);
#endif
