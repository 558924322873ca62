/* table.c - the kernels of one instruction set, gathered. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/isa/simd.h"

/* AMX and AVX-VNNI are for packed products alone; all else is AVX-512's or AVX2's. */
#if defined(ISA_amx)
#define ALL_ELSE(name) name##_avx512
#elif defined(ISA_avxvnni)
#define ALL_ELSE(name) name##_avx2
#else
#define ALL_ELSE(name) K(name)
#endif

mat_mul_fn *K(packed_mul)(enum quant_type type);
mat_mul_fn *K(columns_mul)(enum quant_type type);
mat_mul_fn ALL_ELSE(floats_mul);
void ALL_ELSE(quantise)(const struct act *a, int row, int b0, int b1);
void ALL_ELSE(norm)(const float *x, const float *w, int n, float eps, float *y);
void ALL_ELSE(add)(float *x, const float *y, float scale, int n);
void ALL_ELSE(glu)(enum activation, float *gate, const float *up, int n);
void ALL_ELSE(bend)(float *x, float scale, float cap, int n);
void ALL_ELSE(halves)(const float *x, uint16_t *y, int n);
void ALL_ELSE(codes)(const float *x, int n, int8_t *code, uint16_t *scale);
void ALL_ELSE(peaks)(const float *x, int n, float *y);
uint64_t ALL_ELSE(read)(const void *p, size_t bytes);
void ALL_ELSE(attend)(const struct attend *a, int row0, int rows, int t0, int t1,
		      struct partial *part);
void ALL_ELSE(fold)(struct partial *part, int n, int pad_dim, float *out, int head_dim);

#ifdef __SANITIZE_THREAD__
#include "kernels/cpu/isa/watched.h"
#define IN_USE(name) watched_##name
#define PACKED watched_packed
#define COLUMNS watched_columns
#else
#define IN_USE(name) ALL_ELSE(name)
#define PACKED K(packed_mul)
#define COLUMNS K(columns_mul)
#endif
#define STRING(x) #x
#define NAME(x) STRING(x)

const struct cpu_kernels K(cpu_kernels) = {
	.name = NAME(ISA),
	.packed = PACKED,
	.columns = COLUMNS,
	.floats = IN_USE(floats_mul),
	.quantise = IN_USE(quantise),
	.norm = IN_USE(norm),
	.add = IN_USE(add),
	.glu = IN_USE(glu),
	.bend = IN_USE(bend),
	.halves = IN_USE(halves),
	.codes = IN_USE(codes),
	.peaks = IN_USE(peaks),
	.read = IN_USE(read),
	.attend = IN_USE(attend),
	.fold = IN_USE(fold),
};
