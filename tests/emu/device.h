/* device.h - what only a kernel may use: where it is, barriers, collectives, atomics, intrinsics.
 *
 * Blocks run one after another, their threads by turns on one thread of the host; they give way in
 * barriers and warp collectives only (fibers.cpp), so atomics are plain operations.  Invariant:
 * what CUDA leaves undefined is either an error here or a value that shows, all ones. */
#ifndef EMU_DEVICE_H
#define EMU_DEVICE_H
#include "tests/emu/types.h"
#include <math.h>
#include <stdlib.h>
#include <type_traits>

/* The thread sanitizer does not know of fibers: it sees the host's code only. */
#ifdef __SANITIZE_THREAD__
#pragma GCC diagnostic ignored "-Wattributes"
#define EMU_DEVICE __attribute__((no_sanitize("thread")))
#define __forceinline__ inline
#else
#define EMU_DEVICE
#define __forceinline__ inline __attribute__((always_inline))
#endif
#define __global__ EMU_DEVICE
#define __device__ EMU_DEVICE
#define __host__
#define __restrict__ __restrict
#define __launch_bounds__(...)
#define __grid_constant__
#define __constant__
#define __align__(n) __attribute__((aligned(n)))
/* Thread-local so that fibers.cpp finds it by its name, and one block at a time uses it. */
#define __shared__ static thread_local
#define DYNAMIC_SHARED(T, name) T *name = (T *)emu_dynamic_shared

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
enum { warpSize = 32 };
extern void *emu_dynamic_shared;

/* Barriers.  They know the place they were called from: all threads have to be at the same one. */
enum emu_barrier { EMU_SYNC, EMU_SYNC_COUNT, EMU_SYNC_AND, EMU_SYNC_OR };
int emu_barrier(enum emu_barrier, bool value, const char *file, int line);
#define EMU_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()
static inline void __syncthreads(EMU_PLACE) { emu_barrier(EMU_SYNC, false, file, line); }
static inline int __syncthreads_count(int p, EMU_PLACE)
{
	return emu_barrier(EMU_SYNC_COUNT, p, file, line);
}
static inline int __syncthreads_and(int p, EMU_PLACE)
{
	return emu_barrier(EMU_SYNC_AND, p, file, line);
}
static inline int __syncthreads_or(int p, EMU_PLACE)
{
	return emu_barrier(EMU_SYNC_OR, p, file, line);
}

/* Collectives of a warp. */
enum emu_collective { EMU_SYNCWARP, EMU_SHUFFLE, EMU_SHUFFLE_UP, EMU_SHUFFLE_DOWN, EMU_SHUFFLE_XOR,
	EMU_BALLOT, EMU_ANY, EMU_ALL, EMU_ACTIVE };
uint64_t emu_collective(enum emu_collective, unsigned mask, uint64_t value, int arg, int width,
			const char *file, int line);

template <class T>
static inline T emu_shuffle(enum emu_collective op, unsigned mask, T value, int arg, int width,
			    const char *file, int line)
{
	uint64_t bits = 0;

	static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 8, "up to 8 bytes");
	memcpy(&bits, &value, sizeof(T));
	bits = emu_collective(op, mask, bits, arg, width, file, line);
	memcpy(&value, &bits, sizeof(T));
	return value;
}
#define EMU_SHUFFLE_AS(name, op, A) \
	template <class T> static inline T name(unsigned mask, T value, A arg, int width = 32, \
						EMU_PLACE) \
	{ \
		return emu_shuffle(op, mask, value, (int)arg, width, file, line); \
	}
EMU_SHUFFLE_AS(__shfl_sync, EMU_SHUFFLE, int)
EMU_SHUFFLE_AS(__shfl_up_sync, EMU_SHUFFLE_UP, unsigned)
EMU_SHUFFLE_AS(__shfl_down_sync, EMU_SHUFFLE_DOWN, unsigned)
EMU_SHUFFLE_AS(__shfl_xor_sync, EMU_SHUFFLE_XOR, int)

static inline void __syncwarp(unsigned mask = ~0u, EMU_PLACE)
{
	emu_collective(EMU_SYNCWARP, mask, 0, 0, 32, file, line);
}
static inline unsigned __ballot_sync(unsigned mask, int p, EMU_PLACE)
{
	return (unsigned)emu_collective(EMU_BALLOT, mask, p != 0, 0, 32, file, line);
}
static inline int __any_sync(unsigned mask, int p, EMU_PLACE)
{
	return (int)emu_collective(EMU_ANY, mask, p != 0, 0, 32, file, line);
}
static inline int __all_sync(unsigned mask, int p, EMU_PLACE)
{
	return (int)emu_collective(EMU_ALL, mask, p != 0, 0, 32, file, line);
}
static inline unsigned __activemask(EMU_PLACE)  /* an error unless the whole warp asks */
{
	return (unsigned)emu_collective(EMU_ACTIVE, ~0u, 1, 0, 32, file, line);
}

static inline void __threadfence(void) {}
static inline void __threadfence_block(void) {}
static inline void __threadfence_system(void) {}

/* Atomics.  As with nvcc, the operand is converted to the type of the place. */
template <class T> struct emu_same { typedef T type; };
#define EMU_ATOMIC(name, expression) \
	template <class T> static inline T name(T *p, typename emu_same<T>::type value) \
	{ \
		T old = *p; \
		*p = (expression); \
		return old; \
	}
EMU_ATOMIC(atomicAdd, old + value)
EMU_ATOMIC(atomicSub, old - value)
EMU_ATOMIC(atomicMax, old > value ? old : value)
EMU_ATOMIC(atomicMin, old < value ? old : value)
EMU_ATOMIC(atomicExch, value)
EMU_ATOMIC(atomicAnd, old & value)
EMU_ATOMIC(atomicOr, old | value)
EMU_ATOMIC(atomicXor, old ^ value)
EMU_ATOMIC(atomicInc, old >= value ? 0 : old + 1)
EMU_ATOMIC(atomicDec, old == 0 || old > value ? value : old - 1)
template <class T> static inline T atomicCAS(T *p, typename emu_same<T>::type expected,
					     typename emu_same<T>::type value)
{
	T old = *p;

	if (old == expected)
		*p = value;
	return old;
}

template <class T> static inline T __ldg(const T *p) { return *p; }
template <class T> static inline T __ldcg(const T *p) { return *p; }
template <class T> static inline T __ldcs(const T *p) { return *p; }

/* Numbers and bits. */
#define rsqrtf emu_rsqrtf              /* a newer C library has one of its own */
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
/* macros, since the C library has declared these names for itself */
#define __expf(x) expf(x)
#define __logf(x) logf(x)
#define __cosf(x) cosf(x)
#define __sinf(x) sinf(x)
static inline float __fdividef(float x, float y) { return x / y; }
static inline float __fmul_rn(float x, float y) { return x * y; }
static inline float __fadd_rn(float x, float y) { return x + y; }
static inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
static inline float __frcp_rn(float x) { return 1.0f / x; }
static inline float __saturatef(float x) { return x >= 0 ? x <= 1 ? x : 1 : 0; }
static inline float __int2float_rn(int i) { return (float)i; }
static inline float __uint2float_rn(unsigned i) { return (float)i; }
/* Out of range is the nearest number that is in it; NaN is 0. */
static inline int __float2int_rn(float x)
{
	x = rintf(x);
	return x >= 0x1p31f ? INT32_MAX : x > -0x1p31f ? (int)x : x <= -0x1p31f ? INT32_MIN : 0;
}
static inline float __int_as_float(int i) { return emu_bits<float>(i); }
static inline int __float_as_int(float f) { return emu_bits<int>(f); }
static inline float __uint_as_float(unsigned u) { return emu_bits<float>(u); }
static inline unsigned __float_as_uint(float f) { return emu_bits<unsigned>(f); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __ffs(int x) { return __builtin_ffs(x); }

/* Byte i is the byte of y:x that nibble i of the selector names, or with 8 its sign eight times. */
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector)
{
	uint64_t from = (uint64_t)y << 32 | x;
	unsigned to = 0;

	for (int i = 0; i < 4; i++) {
		unsigned s = selector >> (4 * i), byte = (unsigned)(from >> (8 * (s & 7))) & 255;

		to |= (s & 8 ? byte & 128 ? 255u : 0u : byte) << (8 * i);
	}
	return to;
}

/* Four bytes at a time: borrows and carries stop at the highest bit of each. */
static inline unsigned __vadd4(unsigned a, unsigned b)
{
	return ((a & 0x7f7f7f7f) + (b & 0x7f7f7f7f)) ^ ((a ^ b) & 0x80808080);
}
static inline unsigned __vsub4(unsigned a, unsigned b)
{
	return ((a | 0x80808080) - (b & 0x7f7f7f7f)) ^ ((a ^ ~b) & 0x80808080);
}
static inline unsigned __vsubss4(unsigned a, unsigned b)
{
	unsigned to = 0;

	for (int i = 0; i < 32; i += 8) {
		int d = (int8_t)(a >> i) - (int8_t)(b >> i);

		to |= ((unsigned)(d < -128 ? -128 : d > 127 ? 127 : d) & 255) << i;
	}
	return to;
}

static inline int __dp4a(int a, int b, int c)
{
	int sum = (int8_t)a * (int8_t)b + (int8_t)(a >> 8) * (int8_t)(b >> 8);

	sum += (int8_t)(a >> 16) * (int8_t)(b >> 16) + (a >> 24) * (b >> 24);
	return (int)((unsigned)c + (unsigned)sum);
}
static inline unsigned __dp4a(unsigned a, unsigned b, unsigned c)
{
	c += (a & 255) * (b & 255) + (a >> 8 & 255) * (b >> 8 & 255);
	return c + (a >> 16 & 255) * (b >> 16 & 255) + (a >> 24) * (b >> 24);
}

#define EMU_MIN_MAX(T) \
	static inline T min(T a, T b) { return a < b ? a : b; } \
	static inline T max(T a, T b) { return a > b ? a : b; }
EMU_MIN_MAX(int)
EMU_MIN_MAX(unsigned)
EMU_MIN_MAX(long)
EMU_MIN_MAX(unsigned long)
EMU_MIN_MAX(long long)
EMU_MIN_MAX(unsigned long long)
static inline unsigned min(int a, unsigned b) { return min((unsigned)a, b); }
static inline unsigned min(unsigned a, int b) { return min(a, (unsigned)b); }
static inline unsigned max(int a, unsigned b) { return max((unsigned)a, b); }
static inline unsigned max(unsigned a, int b) { return max(a, (unsigned)b); }
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }
static inline double min(double a, double b) { return fmin(a, b); }
static inline double max(double a, double b) { return fmax(a, b); }
#endif
