/* fibers.cpp - the threads of a block: coroutines that give way in barriers and collectives.
 *
 * Every lane has a stack of its own, made once and used by all blocks; a lane that has to wait goes
 * straight to another of its warp, and only a warp in which nobody can go on to the scheduler.
 * Invariant: a warp runs until all its lanes are at a barrier or have returned. */
#include "tests/emu/fibers.h"
#include "tests/emu/inside.h"
#include <cstdarg>
#include <cstdio>
#include <cstring>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;
void *emu_dynamic_shared;

enum { LANES = 32, THREADS = 1024, WARPS = THREADS / LANES };

struct place {
	const char *file;
	int line;
};

struct lane {
	struct emu_fiber fiber;
	struct warp *warp;
	unsigned bit, thread;
	/* what it waits for */
	struct place place;
	int op;                 /* enum emu_collective or, in a barrier, enum emu_barrier */
	unsigned mask;
	int arg, width;
	uint64_t value, result;
};

struct warp {           /* sets of lanes; those in none of the last two wait for the block */
	struct lane *first;
	unsigned live;          /* have not returned */
	unsigned ready;         /* can run */
	unsigned waiting;       /* are in a collective */
};

static struct lane lanes[THREADS];
static struct warp warps[WARPS];
static struct emu_fiber scheduler;
static struct lane *now;                /* the one that runs */
static struct emu_kernel *job;
static int barrier_result;
static uint32_t seed;

/* Where the one that complains is; the scheduler has no thread of its own. */
void emu_die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "emu: ");
	if (job)
		fprintf(stderr, "kernel %s, block (%u, %u, %u)", job->name, blockIdx.x, blockIdx.y,
			blockIdx.z);
	if (now)
		fprintf(stderr, ", thread %u", threadIdx.x);
	fprintf(stderr, job ? ": " : "");
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\n");
	abort();
}

static uint32_t dice(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed >> 16;
}

/* The one of a set whose turn it is. */
static int pick(unsigned set)
{
	if (emu.set.order == 0)
		return __builtin_ctz(set);
	if (emu.set.order == 1)
		return 31 - __builtin_clz(set);
	int r = dice() & 31;

	return (__builtin_ctz(set >> r | set << (-r & 31)) + r) & 31;
}

/* To a lane, or to the scheduler; comes back when it is this one's turn again. */
static void go(struct lane *to)
{
	struct emu_fiber *from = now ? &now->fiber : &scheduler;

	if (to == now)
		return;
	now = to;
	if (to)
		threadIdx.x = to->thread;
	emu_fiber_switch(from, to ? &to->fiber : &scheduler);
}

static void give_way(struct warp *w)
{
	go(w->ready ? w->first + pick(w->ready) : nullptr);
}

/* Which lane a lane of a shuffle reads, by PTX's rules; itself if that leaves its segment. */
static int source(int lane, const struct lane *l)
{
	int first = lane & ~(l->width - 1), last = first + l->width - 1, from;

	switch (l->op) {
	case EMU_SHUFFLE:
		return first + (l->arg & (l->width - 1));
	case EMU_SHUFFLE_UP:
		from = lane - l->arg;
		return from < first ? lane : from;
	case EMU_SHUFFLE_DOWN:
		from = lane + l->arg;
		return from > last ? lane : from;
	default:
		from = lane ^ l->arg;
		return from > last ? lane : from;
	}
}

/* What a shuffle reads from a lane that takes no part is undefined: all ones, a NaN. */
static void shuffle(struct lane *first, unsigned group)
{
	for (unsigned set = group; set; set &= set - 1) {
		int i = __builtin_ctz(set), from = source(i, &first[i]);

		first[i].result = group >> (from & 31) & 1 ? first[from & 31].value : ~0ull;
	}
}

static void vote(struct lane *first, unsigned group, int op)
{
	unsigned yes = 0;

	for (unsigned set = group; set; set &= set - 1) {
		int i = __builtin_ctz(set);

		yes |= (unsigned)(first[i].value != 0) << i;
	}
	for (unsigned set = group; set; set &= set - 1)
		first[__builtin_ctz(set)].result = op == EMU_ANY ? yes != 0 :
						   op == EMU_ALL ? yes == group : yes;
}

static inline bool same_collective(const struct lane *a, const struct lane *b)
{
	return a->mask == b->mask && a->op == b->op;
}

/* If all lanes of a mask that have not returned are here, they have their results and can go on. */
static void try_complete(struct warp *w, unsigned mask)
{
	unsigned group = mask & w->live;
	struct lane *first = w->first, *one = first + (group ? __builtin_ctz(group) : 0);

	if (!group || (w->waiting & group) != group)
		return;
	for (unsigned set = group; set; set &= set - 1)
		if (!same_collective(one, first + __builtin_ctz(set)))
			return;
	if (one->op >= EMU_BALLOT)
		vote(first, group, one->op);
	else if (one->op != EMU_SYNCWARP)
		shuffle(first, group);
	w->waiting &= ~group;
	w->ready |= group;
}

static const char *op_name(int op)
{
	static const char *const names[] = { "__syncwarp", "__shfl_sync", "__shfl_up_sync",
		"__shfl_down_sync", "__shfl_xor_sync", "__ballot_sync", "__any_sync",
		"__all_sync", "__activemask" };

	return names[op];
}

/* Lanes that wait for one another have to wait for the same thing. */
static inline void check_company(const struct warp *w, int op, unsigned mask)
{
	unsigned others = w->waiting & mask;
	const struct lane *one = w->first + (others ? __builtin_ctz(others) : 0);

	/* not by what now has: to read what was just written takes long */
	if (!others || (one->op == op && one->mask == mask))
		return;
	for (; others; others &= others - 1) {
		const struct lane *o = w->first + __builtin_ctz(others);

		if (o->mask & now->bit && !same_collective(now, o))
			emu_die("%s with mask %08x at %s:%d, but thread %d of its warp is in %s "
				"with mask %08x at %s:%d", op_name(now->op), now->mask,
				now->place.file, now->place.line, (int)(o - lanes),
				op_name(o->op), o->mask, o->place.file, o->place.line);
	}
}

uint64_t emu_collective(enum emu_collective op, unsigned mask, uint64_t value, int arg, int width,
			const char *file, int line)
{
	struct warp *w = now->warp;

	if (op == EMU_ACTIVE)
		mask = w->live;
	now->place = { file, line };
	now->op = op;
	now->mask = mask;
	now->value = value;
	now->arg = arg;
	now->width = width;
	if (!(mask & now->bit))
		emu_die("%s at %s:%d with mask %08x, which the thread itself is not in",
			op_name(op), file, line, mask);
	if (width < 1 || width > LANES || width & (width - 1))
		emu_die("%s at %s:%d with a width of %d", op_name(op), file, line, width);
	check_company(w, op, mask);
	w->ready &= ~now->bit;
	w->waiting |= now->bit;
	if (!(mask & w->live & ~w->waiting))
		try_complete(w, mask);
	give_way(w);
	return now->result;
}

int emu_barrier(enum emu_barrier kind, bool value, const char *file, int line)
{
	struct warp *w = now->warp;

	now->place = { file, line };
	now->op = kind;
	now->value = value;
	w->ready &= ~now->bit;
	give_way(w);
	return barrier_result;
}

/* A lane has returned; those that only waited for it go on. */
static void leave(void)
{
	struct warp *w = now->warp;

	w->live &= ~now->bit;
	w->ready &= ~now->bit;
	for (unsigned set = w->waiting; set; set &= set - 1) {
		const struct lane *l = w->first + __builtin_ctz(set);

		if (l->mask & now->bit && w->waiting & l->bit)
			try_complete(w, l->mask);
	}
	give_way(w);
}

void emu_fiber_main(void)
{
	for (;;) {
		job->thread();
		leave();
	}
}

/* The collective that some lanes are in will never be complete. */
static void check_stuck(struct warp *w)
{
	const struct lane *first = w->first;

	for (unsigned set = w->waiting; set; set &= set - 1) {
		const struct lane *l = first + __builtin_ctz(set);
		unsigned missing = l->mask & w->live & ~w->waiting;
		const struct lane *m = first + (missing ? __builtin_ctz(missing) : 0);

		if (missing)
			emu_die("lanes %08x of warp %d are in %s with mask %08x at %s:%d, and %08x "
				"are not: thread %d is in a barrier at %s:%d", w->waiting,
				(int)(w - warps), op_name(l->op), l->mask, l->place.file,
				l->place.line, missing, (int)(m - lanes), m->place.file,
				m->place.line);
	}
	if (w->waiting)
		emu_die("lanes %08x of warp %d wait for one another with different masks",
			w->waiting, (int)(w - warps));
}

static inline bool same_place(const struct lane *a, const struct lane *b)
{
	return a->place.line == b->place.line && (a->place.file == b->place.file ||
						  !strcmp(a->place.file, b->place.file));
}

static void check_same_barrier(const struct lane *a, const struct lane *b)
{
	if (a->op != b->op || !same_place(a, b))
		emu_die("thread %d is in a barrier at %s:%d and thread %d in another at %s:%d",
			(int)(a - lanes), a->place.file, a->place.line, (int)(b - lanes),
			b->place.file, b->place.line);
}

/* All threads that have not returned are in a barrier: the same one, or it is an error. */
static void barrier(int n_warps)
{
	const struct lane *one = nullptr;
	int count = 0, threads = 0;

	for (int i = 0; i < n_warps; i++)
		for (unsigned set = warps[i].live; set; set &= set - 1) {
			struct lane *l = &lanes[i * LANES + __builtin_ctz(set)];

			one = one ? one : l;
			check_same_barrier(one, l);
			threads++;
			count += l->value != 0;
		}
	barrier_result = one->op == EMU_SYNC_AND ? count == threads :
			 one->op == EMU_SYNC_OR ? count > 0 : count;
}

/* Each warp as far as it can go; whether any is left. */
static bool run_warps(int n_warps)
{
	unsigned set = 0, live = 0;

	for (int i = 0; i < n_warps; i++)
		if (warps[i].live) {
			warps[i].ready = warps[i].live;
			set |= 1u << i;
		}
	while (set) {
		struct warp *w = &warps[pick(set)];

		set &= ~(1u << (w - warps));
		go(w->first + pick(w->ready));
		check_stuck(w);
		live |= w->live;
	}
	return live != 0;
}

static void run_block(unsigned n)
{
	int n_warps = (int)(n + LANES - 1) / LANES;

	for (int i = 0; i < n_warps; i++) {
		unsigned in_warp = n - (unsigned)i * LANES;

		warps[i].live = in_warp < LANES ? (1u << in_warp) - 1 : ~0u;
		warps[i].ready = warps[i].waiting = 0;
	}
	while (run_warps(n_warps))
		barrier(n_warps);
}

/* The i-th block to run: a step that has no divisor in common with their number meets all. */
static uint64_t block_at(uint64_t i, uint64_t n, uint64_t start, uint64_t step)
{
	if (emu.set.order == 0)
		return i;
	if (emu.set.order == 1)
		return n - 1 - i;
	return (start + i * step) % n;
}

static uint64_t coprime_step(uint64_t n)
{
	for (uint64_t step = dice() % n + 1;; step++) {
		uint64_t a = n, b = step;

		while (b) {
			uint64_t rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1)
			return step;
	}
}

static void run_grid(const struct emu_kernel *k)
{
	uint64_t n = (uint64_t)k->grid.x * k->grid.y * k->grid.z;
	uint64_t start = dice() % n, step = coprime_step(n);

	for (uint64_t i = 0; i < n; i++) {
		uint64_t at = block_at(i, n, start, step);

		blockIdx = { (unsigned)(at % k->grid.x), (unsigned)(at / k->grid.x % k->grid.y),
			     (unsigned)(at / k->grid.x / k->grid.y) };
		if (k->shared)
			memset(emu_dynamic_shared, 0xff, k->shared);
		emu_fill_static_shared();
		run_block(k->block.x);
	}
}

static void lane_open(unsigned i)
{
	struct lane *l = &lanes[i];

	emu_fiber_open(&l->fiber, (int)i);
	l->warp = &warps[i / LANES];
	l->warp->first = &lanes[i / LANES * LANES];
	l->bit = 1u << i % LANES;
	l->thread = i;
}

/* Vector code of the host that was compiled with little optimisation leaves the upper halves of
 * registers in use, which makes each scalar instruction after it many times as slow. */
static void clean_registers(void)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx"))
		asm volatile("vzeroupper" ::: "memory");
#endif
}

/* The caller's lock makes this the only kernel of the process. */
void emu_kernel::run()
{
	if (block.y != 1 || block.z != 1)
		emu_die("kernel %s: a block of %u x %u x %u threads; only rows are emulated", name,
			block.x, block.y, block.z);
	for (unsigned i = 0; i < block.x; i++)
		lane_open(i);
	clean_registers();
	job = this;
	gridDim = grid;
	blockDim = block;
	seed = (uint32_t)emu.set.order * 2654435761u;
	emu_dynamic_shared = malloc(shared);
	run_grid(this);
	free(emu_dynamic_shared);
	emu_dynamic_shared = nullptr;
	job = nullptr;
	emu.use.kernels++;
}
