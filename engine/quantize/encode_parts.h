/* encode_parts.h - private to engine/quantize: what encode.c and encode_super.c share. */
#ifndef S3D_ENCODE_PARTS_H
#define S3D_ENCODE_PARTS_H
#include <stdint.h>

/* The nearest finite f16 to p[0..1]; returns it. */
float encode_half(uint8_t *p, float f);

/* A block of TYPE_SUPER numbers. */
void encode_Q4_K(const float *x, const float *weight, uint8_t *p);
void encode_Q5_K(const float *x, const float *weight, uint8_t *p);
void encode_Q6_K(const float *x, const float *weight, uint8_t *p);
#endif
