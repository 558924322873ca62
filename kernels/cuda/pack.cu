/* pack.cu - see pack.cuh.  Rows travel to the device as they are in the file; a kernel there sorts
 * their bits, so that loading is as fast as the bus.
 *
 * Invariant: what decode.cuh makes of a block is, to the rounding of one multiplication, what
 * quant_row makes of it; a row of zero bytes decodes to zeros in every type. */
#include "kernels/cuda/pack.cuh"

/* What the file's blocks mean, see engine/gguf/quant.c; where things are in them, types.h. */
template <int T> static __device__ __forceinline__ constexpr struct type_facts file_of()
{
	return type_facts((enum quant_type)T);
}

/* Code e of a block of the file; signed where a code has 8 bits. */
template <int T>
static __device__ __forceinline__ unsigned code_at(const uint8_t *p, int e)
{
	constexpr struct type_facts f = file_of<T>();
	const uint8_t *q = p + f.at_codes, *high = p + f.at_high;
	int half = e / 128, run = e / 32 % 4, l = e % 32;

	switch (T) {
	case QUANT_IQ4_XS:
		return q[e / 32 * 16 + e % 16] >> e / 16 % 2 * 4 & 15;
	case QUANT_Q2_K:
		return q[half * 32 + l] >> 2 * run & 3;
	case QUANT_Q3_K:
		return (q[half * 32 + l] >> 2 * run & 3) | (p[l] >> e / 32 & 1) << 2;
	case QUANT_Q4_K:
		return q[e / 64 * 32 + l] >> e / 32 % 2 * 4 & 15;
	case QUANT_Q5_K:
		return (q[e / 64 * 32 + l] >> e / 32 % 2 * 4 & 15) | (high[l] >> e / 32 & 1) << 4;
	case QUANT_Q6_K:
		return (q[half * 64 + run % 2 * 32 + l] >> run / 2 * 4 & 15) |
		       (high[half * 32 + l] >> 2 * run & 3) << 4;
	default:        /* blocks of 32 are alike */
		return f.bits == 8 ? q[e] : (q[e % 16] >> e / 16 * 4 & 15) |
		       (f.bits == 5 ? (high[e / 8] >> e % 8 & 1) << 4 : 0);
	}
}

/* Codes of a block to the bytes of its planes. */
template <int T>
static __device__ __forceinline__ void put_codes(const uint8_t *from, int first, uint8_t q[BLOCK],
						 uint8_t h[8])
{
	constexpr int low = low_bits(T), high = planes_of(T).h;

#pragma unroll
	for (int i = 0; i < BLOCK; i++) {
		unsigned code = code_at<T>(from, first + i);
		int word = i / 4, k = i % 4;

		if (low == 8)
			q[i] = (uint8_t)code;
		else if (low == 4)
			q[i % 16] |= (uint8_t)((code & 15) << i / 16 * 4);
		else
			q[word / 4 * 4 + k] |= (uint8_t)((code & 3) << word % 4 * 2);
		if (high == 4)
			h[k] |= (uint8_t)((code >> low & 1) << word);
		else if (high == 8)
			h[word / 4 * 4 + k] |= (uint8_t)((code >> low & 3) << word % 4 * 2);
	}
}

/* Six-bit scale and minimum of run g in the twelve bytes of Q4_K and Q5_K. */
static __device__ unsigned scale_and_least(const uint8_t *b, int g)
{
	unsigned scale = g < 4 ? b[g] & 63 : (b[g + 4] & 15) | b[g - 4] >> 6 << 4;
	unsigned least = g < 4 ? b[g + 4] & 63 : b[g + 4] >> 4 | b[g] >> 6 << 4;

	return scale | least << 6;
}

static __device__ int scale_q3(const uint8_t *b, int g)
{
	return ((b[g % 8] >> g / 8 * 4 & 15) | (b[8 + g % 4] >> g / 4 * 2 & 3) << 4) - 32;
}

static __device__ int scale_iq4(const uint8_t *p, int g)
{
	return ((p[4 + g / 2] >> g % 2 * 4 & 15) | ((p[2] | p[3] << 8) >> 2 * g & 3) << 4) - 32;
}

/* Scales of a whole block of the file. */
template <int T>
static __device__ void put_scales(const uint8_t *p, uint8_t *s, uint8_t *d)
{
	constexpr struct type_facts f = file_of<T>();
	uint32_t word[4] = { 0 };

	switch (T) {
	case QUANT_Q4_K:
	case QUANT_Q5_K:
		memcpy(word, p, 4);
		for (int g = 0; g < 8; g++)
			for (int bit = 0; bit < 12; bit++)
				if (scale_and_least(p + f.at_scales, g) >> bit & 1)
					word[1 + (12 * g + bit) / 32] |= 1u << (12 * g + bit) % 32;
		memcpy(s, word, 16);
		break;
	case QUANT_Q3_K:
		for (int g = 0; g < 16; g++)
			s[g] = (uint8_t)scale_q3(p + f.at_scales, g);
		memcpy(d, p + f.at_d, 2);
		break;
	case QUANT_Q6_K:
		memcpy(s, p + f.at_scales, 16);
		memcpy(d, p + f.at_d, 2);
		break;
	case QUANT_IQ4_XS:
		for (int g = 0; g < 8; g++)
			s[g] = (uint8_t)scale_iq4(p, g);
		memcpy(d, p, 2);
		break;
	case QUANT_Q2_K:
		memcpy(s, p + f.at_scales, 16);
		memcpy(d, p + f.at_d, 4);
		break;
	default:        /* the scale, and the minimum if there is one */
		memcpy(s, p + f.at_d, (size_t)f.cuda_s);
	}
}

void pack_strides(const struct mat *m, size_t bytes[4])
{
	struct planes p = planes_of(m->type);
	size_t blocks = (size_t)(m->cols / BLOCK), groups = (size_t)(m->cols / GROUP);

	bytes[0] = blocks * (size_t)p.q;
	bytes[1] = blocks * (size_t)p.h;
	bytes[2] = (p.grouped ? groups : blocks) * (size_t)p.s;
	bytes[3] = groups * (size_t)p.d;
}

struct mat pack_place(enum quant_type type, int rows, int cols, uint8_t *base)
{
	struct mat m = { type, rows, cols, NULL, NULL, NULL, NULL };
	const uint8_t **plane[] = { &m.q, &m.h, &m.s, &m.d };
	size_t each[4], at = 0;

	pack_strides(&m, each);
	for (int i = 0; i < 4; i++) {
		*plane[i] = base + at;
		at += align_up(each[i] * (size_t)pack_rows_of(rows));
	}
	return m;
}

size_t pack_bytes(enum quant_type type, int rows, int cols)
{
	struct mat m = { type, rows, cols, NULL, NULL, NULL, NULL };
	size_t each[4], at = 0;

	pack_strides(&m, each);
	for (int i = 0; i < 4; i++)
		at += align_up(each[i] * (size_t)pack_rows_of(rows));
	return at;
}

/* Block b of row `at`, in a matrix of cols columns; src is the row in the file. */
template <int T>
static __device__ void pack_block(const struct mat *m, const size_t each[4], const uint8_t *src,
				  size_t at, int b)
{
	constexpr struct planes p = planes_of(T);
	const uint8_t *from = src + (size_t)(p.grouped ? b / 8 : b) * (size_t)file_of<T>().bytes;
	int first = p.grouped ? b % 8 * BLOCK : 0, group = p.grouped ? b / 8 : b;
	union {
		uint8_t byte[BLOCK + 8];
		uint32_t word[BLOCK / 4 + 2];
	} to = { { 0 } };       /* whole words leave: the planes may be behind the bus */
	uint32_t *q = (uint32_t *)(m->q + at * each[0] + (size_t)(b * p.q));
	uint32_t *h = (uint32_t *)(m->h + at * each[1] + (size_t)(b * p.h));

	put_codes<T>(from, first, to.byte, to.byte + BLOCK);
	for (int i = 0; i < p.q / 4; i++)
		q[i] = to.word[i];
	for (int i = 0; i < p.h / 4; i++)
		h[i] = to.word[BLOCK / 4 + i];
	if (first == 0)
		put_scales<T>(from, (uint8_t *)m->s + at * each[2] + (size_t)(group * p.s),
			      (uint8_t *)m->d + at * each[3] + (size_t)(group * p.d));
}

struct pack_args {
	struct mat m;
	size_t each[4];         /* bytes of a row in each plane */
	const uint8_t *src;     /* (device) rows as in the file */
	size_t in_file;         /* bytes of such a row */
	int row0, n;
};

/* One thread for each block. */
__global__ void pack_kernel(const struct pack_args a)
{
	size_t i = (size_t)blockIdx.x * blockDim.x + threadIdx.x;
	int blocks = a.m.cols / BLOCK, row = (int)(i / (size_t)blocks);
	int b = (int)(i % (size_t)blocks);

	if (row >= a.n)
		return;
#define PACK(T) \
	if constexpr (!is_float(T)) \
		pack_block<T>(&a.m, a.each, a.src + (size_t)row * a.in_file, \
			      (size_t)(a.row0 + row), b)
	FOR_TYPE(a.m.type, PACK)
#undef PACK
}

cudaError_t pack_rows(const struct mat *m, const uint8_t *src, int row0, int n,
		      cudaStream_t stream)
{
	struct pack_args a = { *m, { 0 }, src, quant_bytes(quant_info((int)m->type), m->cols),
			       row0, n };
	size_t blocks = (size_t)n * (size_t)(m->cols / BLOCK);

	pack_strides(m, a.each);
	if (is_float(m->type))
		return cudaMemcpyAsync((uint8_t *)m->q + (size_t)row0 * a.each[0], src,
				       (size_t)n * a.each[0], cudaMemcpyDefault, stream);
	LAUNCH(pack_kernel, dim3((unsigned)((blocks + 127) / 128)), dim3(128), 0, stream, a);
	return cudaGetLastError();
}

struct pick_args {
	struct mat from, to;
	size_t each[4];
	const int *row;
};

/* A block of threads for each row. */
__global__ void pick_kernel(const __grid_constant__ struct pick_args a)
{
	size_t row = (size_t)a.row[blockIdx.x];
	const uint8_t *from[] = { a.from.q, a.from.h, a.from.s, a.from.d };
	const uint8_t *to[] = { a.to.q, a.to.h, a.to.s, a.to.d };

#pragma unroll
	for (int p = 0; p < 4; p++)
		for (size_t i = threadIdx.x; i < a.each[p]; i += blockDim.x)
			((uint8_t *)to[p])[blockIdx.x * a.each[p] + i] =
				from[p][row * a.each[p] + i];
}

cudaError_t pack_pick(const struct mat *from, const int *row, const struct mat *to,
		      cudaStream_t stream)
{
	struct pick_args a = { *from, *to, { 0 }, row };

	pack_strides(from, a.each);
	LAUNCH(pick_kernel, dim3((unsigned)to->rows), dim3(128), 0, stream, a);
	return cudaGetLastError();
}

cudaError_t pack_load(void)
{
	return kernels_load(pack_kernel, pick_kernel);
}
