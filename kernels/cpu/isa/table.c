/* table.c - the kernels of one instruction set, gathered. */
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/isa/simd.h"

mat_mul_fn *K(packed_mul)(enum quant_type type);
mat_mul_fn K(floats_mul);
void K(quantise)(const struct act *a, int row, int b0, int b1);
void K(norm)(const float *x, const float *w, int n, float eps, float *y);
void K(add)(float *x, const float *y, int n);
void K(swiglu)(float *gate, const float *up, int n);
void K(halves)(const float *x, uint16_t *y, int n);
uint64_t K(read)(const void *p, size_t bytes);
void K(attend)(const struct attend *a, int row0, int rows, int t0, int t1, struct partial *part);
void K(fold)(struct partial *part, int n, int pad_dim, float *out, int head_dim);

#define STRING(x) #x
#define NAME(x) STRING(x)

const struct cpu_kernels K(cpu_kernels) = {
	.name = NAME(ISA),
	.packed = K(packed_mul),
	.floats = K(floats_mul),
	.quantise = K(quantise),
	.norm = K(norm),
	.add = K(add),
	.swiglu = K(swiglu),
	.halves = K(halves),
	.read = K(read),
	.attend = K(attend),
	.fold = K(fold),
};
