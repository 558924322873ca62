/* amx.c - whether this process may use AMX: asked of processor and system, then tried.
 *
 * There are machines that list AMX and trap at its first instruction, so one small product is
 * computed under a handler of our own and compared.  The answer is found once for the process.
 * Invariant: signal handlers and mask are afterwards as they were. */
#include "kernels/cpu/cpu.h"

#if defined(__x86_64__)
#include "kernels/cpu/amx.h"
#include <cpuid.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of <asm/prctl.h>, which older headers lack; state 18 is the tiles' data. */
enum { REQ_XCOMP_PERM = 0x1023, XCOMP_TILE_DATA = 18 };

#if defined(AMX_EMULATED)
static const char *asked(void)
{
	return NULL;
}
#else
static uint64_t enabled_states(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (uint64_t)high << 32 | low;
}

/* Why not; NULL: processor and system say yes.  See Intel's SDM, volume 1, chapter 18, and Linux'
 * Documentation/arch/x86/xstate.rst. */
static const char *asked(void)
{
	const unsigned amx_tile = 1u << 24, amx_int8 = 1u << 25, osxsave = 1u << 27;
	const uint64_t states = 3u << 17;       /* configuration and data of the tiles */
	unsigned a, b, c, d;

	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & amx_tile) || !(d & amx_int8))
		return "the processor has no AMX for bytes";
	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & osxsave) ||
	    (enabled_states() & states) != states)
		return "the operating system does not keep AMX tiles";
	if (syscall(SYS_arch_prctl, REQ_XCOMP_PERM, XCOMP_TILE_DATA) != 0)
		return "the operating system refuses AMX tiles to this process";
	return NULL;
}
#endif

/* Two products of the kernels' shapes, with every kind of byte, against plain sums. */
static bool product_right(void)
{
	int8_t act[8][32];
	int8_t codes[2][4][64];
	int32_t sums[2][8][16];
	bool right = true;

	for (int i = 0; i < 8 * 32; i++)
		act[i / 32][i % 32] = (int8_t)(i * 37 - 128);
	for (int i = 0; i < 2 * 4 * 64; i++)
		codes[i / 256][i / 64 % 4][i % 64] = (int8_t)(i * 151 + i / 256);
	tile_configure(&tile_shapes);
	tile_load(TILE_CODES_0, codes[0], 64);
	tile_load(TILE_CODES_1, codes[1], 64);
	tile_load(TILE_ACT_0, act[0], 32);
	tile_load(TILE_ACT_1, act[0] + 16, 32);
	tile_zero(TILE_SUM_00);
	tile_zero(TILE_SUM_01);
	tile_dot(TILE_SUM_00, TILE_ACT_0, TILE_CODES_0);
	tile_dot(TILE_SUM_01, TILE_ACT_0, TILE_CODES_0);
	tile_dot(TILE_SUM_01, TILE_ACT_1, TILE_CODES_1);
	tile_store(TILE_SUM_00, sums[0], 64);
	tile_store(TILE_SUM_01, sums[1], 64);
	tile_release();
	for (int c = 0; c < 8; c++)
		for (int r = 0; r < 16; r++) {
			int first = 0, both = 0;

			for (int j = 0; j < 16; j++) {
				first += act[c][j] * codes[0][j / 4][4 * r + j % 4];
				both += act[c][16 + j] * codes[1][j / 4][4 * r + j % 4];
			}
			right &= sums[0][c][r] == first && sums[1][c][r] == first + both;
		}
	return right;
}

static const int traps[] = { SIGILL, SIGSEGV, SIGBUS };
enum { TRAPS_N = sizeof(traps) / sizeof(traps[0]) };
static struct sigaction before[TRAPS_N];
static _Thread_local sigjmp_buf *trying;

/* Another thread's trap is for the handler that was there: back to its instruction. */
static void on_trap(int sig)
{
	if (trying)
		siglongjmp(*trying, 1);
	for (int i = 0; i < TRAPS_N; i++)
		if (traps[i] == sig)
			sigaction(sig, &before[i], NULL);
}

static bool product_without_trap(void)
{
	sigjmp_buf back;
	bool right = false;

	if (sigsetjmp(back, 1) == 0) {
		trying = &back;
		right = product_right();
	}
	trying = NULL;
	return right;
}

bool amx_try(void)
{
	struct sigaction act = { .sa_handler = on_trap };
	sigset_t ours, mask;
	bool right;

	sigemptyset(&ours);
	for (int i = 0; i < TRAPS_N; i++)
		sigaddset(&ours, traps[i]);
	pthread_sigmask(SIG_UNBLOCK, &ours, &mask);
	for (int i = 0; i < TRAPS_N; i++)
		sigaction(traps[i], &act, &before[i]);
	right = product_without_trap();
	for (int i = 0; i < TRAPS_N; i++)
		sigaction(traps[i], &before[i], NULL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	return right;
}

static const char *refused;

static void ask_and_try(void)
{
	refused = asked();
	if (!refused && !amx_try())
		refused = "AMX is listed and granted, but a trial product traps or is wrong";
}

const char *amx_refused(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, ask_and_try);
	return refused;
}
#else
bool amx_try(void)
{
	return false;
}

const char *amx_refused(void)
{
	return "AMX is part of x86-64 processors only";
}
#endif
