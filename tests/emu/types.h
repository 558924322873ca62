/* types.h - the types that CUDA C++ adds: vectors, launch sizes, half precision.
 *
 * Plain values.  Invariant: size and alignment are those of nvcc, so that a vector access that the
 * device would refuse is one that -fsanitize=alignment finds. */
#ifndef EMU_TYPES_H
#define EMU_TYPES_H
#include <cstdint>
#include <cstring>

#define EMU_VECTOR2(name, T) \
	struct alignas(2 * sizeof(T)) name { T x, y; }; \
	static inline name make_##name(T x, T y) { return name{ x, y }; }
#define EMU_VECTOR3(name, T) \
	struct name { T x, y, z; }; \
	static inline name make_##name(T x, T y, T z) { return name{ x, y, z }; }
#define EMU_VECTOR4(name, T, align) \
	struct alignas(align) name { T x, y, z, w; }; \
	static inline name make_##name(T x, T y, T z, T w) { return name{ x, y, z, w }; }

EMU_VECTOR2(char2, signed char)
EMU_VECTOR2(uchar2, unsigned char)
EMU_VECTOR2(short2, short)
EMU_VECTOR2(ushort2, unsigned short)
EMU_VECTOR2(int2, int)
EMU_VECTOR2(uint2, unsigned)
EMU_VECTOR2(float2, float)
EMU_VECTOR2(double2, double)
EMU_VECTOR3(int3, int)
EMU_VECTOR3(uint3, unsigned)
EMU_VECTOR3(float3, float)
EMU_VECTOR4(char4, signed char, 4)
EMU_VECTOR4(uchar4, unsigned char, 4)
EMU_VECTOR4(short4, short, 8)
EMU_VECTOR4(ushort4, unsigned short, 8)
EMU_VECTOR4(int4, int, 16)
EMU_VECTOR4(uint4, unsigned, 16)
EMU_VECTOR4(float4, float, 16)

struct dim3 {
	unsigned x, y, z;
	constexpr dim3(unsigned nx = 1, unsigned ny = 1, unsigned nz = 1) : x(nx), y(ny), z(nz) {}
};

/* The same bits as another type. */
template <class To, class From> static inline To emu_bits(From from)
{
	To to;

	static_assert(sizeof(To) == sizeof(From), "of one size");
	memcpy(&to, &from, sizeof(to));
	return to;
}

struct alignas(2) __half { unsigned short bits; };
struct alignas(4) __half2 { __half x, y; };
typedef __half half;
typedef __half2 half2;

static inline unsigned short __half_as_ushort(__half h) { return h.bits; }
static inline __half __ushort_as_half(unsigned short bits) { return __half{ bits }; }

/* The exponent moves by a product, which is exact and also makes subnormal numbers normal. */
static inline float __half2float(__half h)
{
	uint32_t sign = (uint32_t)(h.bits & 0x8000) << 16, rest = (uint32_t)(h.bits & 0x7fff) << 13;

	if (rest >= 0x7c00u << 13)
		return emu_bits<float>(sign | 0x7f800000 | rest);
	return emu_bits<float>(sign | emu_bits<uint32_t>(emu_bits<float>(rest) * 0x1p112f));
}

/* To nearest, ties to even; a sum rounds what becomes subnormal.  Every NaN is 0x7fff. */
static inline __half __float2half_rn(float f)
{
	uint32_t u = emu_bits<uint32_t>(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;

	if (a > 0x7f800000)
		return __half{ 0x7fff };
	if (a >= 0x47800000)            /* 65536 */
		return __half{ (unsigned short)(sign | 0x7c00) };
	if (a < 0x38800000)             /* 2^-14: the steps are 2^-24, those of floats at 0.5 */
		a = emu_bits<uint32_t>(emu_bits<float>(a) + 0.5f) - 0x3f000000;
	else                            /* may carry into the exponent, and up to infinity */
		a = (a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13;
	return __half{ (unsigned short)(sign | a) };
}

static inline __half __float2half(float f) { return __float2half_rn(f); }
static inline float __low2float(__half2 h) { return __half2float(h.x); }
static inline float __high2float(__half2 h) { return __half2float(h.y); }
static inline __half2 __halves2half2(__half x, __half y) { return __half2{ x, y }; }
static inline float2 __half22float2(__half2 h)
{
	return float2{ __half2float(h.x), __half2float(h.y) };
}
static inline __half2 __floats2half2_rn(float x, float y)
{
	return __half2{ __float2half_rn(x), __float2half_rn(y) };
}
static inline __half2 __float22half2_rn(float2 f) { return __floats2half2_rn(f.x, f.y); }
#endif
