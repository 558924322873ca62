/* threads.c - see threads.h.
 *
 * A run is announced by a new generation number.  Workers spin on it for a while (a decode step
 * follows the last one within microseconds) and then sleep on a condition variable.
 * Invariant: the barrier counts exactly n arrivals per phase. */
#include "base/threads.h"
#include "base/altstack.h"
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Pauses (about 10 to 40 ns each) before a thread stops to spin and sleeps.  At a barrier the
 * number is learnt: a short sleep means that spinning on would have been better, a long one that
 * the late thread has no core, because other programs want the cores too; then whoever sleeps
 * early lets it run. */
enum { SPIN_IDLE = 20000, SPIN_LEAST = 300, SPIN_MOST = 2500 };
static const double SHORT_SLEEP = 100e-6;       /* seconds; waking up takes up to half of it */

struct worker {
	struct pool *pool;
	pthread_t id;
	int n;
};

struct pool {
	int n;
	struct worker *worker;  /* (n), 0 unused */
	int n_started;
	pthread_mutex_t mu;
	pthread_cond_t cv;
	_Alignas(64) atomic_uint generation;
	_Alignas(64) atomic_int arrived;
	_Alignas(64) atomic_uint phase;
	atomic_int asleep;      /* threads in futex_wait on phase */
	atomic_int spin;        /* pauses before that, as learnt */
	_Alignas(64) bool quit;
	void (*fn)(void *arg, int thread);
	void *arg;
};

static void pause_cpu(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#endif
}

static void futex(atomic_uint *word, int op, unsigned value)
{
	syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0);
}

static void sleep_phase(struct pool *p, unsigned phase, int spun)
{
	double start = clock_now();
	int spin;

	atomic_fetch_add(&p->asleep, 1);
	while (atomic_load(&p->phase) == phase)
		futex(&p->phase, FUTEX_WAIT, phase);
	atomic_fetch_sub(&p->asleep, 1);
	spin = clock_now() - start < SHORT_SLEEP ? spun * 2 : spun / 2;
	spin = spin < SPIN_LEAST ? SPIN_LEAST : spin > SPIN_MOST ? SPIN_MOST : spin;
	atomic_store_explicit(&p->spin, spin, memory_order_relaxed);
}

static void wait_phase(struct pool *p, unsigned phase)
{
	int spin = atomic_load_explicit(&p->spin, memory_order_relaxed);

	for (int i = 0; i < spin; i++) {
		if (atomic_load_explicit(&p->phase, memory_order_acquire) != phase)
			return;
		pause_cpu();
	}
	sleep_phase(p, phase, spin);
}

void pool_sync(struct pool *p)
{
	unsigned phase;

	if (p->n == 1)
		return;
	phase = atomic_load_explicit(&p->phase, memory_order_relaxed);
	if (atomic_fetch_add_explicit(&p->arrived, 1, memory_order_acq_rel) < p->n - 1) {
		wait_phase(p, phase);
		return;
	}
	atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
	atomic_store(&p->phase, phase + 1);
	if (atomic_load(&p->asleep))
		futex(&p->phase, FUTEX_WAKE, INT_MAX);
}

static bool wait_generation(struct pool *p, unsigned seen)
{
	for (int i = 0; i < SPIN_IDLE; i++) {
		if (atomic_load_explicit(&p->generation, memory_order_acquire) != seen)
			return !p->quit;
		pause_cpu();
	}
	pthread_mutex_lock(&p->mu);
	while (atomic_load_explicit(&p->generation, memory_order_acquire) == seen)
		pthread_cond_wait(&p->cv, &p->mu);
	pthread_mutex_unlock(&p->mu);
	return !p->quit;
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	altstack_use();
	for (unsigned seen = 0; wait_generation(w->pool, seen); seen++) {
		w->pool->fn(w->pool->arg, w->n);
		pool_sync(w->pool);
	}
	return NULL;
}

static void announce(struct pool *p)
{
	pthread_mutex_lock(&p->mu);
	atomic_fetch_add_explicit(&p->generation, 1, memory_order_release);
	pthread_cond_broadcast(&p->cv);
	pthread_mutex_unlock(&p->mu);
}

void pool_run(struct pool *p, void (*fn)(void *arg, int thread), void *arg)
{
	p->fn = fn;
	p->arg = arg;
	if (p->n > 1)
		announce(p);
	fn(arg, 0);
	pool_sync(p);
}

struct pool *pool_open(int n, char err[ERR_MAX])
{
	struct pool *p = mem_new(1, sizeof(*p), err);

	if (!p)
		return NULL;
	p->n = 1;
	atomic_store(&p->spin, SPIN_LEAST);
	pthread_mutex_init(&p->mu, NULL);
	pthread_cond_init(&p->cv, NULL);
	p->worker = mem_new((size_t)n, sizeof(*p->worker), err);
	if (!p->worker) {
		pool_close(p);
		return NULL;
	}
	p->n = n;
	for (int i = 1; i < n; i++) {
		p->worker[i] = (struct worker){ .pool = p, .n = i };
		if (pthread_create(&p->worker[i].id, NULL, worker_main, &p->worker[i]) != 0) {
			fail(err, "cannot start thread %d of %d; try a smaller -t", i + 1, n);
			pool_close(p);
			return NULL;
		}
		p->n_started = i;
	}
	return p;
}

void pool_close(struct pool *p)
{
	if (!p)
		return;
	p->quit = true;
	announce(p);
	for (int i = 1; i <= p->n_started; i++)
		pthread_join(p->worker[i].id, NULL);
	pthread_cond_destroy(&p->cv);
	pthread_mutex_destroy(&p->mu);
	mem_free(p->worker);
	mem_free(p);
}

int pool_size(const struct pool *p)
{
	return p->n;
}

void pool_share(const struct pool *p, int t, int n, int *from, int *to)
{
	*from = (int)((long)n * t / p->n);
	*to = (int)((long)n * (t + 1) / p->n);
}
