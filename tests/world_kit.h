/* world_kit.h - a world in which all that drafting depends on is told: what passes cost, how often
 * guesses hold, how sure their makers are.
 *
 * A backend that computes nothing plays the model, its little model and its bridge, and turns a
 * clock that every clock_now() reads (the linker puts __wrap_clock_now in its place): so the
 * strategies themselves run here, in no time, and what they took is known to the nanosecond.
 * Times are in plain steps.  Invariant: the same world and number give the same text and times. */
#ifndef S3D_WORLD_KIT_H
#define S3D_WORLD_KIT_H
#include "engine/decode/probs.h"
#include "engine/strategy/strategies.h"
#include "kernels/backend_draft.h"
#include "kernels/peaks.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* A place in the text is easy or hard for a drafter; its guess holds there with a chance, which is
 * what it says or not.  Each guess behind the first is worth so much less, over a bridge. */
struct world_drafter {
	double easy;                    /* share of the places */
	double holds[2], says[2];       /* at hard and at easy ones */
	double later;
};

struct world {
	const char *name;
	const double *run;              /* of 1, 2, .. 17 rows, the first is 1 */
	double begin, step;             /* the little model's first guess of a round, each other */
	double cold;                    /* what a run behind it takes more */
	double bridge;                  /* a pass over the bridge; 0: there is none */
	double read;                    /* a token of the prompt */
	struct world_drafter little, bridged;   /* little.easy < 0: there is no little model */
	bool turns;                     /* every second text is not for these drafters */
	int period;                     /* the text says the same again after so many; 0: never */
};

enum { WORLD_V = 512, WORLD_CTX = 4096, WORLD_ROWS = STEP_MAX };
static struct {
	const struct world *w;
	uint64_t seed, pass;
	double now;
	bool cold;
	int little_at;                  /* the little model's last pass was for this place */
	float rows[WORLD_ROWS * (WORLD_V + WORLD_V / PEAK)];
} world;

double __wrap_clock_now(void);
double __wrap_clock_now(void)
{
	return world.now;
}

static inline double world_chance(uint64_t what, uint64_t at)   /* in [0, 1) */
{
	return (double)(mix64(mix64(world.seed * 3 + what) ^ mix64(at)) >> 11) / 9007199254740992.0;
}

static inline int world_token(int at)
{
	int period = world.w->period;

	return (int)(world_chance(1, (uint64_t)(period ? at % period : at)) * WORLD_V);
}

/* A pass takes a few per cent more or less, and now and then something else has the processor. */
static inline void world_takes(double t)
{
	double a = world_chance(2, world.pass), b = world_chance(3, world.pass);

	world.now += t * (1 + 0.06 * (a - 0.5)) * (b < 0.004 ? 3 : 1);
	world.pass++;
}

static inline void world_row(float *row, int token, double sure)
{
	for (int i = 0; i < WORLD_V; i++)
		row[i] = 0;
	row[token] = (float)log(sure / (1 - sure) * (WORLD_V - 1));
	probs_peaks(row, WORLD_V);
}

static inline void world_guess(const struct world_drafter *d, uint64_t who, int at, int later,
			       float *row)
{
	int easy = world_chance(4, (uint64_t)at) < d->easy;
	double less = pow(d->later, later) * (world.w->turns && world.seed % 2 ? 0.2 : 1);
	bool holds = world_chance(who, (uint64_t)at) < d->holds[easy] * less;

	world_row(row, (world_token(at) + !holds) % WORLD_V, fmax(0.01, d->says[easy] * less));
}

static inline float *world_at(int i)
{
	return world.rows + (size_t)i * (WORLD_V + WORLD_V / PEAK);
}

static inline void world_little(const struct batch *b)
{
	bool first = !world.cold;

	world_takes(b->n_out ? (first ? world.w->begin : world.w->step)
			     : world.w->step * world.w->read * b->n);
	world.cold = true;
	for (int i = 0; i < b->n_out; i++)
		world_guess(&world.w->little, 5, b->pos + b->n - b->n_out + i + 1, 0, world_at(i));
}

static inline const float *world_forward(struct dev *dev, struct kv *kv, const struct batch *b)
{
	(void)kv;
	if (dev) {
		world_little(b);
		return world.rows;
	}
	if (b->run->bridge) {
		world_takes(world.w->bridge);
		for (int i = 0; i < b->n_out; i++)
			world_guess(&world.w->bridged, 6, b->pos + 1 + i, i, world_at(i));
		return world.rows;
	}
	world_takes(b->n_out ? world.w->run[b->n - 1] + (world.cold ? world.w->cold : 0)
			     : fmax(1, world.w->read * b->n));
	world.cold = false;
	for (int i = 0; i < b->n_out; i++)
		world_row(world_at(i), world_token(b->pos + b->n - b->n_out + i + 1), 0.9);
	return world.rows;
}

static inline int world_back(const struct kv *kv)
{
	(void)kv;
	return 0;
}

static const struct backend world_backend = { .name = "world", .forward = world_forward,
	.kv_back = world_back };

/* What an engine is made of, as far as strategies see it. */
struct chat_of_world {
	struct session target, draft;
	struct schedule over;
	struct bridge bridge;
	struct cost cost;
	struct strat s;
};

static inline void world_session(struct session *s, bool little, size_t bytes)
{
	*s = (struct session){ .be = &world_backend, .n_ctx = WORLD_CTX, .n_batch = 64,
			       .dev = little ? (struct dev *)&world : NULL,
			       .n_vocab = WORLD_V, .n_out = WORLD_V };
	s->tok = calloc(WORLD_CTX + SESSION_SPARE, sizeof(*s->tok));
	s->base.n = 1;
	s->base.op[0].bytes = bytes;
}

static inline struct chat_of_world *world_open(const struct world *w, const char *strategy)
{
	struct chat_of_world *c = calloc(1, sizeof(*c));
	char err[ERR_MAX];

	world.w = w;
	world.cold = false;
	world_session(&c->target, false, 10000);
	world_session(&c->draft, true, (size_t)(10000 * w->step));
	c->bridge.k = 3;
	c->over.bridge = &c->bridge;
	c->over.n = 1;
	c->over.op[0].bytes = (size_t)(10000 * w->bridge);
	c->s = (struct strat){ .ops = strategy_find(strategy, err), .target = &c->target,
			       .draft = w->little.easy < 0 ? NULL : &c->draft,
			       .bridged = w->bridge > 0 ? &c->over : NULL, .cost = &c->cost,
			       .smp = sampler_open(WORLD_V, NULL, err),
			       .law = SAMPLER_DEFAULTS, .opt = STRATEGY_DEFAULTS };
	c->s.draft_smp = c->s.bridge_smp = c->s.smp;
	c->s.law.temp = 0;
	assert_int_equal(strategy_open(&c->s, err), 0);
	return c;
}

static inline void world_close(struct chat_of_world *c)
{
	strategy_close(&c->s);
	sampler_close(c->s.smp);
	free(c->target.tok);
	free(c->draft.tok);
	free(c);
}

/* Reads a prompt as an engine does, then answers with n tokens, which must be the world's; returns
 * the time of the answer. */
static inline double world_answer(struct chat_of_world *c, uint64_t seed, int prompt, int n)
{
	struct emit out[STEP_MAX];
	char err[ERR_MAX];
	double start = world.now;
	int ids[512], got = 0, left;

	world.seed = seed;
	world.pass = 0;
	for (int i = 0; i < prompt; i++)
		ids[i] = world_token(i);
	memset(&c->s.stats, 0, sizeof(c->s.stats));
	c->s.begins = true;
	c->s.from = prompt;
	c->target.n_kv = c->draft.n_kv = 0;
	assert_int_equal(session_set(&c->target, ids, prompt, err), 0);
	while ((left = session_prefill(&c->target, err)) > 0)
		;
	cost_read(&c->cost.read_s, prompt - 1, world.now - start);
	while (!left && strategy_asks_little(&c->s, c->s.ops) && strategy_unread(&c->s))
		left = strategy_read(&c->s, err) < 0;
	assert_int_equal(left, 0);
	start = world.now;
	while (got < n) {
		int m = strategy_step(&c->s, out, err);

		assert_in_range(m, 1, STEP_MAX);
		for (int i = 0; i < m; i++)
			assert_int_equal(out[i].tok, world_token(prompt + got++));
		c->s.begins = false;
	}
	/* Of tokens that would not have been written a part of the last round. */
	return (world.now - start) * n / got;
}
#endif
