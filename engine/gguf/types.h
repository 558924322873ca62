/* types.h - the types of tensors, a row for each: all that is known of one by number.
 *
 * For C and for CUDA.  From these rows come the numbers in files, the names, what lies where in a
 * block, how the backends keep a matrix and which kernels they have for it, and the blocks that the
 * tests draw.  A new type is a row here and a decode in quant.c, which says what its blocks mean;
 * where no type of the same kind lays out its bits alike, also a branch in the cpu's pack.c, and in
 * cuda's pack.cu and decode.cuh.
 * Invariant: a value is d * (scale of its group) * (code - zero), and with TYPE_MIN a minimum. */
#ifndef S3D_TYPES_H
#define S3D_TYPES_H

enum type_kind {
	TYPE_FLOAT,             /* the numbers themselves */
	TYPE_PACKED,            /* codes; the cpu interleaves rows for its integer products */
};
enum {                          /* flags */
	TYPE_PLAIN = 0,
	TYPE_MIN = 1,           /* a minimum for each group: its factor, an f16, stands behind d */
	TYPE_HALVES = 2,        /* groups of 16, so that the halves of 32 columns differ in scale */
	TYPE_BOTH = 3,
	TYPE_TABLE = 4,         /* codes stand for the numbers of quant_iq4 */
};
enum { TYPE_SUPER = 256 };      /* elements of a block whose groups have scales of their own */

/* x: what the user of the table wants to see in every row
 * ID, number in a file; elements and bytes of a block; kind; bits of a code, zero, flags;
 * where in a block: d (an f16), scales of groups, high bits of codes, codes (or their low bits);
 * on cuda: bytes of the scales of a block, and of what scales those;
 * about the deviation of values of random bits, in units of d; what llama.cpp's quantiser takes
 * instead for a matrix whose columns are no multiple of the block */
#define TENSOR_TYPES_WITH(_, x) \
	_(x, F32,     0,   1,   4, FLOAT,  32,  0, PLAIN,    0,   0,   0,  0,  0, 0,    1, F32) \
	_(x, F16,     1,   1,   2, FLOAT,  16,  0, PLAIN,    0,   0,   0,  0,  0, 0,    1, F16) \
	_(x, BF16,   30,   1,   2, FLOAT,  16,  0, PLAIN,    0,   0,   0,  0,  0, 0,    1, BF16) \
	_(x, Q4_0,    2,  32,  18, PACKED,  4,  8, PLAIN,    0,   0,   0,  2,  2, 0, 4.6f, Q4_0) \
	_(x, Q4_1,    3,  32,  20, PACKED,  4,  0, MIN,      0,   0,   0,  4,  4, 0, 4.6f, Q4_1) \
	_(x, Q5_0,    6,  32,  22, PACKED,  5, 16, PLAIN,    0,   0,   2,  6,  2, 0, 9.2f, Q5_0) \
	_(x, Q5_1,    7,  32,  24, PACKED,  5,  0, MIN,      0,   0,   4,  8,  4, 0, 9.2f, Q5_1) \
	_(x, Q8_0,    8,  32,  34, PACKED,  8,  0, PLAIN,    0,   0,   0,  2,  2, 0,   74, Q8_0) \
	_(x, Q2_K,   10, 256,  84, PACKED,  2,  0, BOTH,    80,   0,   0, 16, 16, 4,   16, Q4_0) \
	_(x, Q3_K,   11, 256, 110, PACKED,  3,  4, HALVES, 108,  96,   0, 32, 16, 2,   42, Q4_0) \
	_(x, Q4_K,   12, 256, 144, PACKED,  4,  0, MIN,      0,   4,   0, 16, 16, 0,  256, Q5_0) \
	_(x, Q5_K,   13, 256, 176, PACKED,  5,  0, MIN,      0,   4,  16, 48, 16, 0,  530, Q5_1) \
	_(x, Q6_K,   14, 256, 210, PACKED,  6, 32, HALVES, 208, 192, 128,  0, 16, 2, 1366, Q8_0) \
	_(x, IQ4_NL, 20,  32,  18, PACKED,  4,  0, TABLE,    0,   0,   0,  2,  2, 0,   67, IQ4_NL) \
	_(x, IQ4_XS, 23, 256, 136, PACKED,  4,  0, TABLE,    0,   4,   0,  8,  8, 2, 1247, IQ4_NL)
#define TENSOR_TYPES(_) TENSOR_TYPES_WITH(TYPE_ROW, _)
#define TYPE_ROW(_, ...) _(__VA_ARGS__)
/* f(ID) for those that are packed. */
#define PACKED_TYPES(f) TENSOR_TYPES_WITH(TYPE_IF_PACKED, f)
#define TYPE_IF_PACKED(f, ID, number, block, bytes, kind, ...) TYPE_IS_##kind(f(ID))
#define TYPE_IS_PACKED(...) __VA_ARGS__
#define TYPE_IS_FLOAT(...)

/* Types that exist elsewhere and that do not run here: a name helps more than a number. */
#define FOREIGN_TYPES(_) \
	_(4, "Q4_2") _(5, "Q4_3") _(9, "Q8_1") _(15, "Q8_K") _(16, "IQ2_XXS") _(17, "IQ2_XS") \
	_(18, "IQ3_XXS") _(19, "IQ1_S") _(21, "IQ3_S") _(22, "IQ2_S") _(24, "I8") _(25, "I16") \
	_(26, "I32") _(27, "I64") _(28, "F64") _(29, "IQ1_M") _(31, "Q4_0_4_4") \
	_(32, "Q4_0_4_8") _(33, "Q4_0_8_8") _(34, "TQ1_0") _(35, "TQ2_0") _(39, "MXFP4") \
	_(40, "NVFP4") _(41, "Q1_0")

#define TYPE_NUMBER(ID, number, ...) QUANT_##ID = (number),
enum quant_type { TENSOR_TYPES(TYPE_NUMBER) };
#undef TYPE_NUMBER

struct type_facts {             /* the columns of a row, see above */
	int block, bytes;
	enum type_kind kind;
	int bits, zero, flags;
	int at_d, at_scales, at_high, at_codes;
	int cuda_s, cuda_d;
	float deviation;
	enum quant_type instead;
};

/* Folds away where the type is known to the compiler. */
#if defined(__CUDACC__)
#define TYPE_CONSTANT static __host__ __device__ constexpr
#elif defined(__cplusplus)
#define TYPE_CONSTANT static constexpr
#else
#define TYPE_CONSTANT static inline __attribute__((always_inline))
#endif

#define TYPE_FACTS(ID, number, block, bytes, kind, bits, zero, flags, d, scales, high, codes, \
		   cuda_s, cuda_d, deviation, instead) \
	case QUANT_##ID: { \
		const struct type_facts row = { block, bytes, TYPE_##kind, bits, zero, \
						TYPE_##flags, d, scales, high, codes, cuda_s, \
						cuda_d, deviation, QUANT_##instead }; \
		return row; \
	}
TYPE_CONSTANT struct type_facts type_facts(enum quant_type type)
{
	const struct type_facts none = { 1, 0, TYPE_FLOAT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
					 QUANT_F32 };

	switch (type) {
	TENSOR_TYPES(TYPE_FACTS)
	}
	return none;
}
#undef TYPE_FACTS
#undef TYPE_CONSTANT
#endif
