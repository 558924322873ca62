/* gguf_build.h - GGUF bytes made by hand, for test_gguf.c and fuzz_gguf.c.
 *
 * struct buf owns its bytes; buf_free releases them.  Nothing here checks what it writes: half of
 * its use is to write wrong files. */
#ifndef S3D_TESTS_GGUF_BUILD_H
#define S3D_TESTS_GGUF_BUILD_H
#include "engine/gguf/gguf.h"
#include <stdlib.h>
#include <string.h>

struct buf {
	uint8_t *p;
	size_t n, cap;
};

static inline void put(struct buf *b, const void *bytes, size_t n)
{
	if (b->n + n > b->cap) {
		b->cap = 2 * (b->n + n) + 256;
		b->p = realloc(b->p, b->cap);
		if (!b->p)
			abort();
	}
	if (n)
		memcpy(b->p + b->n, bytes, n);
	b->n += n;
}

static inline void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){ 0 };
}

static inline void put_u8(struct buf *b, uint8_t v) { put(b, &v, sizeof(v)); }
static inline void put_u16(struct buf *b, uint16_t v) { put(b, &v, sizeof(v)); }
static inline void put_u32(struct buf *b, uint32_t v) { put(b, &v, sizeof(v)); }
static inline void put_u64(struct buf *b, uint64_t v) { put(b, &v, sizeof(v)); }
static inline void put_f32(struct buf *b, float v) { put(b, &v, sizeof(v)); }
static inline void put_f64(struct buf *b, double v) { put(b, &v, sizeof(v)); }

static inline void put_str(struct buf *b, const char *s)
{
	put_u64(b, strlen(s));
	put(b, s, strlen(s));
}

static inline void put_zeros(struct buf *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		put_u8(b, 0);
}

static inline void put_head(struct buf *b, uint32_t version, uint64_t tensors, uint64_t keys)
{
	put(b, "GGUF", 4);
	put_u32(b, version);
	put_u64(b, tensors);
	put_u64(b, keys);
}

static inline void put_key(struct buf *b, const char *key, enum gguf_type type)
{
	put_str(b, key);
	put_u32(b, type);
}

static inline void put_key_u32(struct buf *b, const char *key, uint32_t v)
{
	put_key(b, key, GGUF_U32);
	put_u32(b, v);
}

static inline void put_key_str(struct buf *b, const char *key, const char *v)
{
	put_key(b, key, GGUF_STRING);
	put_str(b, v);
}

static inline void put_array(struct buf *b, enum gguf_type elem, uint64_t n)
{
	put_u32(b, elem);
	put_u64(b, n);
}

/* An entry of the tensor table with n_dims dimensions, d0 and d1 first, then ones. */
static inline void put_tensor(struct buf *b, const char *name, uint32_t n_dims, uint64_t d0,
			      uint64_t d1, uint32_t type, uint64_t offset)
{
	put_str(b, name);
	put_u32(b, n_dims);
	for (uint32_t i = 0; i < n_dims; i++)
		put_u64(b, i == 0 ? d0 : i == 1 ? d1 : 1);
	put_u32(b, type);
	put_u64(b, offset);
}

/* Zeros up to the next multiple of align. */
static inline void put_pad(struct buf *b, size_t align)
{
	put_zeros(b, (align - b->n % align) % align);
}

#endif
