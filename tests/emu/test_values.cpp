/* test_values.cpp - half precision and the arithmetic intrinsics against plain arithmetic. */
#include "engine/gguf/quant.h"
#include "tests/emu/test_kit.h"

static uint32_t seed = 1;
static uint32_t dice(void)
{
	seed = seed * 1664525 + 1013904223;
	return seed ^ seed >> 15;
}

static bool is_nan_half(unsigned h) { return (h & 0x7fff) > 0x7c00; }

static void test_every_half(void **)
{
	for (unsigned h = 0; h < 65536; h++) {
		float f = __half2float(__ushort_as_half((unsigned short)h));
		float want = quant_f16_to_f32((uint16_t)h);
		unsigned back = __half_as_ushort(__float2half_rn(f));

		if (is_nan_half(h)) {
			assert_true(isnan(f));
			assert_int_equal(back, 0x7fff);
		} else {
			assert_memory_equal(&f, &want, sizeof(f));
			assert_int_equal(back, h);
		}
	}
}

static void check_rounding(float f)
{
	unsigned got = __half_as_ushort(__float2half_rn(f));

	if (isnan(f))
		assert_int_equal(got, 0x7fff);
	else
		assert_int_equal(got, quant_f32_to_f16(f));
}

static void test_rounding_to_half(void **)
{
	/* halfway between two neighbours, and one float to each side of that */
	for (unsigned h = 0; h < 0x7c00; h++) {
		float a = __half2float(__ushort_as_half((unsigned short)h));
		float b = h == 0x7bff ? 65536 :
			  __half2float(__ushort_as_half((unsigned short)(h + 1)));
		float middle = a + (b - a) / 2;

		for (float f : { middle, nextafterf(middle, 0), nextafterf(middle, INFINITY) }) {
			check_rounding(f);
			check_rounding(-f);
		}
		assert_int_equal(__half_as_ushort(__float2half_rn(middle)), h + (h & 1));
	}
	for (int i = 0; i < 3000000; i++)
		check_rounding(__uint_as_float(dice()));
	for (int i = 0; i < 1000000; i++)       /* where half precision has numbers */
		check_rounding(__uint_as_float((dice() & 0x8fffffff) + 0x30000000));
	check_rounding(INFINITY);
	check_rounding(-0.0f);
}

static void test_half_pairs(void **)
{
	__half2 h = __floats2half2_rn(1.5f, -65504);
	float2 f = __half22float2(h);

	assert_true(f.x == 1.5f && f.y == -65504);
	assert_true(__low2float(h) == 1.5f && __high2float(h) == -65504);
	assert_int_equal(emu_bits<unsigned>(h), 0xfbff3e00);
}

static void test_dot_products(void **)
{
	for (int i = 0; i < 200000; i++) {
		unsigned a = dice(), b = dice(), c = dice();
		int64_t s = (int)c;
		uint64_t u = c;

		for (int k = 0; k < 32; k += 8) {
			s += (int8_t)(a >> k) * (int8_t)(b >> k);
			u += (uint64_t)(uint8_t)(a >> k) * (uint8_t)(b >> k);
		}
		assert_int_equal(__dp4a((int)a, (int)b, (int)c), (int)(uint32_t)s);
		assert_int_equal(__dp4a(a, b, c), (uint32_t)u);
	}
	assert_int_equal(__dp4a((int)0x80808080, (int)0x80808080, 1), 4 * 16384 + 1);
}

static void test_bytes_at_once(void **)
{
	for (int i = 0; i < 200000; i++) {
		unsigned a = dice(), b = dice(), add = 0, sub = 0, saturated = 0;

		for (int k = 0; k < 32; k += 8) {
			int d = (int8_t)(a >> k) - (int8_t)(b >> k);

			add |= (((a >> k) + (b >> k)) & 255) << k;
			sub |= (((a >> k) - (b >> k)) & 255) << k;
			saturated |= (unsigned)((d < -128 ? -128 : d > 127 ? 127 : d) & 255) << k;
		}
		assert_int_equal(__vadd4(a, b), add);
		assert_int_equal(__vsub4(a, b), sub);
		assert_int_equal(__vsubss4(a, b), saturated);
	}
}

static void test_bits(void **)
{
	assert_int_equal(__byte_perm(0x33221100, 0x77665544, 0x7430), 0x77443300);
	assert_int_equal(__byte_perm(0x80000000, 0x7f, 0xb4cb), 0xff7f00ff);
	assert_int_equal(__clz(0), 32);
	assert_int_equal(__clz(1), 31);
	assert_int_equal(__clz(-1), 0);
	assert_int_equal(__popc(0xf0f00001), 9);
	assert_int_equal(__ffs(0), 0);
	assert_int_equal(__ffs(0x50), 5);
	assert_int_equal(__float_as_int(-0.0f), INT32_MIN);
	assert_true(__int_as_float(0x3f800000) == 1);
	assert_true(__uint_as_float(0xbf800000u) == -1);
}

static void test_conversions(void **)
{
	assert_int_equal(__float2int_rn(2.5f), 2);
	assert_int_equal(__float2int_rn(3.5f), 4);
	assert_int_equal(__float2int_rn(-2.5f), -2);
	assert_int_equal(__float2int_rn(3e9f), INT32_MAX);
	assert_int_equal(__float2int_rn(-INFINITY), INT32_MIN);
	assert_int_equal(__float2int_rn(NAN), 0);
	assert_true(__int2float_rn(16777217) == 16777216);
	assert_true(rsqrtf(0.25f) == 2 && __expf(0) == 1 && __logf(1) == 0);
	assert_int_equal(min(-1, 2), -1);
	assert_true(min(-1, 2u) == 2);
	assert_true(max(NAN, 1.0f) == 1 && min(1.0f, NAN) == 1);
	assert_int_equal(max(1L, 2L), 2);
}

static void test_layout(void **)
{
	assert_true(sizeof(uint4) == 16 && alignof(uint4) == 16 && alignof(float4) == 16);
	assert_true(alignof(int4) == 16 && alignof(uint2) == 8 && alignof(float2) == 8);
	assert_true(alignof(uchar4) == 4 && alignof(char4) == 4 && sizeof(uint3) == 12);
	assert_true(sizeof(__half) == 2 && sizeof(__half2) == 4 && alignof(__half2) == 4);
	assert_int_equal(make_uint4(1, 2, 3, 4).z, 3);
	assert_true(make_float2(1, 2).y == 2);
}

int test_values(void)
{
	const struct CMUnitTest tests[] = {
		KIT_TEST(test_every_half), KIT_TEST(test_rounding_to_half),
		KIT_TEST(test_half_pairs), KIT_TEST(test_dot_products),
		KIT_TEST(test_bytes_at_once), KIT_TEST(test_bits), KIT_TEST(test_conversions),
		KIT_TEST(test_layout),
	};

	return cmocka_run_group_tests(tests, nullptr, nullptr);
}
