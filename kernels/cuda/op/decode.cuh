/* decode.cuh - the planes that a matrix is kept in on the device, and how a block becomes codes.
 *
 * Every quantised type is w = scale * code + offset with signed-byte codes (in IQ4_*: those that a
 * table has for the file's); pack.cu writes the planes, engine/gguf/quant.c says what the file's
 * blocks mean.  No state.
 * Invariant: eight neighbouring threads read neighbouring blocks, whose codes lie side by side. */
#ifndef S3D_CUDA_DECODE_CUH
#define S3D_CUDA_DECODE_CUH
#include "kernels/cuda/dev.cuh"

/* Bytes of each plane: codes and high bits for a block; scales for a block, or (grouped) for a
 * GROUP; what scales those, for a GROUP. */
struct planes {
	int q, h, s, d;
	bool grouped;           /* k-quants */
	bool halves;            /* the halves of a block have scales of their own */
	bool offset;            /* and there is more than scale * code */
};

static __host__ __device__ constexpr bool is_float(int type)
{
	return type_facts((enum quant_type)type).kind == TYPE_FLOAT;
}

/* Bits of a code that are in plane q: all 8, 4 or 2; the others are in plane h. */
static __host__ __device__ constexpr int low_bits(int type)
{
	int bits = type_facts((enum quant_type)type).bits;

	return bits >= 8 ? bits : bits >= 4 ? 4 : 2;
}

static __host__ __device__ constexpr struct planes planes_of(int type)
{
	struct type_facts f = type_facts((enum quant_type)type);
	int low = low_bits(type);

	return planes{ low * BLOCK / 8, (f.bits - low) * BLOCK / 8, f.cuda_s, f.cuda_d,
		       f.block == TYPE_SUPER, (f.flags & TYPE_HALVES) != 0,
		       f.zero || (f.flags & TYPE_MIN) };
}

struct codes {          /* a block: word i holds columns 4i..4i+3 */
	int w[8];
	float scale[2], offset[2];      /* of the halves */
};

static __device__ __forceinline__ float half_at(const uint8_t *p)
{
	return __half2float(*(const __half *)p);
}

static __device__ __forceinline__ float bf16_at(uint32_t bits)
{
	return __uint_as_float(bits << 16);
}

/* Low nibbles of 16 bytes are the columns of the first half, high ones those of the second. */
static __device__ __forceinline__ void nibbles(const uint8_t *p, int w[8])
{
	uint4 v = __ldg((const uint4 *)p);
	unsigned x[4] = { v.x, v.y, v.z, v.w };

#pragma unroll
	for (int i = 0; i < 4; i++) {
		w[i] = (int)(x[i] & 0x0f0f0f0fu);
		w[i + 4] = (int)(x[i] >> 4 & 0x0f0f0f0fu);
	}
}

/* Bit 8k + i of the word is a high bit of column k of word i. */
template <int BIT>
static __device__ __forceinline__ void add_bits(const uint8_t *p, int w[8])
{
	unsigned x = __ldg((const unsigned *)p);

#pragma unroll
	for (int i = 0; i < 8; i++)
		w[i] |= (int)((i <= BIT ? x << (BIT - i) : x >> (i - BIT)) &
			      (0x01010101u << BIT));
}

/* Bits 8k + 2(i % 4) of word i / 4 are two bits of column k of word i. */
template <int BIT>
static __device__ __forceinline__ void add_pairs(const uint8_t *p, int w[8])
{
	uint2 v = __ldg((const uint2 *)p);

#pragma unroll
	for (int i = 0; i < 8; i++) {
		unsigned x = i < 4 ? v.x : v.y;
		int at = 2 * (i % 4);

		w[i] |= (int)((at <= BIT ? x << (BIT - at) : x >> (at - BIT)) &
			      (0x03030303u << BIT));
	}
}

/* What four codes of IQ4_NL stand for, see quant_iq4: a lookup in each half of the table. */
static __device__ __forceinline__ int iq4_values(unsigned codes)
{
	unsigned by = codes & 0x07070707u, upper = (codes >> 3 & 0x01010101u) * 255u;
	unsigned pairs = (by | by >> 4) & 0x00ff00ffu, at = (pairs | pairs >> 8) & 0xffffu;
	unsigned low = __byte_perm(0xbfad9881u, 0xf6eaddcfu, at);
	unsigned high = __byte_perm(0x26190d01u, 0x71594535u, at);

	return (int)((low & ~upper) | (high & upper));
}

template <int T>
static __device__ __forceinline__ void decode_codes(const struct mat *m, size_t block, int w[8])
{
	constexpr struct planes p = planes_of(T);

	if constexpr (p.q == 32) {
		const uint4 *q = (const uint4 *)(m->q + block * 32);
		uint4 a = __ldg(q), b = __ldg(q + 1);

		w[0] = (int)a.x, w[1] = (int)a.y, w[2] = (int)a.z, w[3] = (int)a.w;
		w[4] = (int)b.x, w[5] = (int)b.y, w[6] = (int)b.z, w[7] = (int)b.w;
	} else if constexpr (p.q == 16) {
		nibbles(m->q + block * 16, w);
	} else {
#pragma unroll
		for (int i = 0; i < 8; i++)
			w[i] = 0;
		add_pairs<0>(m->q + block * 8, w);
	}
	if constexpr (type_facts((enum quant_type)T).flags & TYPE_TABLE)
#pragma unroll
		for (int i = 0; i < 8; i++)
			w[i] = iq4_values((unsigned)w[i]);
	if constexpr (p.h == 8)
		add_pairs<low_bits(T)>(m->h + block * 8, w);
	else if constexpr (p.h == 4)
		add_bits<low_bits(T)>(m->h + block * 4, w);
}

/* Scale and minimum, 6 bits each, of block b of a GROUP: 12 bits at 12b of the last three words. */
static __device__ __forceinline__ void six_bits(const uint4 v, int b, float *scale, float *least)
{
	int at = 12 * b, word = at / 32;
	unsigned low = word == 0 ? v.y : word == 1 ? v.z : v.w;
	unsigned high = word == 0 ? v.z : word == 1 ? v.w : 0;
	unsigned bits = (unsigned)(((uint64_t)high << 32 | low) >> (at % 32));

	*scale = (float)(int)(bits & 63);
	*least = (float)(int)(bits >> 6 & 63);
}

template <int T>
static __device__ __forceinline__ void decode_scales(const struct mat *m, size_t row, int b,
						     struct codes *c)
{
	size_t block = row * (size_t)(m->cols / BLOCK) + (size_t)b;
	size_t group = row * (size_t)(m->cols / GROUP) + (size_t)(b / 8);

	constexpr struct type_facts f = type_facts((enum quant_type)T);

	if constexpr (f.block != TYPE_SUPER) {
		c->scale[0] = half_at(m->s + block * (size_t)f.cuda_s);
		c->offset[0] = f.flags & TYPE_MIN ? half_at(m->s + block * 4 + 2) :
						    (float)-f.zero * c->scale[0];
	} else if constexpr (T == QUANT_IQ4_XS) {
		int8_t s = (int8_t)m->s[group * 8 + (size_t)(b % 8)];

		c->scale[0] = half_at(m->d + group * 2) * (float)s;
	} else if constexpr (T == QUANT_Q4_K || T == QUANT_Q5_K) {
		uint4 v = __ldg((const uint4 *)(m->s + group * 16));
		float scale, least;

		six_bits(v, b % 8, &scale, &least);
		c->scale[0] = scale * __half2float(__ushort_as_half((unsigned short)v.x));
		c->offset[0] = -least * __half2float(__ushort_as_half((unsigned short)(v.x >> 16)));
	} else if constexpr (T == QUANT_Q3_K || T == QUANT_Q6_K) {
		const int8_t *s = (const int8_t *)(m->s + group * 16 + (size_t)(b % 8 * 2));
		float d = half_at(m->d + group * 2);
#pragma unroll
		for (int i = 0; i < 2; i++) {
			c->scale[i] = d * (float)s[i];
			c->offset[i] = (float)-f.zero * c->scale[i];
		}
	} else if constexpr (T == QUANT_Q2_K) {
		const uint8_t *s = m->s + group * 16 + (size_t)(b % 8 * 2);
		float d = half_at(m->d + group * 4), least = half_at(m->d + group * 4 + 2);
#pragma unroll
		for (int i = 0; i < 2; i++) {
			c->scale[i] = d * (float)(s[i] & 15);
			c->offset[i] = -least * (float)(s[i] >> 4);
		}
	}
	if constexpr (!planes_of(T).halves) {
		c->scale[1] = c->scale[0];
		c->offset[1] = c->offset[0];
	}
}

/* Block b of a row of a quantised type. */
template <int T>
static __device__ __forceinline__ void decode(const struct mat *m, size_t row, int b,
					      struct codes *c)
{
	decode_codes<T>(m, row * (size_t)(m->cols / BLOCK) + (size_t)b, c->w);
	decode_scales<T>(m, row, b, c);
}

/* The values themselves; f is called with each column of the block, in order. */
template <int T, typename F>
static __device__ __forceinline__ void decode_values(const struct mat *m, size_t row, int b, F f)
{
	if constexpr (is_float(T)) {
		size_t at = row * (size_t)m->cols + (size_t)(b * BLOCK);

		for (int i = 0; i < BLOCK; i++)
			f(i, T == QUANT_F32 ? ((const float *)m->q)[at + (size_t)i] :
			     T == QUANT_F16 ? half_at(m->q + 2 * (at + (size_t)i)) :
			     bf16_at(((const uint16_t *)m->q)[at + (size_t)i]));
	} else {
		struct codes c;

		decode<T>(m, row, b, &c);
#pragma unroll
		for (int i = 0; i < BLOCK; i++) {
			float code = (float)(int)(int8_t)(c.w[i / 4] >> (8 * (i % 4)));

			f(i, fmaf(c.scale[i / 16], code,
				  planes_of(T).offset ? c.offset[i / 16] : 0));
		}
	}
}

/* Calls f, a template over the type, for the type that is only known when the program runs. */
#define FOR_TYPE(type, f) \
	switch (type) { \
	TENSOR_TYPES_WITH(TYPE_CASE, f) \
	default: break; \
	}
#define TYPE_CASE(f, ID, ...) case QUANT_##ID: f(QUANT_##ID); break;
#endif
