/* mk.c - see mk.h.  The writer owns the open file; every block gets random codes and scales that
 * make its values about normal with the wanted spread, so no quantiser is needed. */
#include "tests/mk.h"
#include "engine/quant.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mk {
	FILE *f;
	const struct mk_spec *s;
	uint64_t rng;
	int n_tensors;
	struct {
		char name[64];
		enum quant_type type;
		int64_t rows, cols;
		float spread;   /* standard deviation; 0: all ones */
	} t[MK_VOCAB_MIN * 8];
};

static uint64_t rnd(struct mk *m)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return m->rng;
}

static void put(struct mk *m, const void *p, size_t n)
{
	fwrite(p, 1, n, m->f);
}
static void put32(struct mk *m, uint32_t v)
{
	put(m, &v, 4);
}
static void put64(struct mk *m, uint64_t v)
{
	put(m, &v, 8);
}
static void put_str(struct mk *m, const char *s)
{
	put64(m, strlen(s));
	put(m, s, strlen(s));
}
static void key_u32(struct mk *m, const char *key, uint32_t v)
{
	put_str(m, key);
	put32(m, 4);
	put32(m, v);
}
static void key_f32(struct mk *m, const char *key, float v)
{
	put_str(m, key);
	put32(m, 6);
	put(m, &v, 4);
}
static void key_str(struct mk *m, const char *key, const char *v)
{
	put_str(m, key);
	put32(m, 8);
	put_str(m, v);
}
static void key_array(struct mk *m, const char *key, uint32_t type, uint64_t n)
{
	put_str(m, key);
	put32(m, 9);
	put32(m, type);
	put64(m, n);
}

/* The printable character that stands for byte b in byte-level BPE, as UTF-8. */
static void byte_char(int b, char out[4])
{
	int cp = b, shift = 0;

	for (int i = 0; i < 256; i++) {
		bool plain = (i >= 33 && i <= 126) || (i >= 161 && i <= 172) || i >= 174;

		if (!plain && i == b)
			cp = 256 + shift;
		shift += !plain;
	}
	if (cp < 128) {
		out[0] = (char)cp;
		out[1] = 0;
	} else {
		out[0] = (char)(0xc0 | cp >> 6);
		out[1] = (char)(0x80 | (cp & 63));
		out[2] = 0;
	}
}

static const char *const specials[] = { "<|endoftext|>", "<|im_start|>", "<|im_end|>" };
static const char *const merges[] = { "t h", "th e", "i n", "a n", "e r", "o n", "an d", "in g" };

static void token_text(int id, char out[64])
{
	int n_special = (int)(sizeof(specials) / sizeof(specials[0]));
	int n_merges = (int)(sizeof(merges) / sizeof(merges[0]));

	if (id < n_special)
		strcpy(out, specials[id]);
	else if (id < n_special + 256)
		byte_char(id - n_special, out);
	else if (id < n_special + 256 + n_merges)
		sscanf(merges[id - n_special - 256], "%31s %31s", out, out + 32);
	else
		snprintf(out, 64, "filler%d", id);
	if (id >= n_special + 256 && id < n_special + 256 + n_merges)
		memmove(out + strlen(out), out + 32, strlen(out + 32) + 1);
}

static void tokenizer(struct mk *m)
{
	static const char frame[] = "{% for message in messages %}{{'<|im_start|>' + "
		"message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
		"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
	size_t n_merges = sizeof(merges) / sizeof(merges[0]);
	char text[64];

	key_str(m, "tokenizer.ggml.model", "gpt2");
	key_str(m, "tokenizer.ggml.pre", "smollm");
	key_array(m, "tokenizer.ggml.tokens", 8, (uint64_t)m->s->n_vocab);
	for (int i = 0; i < m->s->n_vocab; i++) {
		token_text(i, text);
		put_str(m, text);
	}
	key_array(m, "tokenizer.ggml.token_type", 5, (uint64_t)m->s->n_vocab);
	for (int i = 0; i < m->s->n_vocab; i++)
		put32(m, i < 3 ? 3 : 1);
	key_array(m, "tokenizer.ggml.merges", 8, n_merges);
	for (size_t i = 0; i < n_merges; i++)
		put_str(m, merges[i]);
	key_u32(m, "tokenizer.ggml.bos_token_id", 1);
	key_u32(m, "tokenizer.ggml.eos_token_id", 2);
	key_str(m, "tokenizer.chat_template", frame);
}

/* Keys of the architecture: "ARCH.key". */
static const char *arch(const struct mk *m)
{
	return m->s->arch ? m->s->arch : "llama";
}
static void arch_u32(struct mk *m, const char *key, int v)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", arch(m), key);
	key_u32(m, name, (uint32_t)v);
}
static void arch_f32(struct mk *m, const char *key, float v)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", arch(m), key);
	key_f32(m, name, v);
}

enum { N_KEYS = 20 };
static void metadata(struct mk *m)
{
	const struct mk_spec *s = m->s;
	bool qwen = !strcmp(arch(m), "qwen2");

	key_str(m, "general.architecture", arch(m));
	key_str(m, "general.name", "random");
	key_u32(m, "general.alignment", 32);
	arch_u32(m, "block_count", s->n_layers);
	arch_u32(m, "context_length", s->n_ctx);
	arch_u32(m, "embedding_length", s->n_embd);
	arch_u32(m, "feed_forward_length", s->n_ff);
	arch_u32(m, "attention.head_count", s->n_heads);
	arch_u32(m, "attention.head_count_kv", s->n_kv_heads);
	arch_f32(m, "attention.layer_norm_rms_epsilon", qwen ? 1e-6f : 1e-5f);
	arch_f32(m, "rope.freq_base", qwen ? 1e6f : 10000.0f);
	arch_u32(m, "vocab_size", s->n_vocab);
	tokenizer(m);
}

/* llama.cpp's quantiser: k-quants need columns in 256s, else the next finer type takes their
 * place. */
static const char *fit(const char *type, int64_t cols)
{
	static const char *const instead[][2] = {
		{ "Q2_K", "Q4_0" }, { "Q3_K", "Q4_0" }, { "Q4_K", "Q5_0" }, { "Q5_K", "Q5_1" },
		{ "Q6_K", "Q8_0" },
	};

	for (size_t i = 0; cols % 256 && i < sizeof(instead) / sizeof(instead[0]); i++)
		if (!strcmp(type, instead[i][0]))
			return instead[i][1];
	return type;
}

static void tensor(struct mk *m, const char *name, const char *type, int64_t rows, int64_t cols,
		   float spread)
{
	snprintf(m->t[m->n_tensors].name, sizeof(m->t[0].name), "%s", name);
	m->t[m->n_tensors].type = quant_find(fit(type, cols))->type;
	m->t[m->n_tensors].rows = rows;
	m->t[m->n_tensors].cols = cols;
	m->t[m->n_tensors++].spread = spread;
}

/* The mixtures keep attn_v and ffn_down of some layers at Q6_K. */
static const char *layer_type(const struct mk_spec *s, int l, bool finer)
{
	int n = s->n_layers;

	if (strcmp(s->type, "Q4_K_M") && strcmp(s->type, "Q5_K_M"))
		return s->type;
	if (finer && (l < n / 8 || l >= 7 * n / 8 || (l - n / 8) % 3 == 2))
		return "Q6_K";
	return *(s->type + 1) == '4' ? "Q4_K" : "Q5_K";
}

static void biases(struct mk *m, int l, int64_t q, int64_t kv)
{
	const struct {
		char letter;
		int64_t n;
	} all[] = { { 'q', q }, { 'k', kv }, { 'v', kv } };

	for (int i = 0; i < 3; i++) {
		char name[64];

		snprintf(name, sizeof(name), "blk.%d.attn_%c.bias", l, all[i].letter);
		tensor(m, name, "F32", 0, all[i].n, 0.5f);
	}
}

static void layer(struct mk *m, int l)
{
	const struct mk_spec *s = m->s;
	int64_t head = s->n_embd / s->n_heads, kv = head * s->n_kv_heads;
	float in = 1.0f / sqrtf((float)s->n_embd), ff = 1.0f / sqrtf((float)s->n_ff);
	const char *type = layer_type(s, l, false), *finer = layer_type(s, l, true);
	const struct {
		const char *name, *type;
		int64_t rows, cols;
		float spread;
	} all[] = {
		{ "attn_norm", "F32", 0, s->n_embd, 0 },
		{ "attn_q", type, s->n_embd, s->n_embd, 2 * in },
		{ "attn_k", type, kv, s->n_embd, 2 * in }, { "attn_v", finer, kv, s->n_embd, in },
		{ "attn_output", type, s->n_embd, s->n_embd, in },
		{ "ffn_norm", "F32", 0, s->n_embd, 0 },
		{ "ffn_gate", type, s->n_ff, s->n_embd, in },
		{ "ffn_up", type, s->n_ff, s->n_embd, in },
		{ "ffn_down", finer, s->n_embd, s->n_ff, ff },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char name[64];

		snprintf(name, sizeof(name), "blk.%d.%s.weight", l, all[i].name);
		tensor(m, name, all[i].type, all[i].rows, all[i].cols, all[i].spread);
	}
	if (!strcmp(arch(m), "qwen2"))
		biases(m, l, s->n_embd, kv);
}

static void plan_tensors(struct mk *m)
{
	const struct mk_spec *s = m->s;
	float out = 3.0f / sqrtf((float)s->n_embd);
	bool plain = quant_find(s->type) && quant_find(s->type)->block == 1;
	const char *usual = plain || !strcmp(s->type, "Q8_0") ? s->type : "Q6_K";
	const char *output = s->embd_type ? s->embd_type : usual;
	const char *embd = s->embd_type || s->tied ? output : layer_type(s, s->n_layers / 2, false);

	tensor(m, "token_embd.weight", embd, s->n_vocab, s->n_embd, out);
	for (int l = 0; l < s->n_layers; l++)
		layer(m, l);
	tensor(m, "output_norm.weight", "F32", 0, s->n_embd, 0);
	if (!s->tied)
		tensor(m, "output.weight", output, s->n_vocab, s->n_embd, out);
	if (s->rope_freqs)
		tensor(m, "rope_freqs.weight", "F32", 0, s->n_embd / s->n_heads / 2, 0);
}

static void half_at(uint8_t *p, float f)
{
	uint16_t h = quant_f32_to_f16(f);

	memcpy(p, &h, 2);
}

/* Random codes, then the scale fields: see performance of each layout in engine/quant.c. */
static void block(struct mk *m, enum quant_type type, float spread, uint8_t *b, int bytes)
{
	for (int i = 0; i < bytes; i++)
		b[i] = (uint8_t)(rnd(m) >> 20);
	switch (type) {
	case QUANT_Q4_0: half_at(b, spread / 4.6f); break;
	case QUANT_Q5_0: half_at(b, spread / 9.2f); break;
	case QUANT_Q8_0: half_at(b, spread / 74); break;
	case QUANT_Q4_1: half_at(b, spread / 4.6f); half_at(b + 2, -7.5f * spread / 4.6f); break;
	case QUANT_Q5_1: half_at(b, spread / 9.2f); half_at(b + 2, -15.5f * spread / 9.2f); break;
	case QUANT_Q2_K: half_at(b + 80, spread / 16); half_at(b + 82, 1.5f * spread / 16); break;
	case QUANT_Q3_K: half_at(b + 108, spread / 42); break;
	case QUANT_Q4_K: half_at(b, spread / 256); half_at(b + 2, 7.5f * spread / 256); break;
	case QUANT_Q5_K: half_at(b, spread / 530); half_at(b + 2, 15.5f * spread / 530); break;
	case QUANT_Q6_K: half_at(b + 208, spread / 1366); break;
	default: break;
	}
}

static void floats(struct mk *m, enum quant_type type, float spread, int64_t n)
{
	for (int64_t i = 0; i < n; i++) {
		float sum = 0, f = 1.0f;
		uint32_t bits;
		uint16_t h;

		for (int j = 0; j < 4; j++)     /* four uniforms are normal enough */
			sum += (float)(rnd(m) >> 40) / 16777216.0f - 0.5f;
		if (spread > 0)
			f = sum * spread * 1.7320508f;
		else if (type == QUANT_F32)
			f = 1.0f + 0.25f * sum;
		memcpy(&bits, &f, 4);
		h = type == QUANT_BF16 ? (uint16_t)(bits >> 16) : quant_f32_to_f16(f);
		put(m, type == QUANT_F32 ? (const void *)&f : (const void *)&h,
		    type == QUANT_F32 ? 4 : 2);
	}
}

static void write_data(struct mk *m, int i)
{
	const struct quant_info *q = quant_info((int)m->t[i].type);
	int64_t n = m->t[i].cols * (m->t[i].rows ? m->t[i].rows : 1);
	uint8_t b[256];

	if (q->block == 1)
		floats(m, m->t[i].type, m->t[i].spread, n);
	else
		for (int64_t j = 0; j < n / q->block; j++) {
			block(m, m->t[i].type, m->t[i].spread, b, q->bytes);
			put(m, b, (size_t)q->bytes);
		}
	while (ftello(m->f) % 32)
		fputc(0, m->f);
}

static void write_all(struct mk *m)
{
	uint64_t offset = 0;

	put(m, "GGUF", 4);
	put32(m, 3);
	put64(m, (uint64_t)m->n_tensors);
	put64(m, N_KEYS);
	metadata(m);
	for (int i = 0; i < m->n_tensors; i++) {
		int64_t rows = m->t[i].rows, n = m->t[i].cols * (rows ? rows : 1);

		put_str(m, m->t[i].name);
		put32(m, rows ? 2 : 1);
		put64(m, (uint64_t)m->t[i].cols);
		if (rows)
			put64(m, (uint64_t)rows);
		put32(m, (uint32_t)m->t[i].type);
		put64(m, offset);
		offset += (quant_bytes(quant_info((int)m->t[i].type), n) + 31) & ~31ull;
	}
	while (ftello(m->f) % 32)
		fputc(0, m->f);
	for (int i = 0; i < m->n_tensors; i++)
		write_data(m, i);
}

int mk_write(const char *path, const struct mk_spec *s, char err[ERR_MAX])
{
	struct mk *m = mem_new(1, sizeof(*m), err);
	int rc = -1;

	if (!m)
		return -1;
	m->s = s;
	m->rng = s->seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
	m->f = fopen(path, "wb");
	if (m->f) {
		plan_tensors(m);
		write_all(m);
		rc = ferror(m->f) ? -1 : 0;
		rc = fclose(m->f) ? -1 : rc;
	}
	mem_free(m);
	return rc ? fail(err, "%s: cannot be written", path) : 0;
}
