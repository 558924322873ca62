/* mk.c - see mk.h.  Every block gets random codes and scales that
 * make its values about normal with the wanted spread, so no quantiser is needed. */
#include "tests/mk.h"
#include "engine/gguf/gguf_write.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mk {
	struct gguf_writer *w;
	const struct mk_spec *s;
	uint64_t rng;
	bool calm, spm, tags;
	int n_tensors, n_made;
	float spread[MK_VOCAB_MIN * 8]; /* standard deviation of a tensor; 0: all ones */
};

static uint64_t rnd(struct mk *m)
{
	m->rng ^= m->rng << 13;
	m->rng ^= m->rng >> 7;
	m->rng ^= m->rng << 17;
	return m->rng;
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
static const char *const tags[] = { MK_TAGS };

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

/* Of SentencePiece: bytes, and words that begin with a space. */
static void vocab_text(const struct mk *m, int id, int words, char text[64])
{
	if (id >= words)
		strcpy(text, tags[id - words]);
	else if (!m->spm || id < 3)
		token_text(id, text);
	else
		snprintf(text, 64, id < 259 ? "<0x%02X>" : "\xe2\x96\x81word%d",
			 id < 259 ? id - 3 : id);
}

static int put_tokens(struct mk *m, char err[ERR_MAX])
{
	int n = m->s->n_vocab, words = n - (m->tags ? (int)(sizeof(tags) / sizeof(tags[0])) : 0);
	struct gguf_str *s = mem_new((size_t)n, sizeof(*s), err);
	char (*text)[64] = mem_new((size_t)n, sizeof(*text), err);
	int32_t *kind = mem_new((size_t)n, sizeof(*kind), err);
	bool ok = s && text && kind;

	for (int i = 0; ok && i < n; i++) {
		vocab_text(m, i, words, text[i]);
		s[i] = (struct gguf_str){ text[i], strlen(text[i]) };
		kind[i] = i < 3 || i >= words ? 3 : m->spm && i < 259 ? 6 : 1;
	}
	if (ok) {
		gguf_put_strings(m->w, "tokenizer.ggml.tokens", s, n);
		gguf_put_array(m->w, "tokenizer.ggml.token_type", GGUF_I32, kind, n);
	}
	mem_free(s);
	mem_free(text);
	mem_free(kind);
	return ok ? 0 : -1;
}

static int put_scores(struct mk *m, char err[ERR_MAX])
{
	float *zeros = mem_new((size_t)m->s->n_vocab, sizeof(*zeros), err);

	if (zeros)
		gguf_put_array(m->w, "tokenizer.ggml.scores", GGUF_F32, zeros, m->s->n_vocab);
	mem_free(zeros);
	return zeros ? 0 : -1;
}

static int tokenizer(struct mk *m, char err[ERR_MAX])
{
	static const char frame[] = "{% for message in messages %}{{'<|im_start|>' + "
		"message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
		"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";
	enum { MERGES = sizeof(merges) / sizeof(merges[0]) };
	struct gguf_str s[MERGES];

	for (int i = 0; i < MERGES; i++)
		s[i] = (struct gguf_str){ merges[i], strlen(merges[i]) };
	gguf_put_text(m->w, "tokenizer.ggml.model", m->spm ? "llama" : "gpt2");
	gguf_put_text(m->w, "tokenizer.ggml.pre", "smollm");
	if (put_tokens(m, err) != 0)
		return -1;
	gguf_put_strings(m->w, "tokenizer.ggml.merges", s, MERGES);
	if (m->spm && put_scores(m, err) != 0)
		return -1;
	gguf_put_u32(m->w, "tokenizer.ggml.bos_token_id", 1);
	gguf_put_u32(m->w, "tokenizer.ggml.eos_token_id", 2);
	gguf_put_text(m->w, "tokenizer.chat_template", frame);
	return 0;
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
	gguf_put_u32(m->w, name, (uint32_t)v);
}
static void arch_f32(struct mk *m, const char *key, float v)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", arch(m), key);
	gguf_put_f32(m->w, name, v);
}

static bool is(const struct mk *m, const char *name)
{
	return !strcmp(arch(m), name);
}

static int head_dim(const struct mk *m)
{
	return m->s->head_dim ? m->s->head_dim : m->s->n_embd / m->s->n_heads;
}

/* Dimensions that RoPE turns: Phi 4 mini leaves a quarter of them as they are. */
static int n_rot(const struct mk *m)
{
	return is(m, "phi3") ? head_dim(m) / 8 * 6 : head_dim(m);
}

/* What only some architectures have; numbers are such that small random models feel them. */
static void more_keys(struct mk *m)
{
	if (m->s->head_dim) {
		arch_u32(m, "attention.key_length", head_dim(m));
		arch_u32(m, "attention.value_length", head_dim(m));
	}
	if (m->s->window)
		arch_u32(m, "attention.sliding_window", m->s->window);
	if (is(m, "gemma2")) {
		arch_f32(m, "attn_logit_softcapping", 4);
		arch_f32(m, "final_logit_softcapping", 6);
	} else if (is(m, "gemma3")) {
		gguf_put_text(m->w, "gemma3.rope.scaling.type", "linear");
		arch_f32(m, "rope.scaling.factor", 8);
	} else if (is(m, "phi3")) {
		arch_u32(m, "rope.dimension_count", n_rot(m));
		arch_u32(m, "rope.scaling.original_context_length", m->s->n_ctx / 2);
		arch_f32(m, "rope.scaling.attn_factor", 1.19f);
	} else if (is(m, "granite")) {
		arch_f32(m, "embedding_scale", 3);
		arch_f32(m, "residual_scale", 0.5f);
		arch_f32(m, "attention.scale", 0.2f);
		arch_f32(m, "logit_scale", 2);
	}
}

static int metadata(struct mk *m, char err[ERR_MAX])
{
	const struct mk_spec *s = m->s;
	bool llama = is(m, "llama") || is(m, "granite") || is(m, "phi3");

	gguf_put_text(m->w, "general.architecture", arch(m));
	gguf_put_text(m->w, "general.name", "random");
	gguf_put_u32(m->w, "general.alignment", 32);
	arch_u32(m, "block_count", s->n_layers);
	arch_u32(m, "context_length", s->n_ctx);
	arch_u32(m, "embedding_length", s->n_embd);
	arch_u32(m, "feed_forward_length", s->n_ff);
	arch_u32(m, "attention.head_count", s->n_heads);
	arch_u32(m, "attention.head_count_kv", s->n_kv_heads);
	arch_f32(m, "attention.layer_norm_rms_epsilon", llama ? 1e-5f : 1e-6f);
	arch_f32(m, "rope.freq_base", llama || is(m, "gemma2") ? 10000.0f : 1e6f);
	arch_u32(m, "vocab_size", s->n_vocab);
	more_keys(m);
	return tokenizer(m, err);
}

/* llama.cpp's quantiser: k-quants need columns in 256s, else the next finer type takes their
 * place. */
static enum quant_type fit(const char *type, int64_t cols)
{
	const struct quant_info *q = quant_find(type);

	return cols % q->block ? type_facts(q->type).instead : q->type;
}

static void tensor(struct mk *m, const char *name, const char *type, int64_t rows, int64_t cols,
		   float spread)
{
	struct gguf_tensor t = { .name = { name, strlen(name) }, .type = fit(type, cols),
				 .n_dims = rows ? 2 : 1, .dim = { cols, rows, 1, 1 } };

	gguf_put_tensor(m->w, &t);
	m->spread[m->n_tensors++] = spread;
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

/* A tensor of a layer: "blk.L.NAME". */
struct part {
	const char *name, *type;
	int64_t rows, cols;
	float spread;
};
static void parts(struct mk *m, int l, const struct part *all, int n)
{
	for (int i = 0; i < n; i++) {
		char name[64];

		snprintf(name, sizeof(name), "blk.%d.%s", l, all[i].name);
		tensor(m, name, all[i].type, all[i].rows, all[i].cols, all[i].spread);
	}
}
#define PARTS(m, l, ...) \
	parts(m, l, (const struct part[]){ __VA_ARGS__ }, \
	      sizeof((const struct part[]){ __VA_ARGS__ }) / sizeof(struct part))

static void layer_extras(struct mk *m, int l, int64_t q, int64_t kv)
{
	if (is(m, "qwen2"))
		PARTS(m, l, { "attn_q.bias", "F32", 0, q, 0.5f },
		      { "attn_k.bias", "F32", 0, kv, 0.5f }, { "attn_v.bias", "F32", 0, kv, 0.5f });
	if (is(m, "qwen3") || is(m, "gemma3"))
		PARTS(m, l, { "attn_q_norm.weight", "F32", 0, head_dim(m), 0 },
		      { "attn_k_norm.weight", "F32", 0, head_dim(m), 0 });
	if (is(m, "gemma2") || is(m, "gemma3"))
		PARTS(m, l, { "post_attention_norm.weight", "F32", 0, m->s->n_embd, 0 },
		      { "post_ffw_norm.weight", "F32", 0, m->s->n_embd, 0 });
}

static void layer(struct mk *m, int l)
{
	const struct mk_spec *s = m->s;
	int64_t q = s->n_heads * (int64_t)head_dim(m), kv = s->n_kv_heads * (int64_t)head_dim(m);
	float in = 1.0f / sqrtf((float)s->n_embd), ff = 1.0f / sqrtf((float)s->n_ff);
	float qk = (m->calm ? 1 : 2) * in;
	const char *type = layer_type(s, l, false), *finer = layer_type(s, l, true);
	bool fused = is(m, "phi3");

	PARTS(m, l, { "attn_norm.weight", "F32", 0, s->n_embd, 0 });
	if (fused)
		PARTS(m, l, { "attn_qkv.weight", type, q + 2 * kv, s->n_embd, qk });
	else
		PARTS(m, l, { "attn_q.weight", type, q, s->n_embd, qk },
		      { "attn_k.weight", type, kv, s->n_embd, qk },
		      { "attn_v.weight", finer, kv, s->n_embd, in });
	PARTS(m, l, { "attn_output.weight", type, s->n_embd, q, in },
	      { "ffn_norm.weight", "F32", 0, s->n_embd, 0 });
	if (!fused)
		PARTS(m, l, { "ffn_gate.weight", type, s->n_ff, s->n_embd, in });
	PARTS(m, l, { "ffn_up.weight", type, (fused ? 2 : 1) * (int64_t)s->n_ff, s->n_embd, in },
	      { "ffn_down.weight", finer, s->n_embd, s->n_ff, ff });
	layer_extras(m, l, q, kv);
}

static void put_tensors(struct mk *m)
{
	const struct mk_spec *s = m->s;
	float out = (m->calm ? 1.0f : 3.0f) / sqrtf((float)s->n_embd);
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
		tensor(m, "rope_freqs.weight", "F32", 0, n_rot(m) / 2, 0);
	if (is(m, "phi3")) {
		tensor(m, "rope_factors_short.weight", "F32", 0, n_rot(m) / 2, 0);
		tensor(m, "rope_factors_long.weight", "F32", 0, n_rot(m) / 2, 0);
	}
}

static void half_at(uint8_t *p, float f)
{
	uint16_t h = quant_f32_to_f16(f);

	memcpy(p, &h, 2);
}

/* Random bits, then d and the factor of minima, so that the mean is 0. */
static void block(struct mk *m, enum quant_type type, float spread, uint8_t *b, int bytes)
{
	const struct type_facts f = type_facts(type);
	float middle = (float)((1 << f.bits) - 1) / 2;

	for (int i = 0; i < bytes; i++)
		b[i] = (uint8_t)(rnd(m) >> 20);
	half_at(b + f.at_d, spread / f.deviation);
	if (f.flags & TYPE_MIN)         /* super-blocks take it off, small ones add it */
		half_at(b + f.at_d + 2, (f.block == TYPE_SUPER ? middle : -middle) * spread /
					f.deviation);
}

static float one_float(struct mk *m, enum quant_type type, float spread)
{
	float sum = 0;

	for (int j = 0; j < 4; j++)     /* four uniforms are normal enough */
		sum += (float)(rnd(m) >> 40) / 16777216.0f - 0.5f;
	return spread > 0 ? sum * spread * 1.7320508f : type == QUANT_F32 ? 1.0f + 0.25f * sum : 1;
}

/* One number of a float type. */
static void number(struct mk *m, enum quant_type type, float spread, uint8_t *b)
{
	float f = one_float(m, type, spread);
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	if (type == QUANT_F32)
		memcpy(b, &f, sizeof(f));
	else if (type == QUANT_F16)
		half_at(b, f);
	else
		memcpy(b, (uint8_t *)&bits + 2, 2);
}

static int make(void *user, const struct gguf_tensor *t, struct gguf_writer *w, char err[ERR_MAX])
{
	struct mk *m = user;
	const struct quant_info *q = quant_info((int)t->type);
	float spread = m->spread[m->n_made++];
	uint8_t b[256];

	for (size_t at = 0; at < t->bytes; at += (size_t)q->bytes) {
		if (q->block == 1)
			number(m, t->type, spread, b);
		else
			block(m, t->type, spread, b, q->bytes);
		if (gguf_data(w, b, (size_t)q->bytes, err) != 0)
			return -1;
	}
	return 0;
}

static int write_all(struct mk *m, FILE *f, char err[ERR_MAX])
{
	if (metadata(m, err) != 0)
		return -1;
	put_tensors(m);
	return gguf_write(m->w, f, make, m, err);
}

static int mk(const char *path, const struct mk_spec *s, struct mk how, char err[ERR_MAX])
{
	struct mk *m = mem_new(1, sizeof(*m), err);
	FILE *f = m ? fopen(path, "wb") : NULL;
	int rc = m ? fail(err, "%s: cannot be written", path) : -1;

	if (m) {
		*m = how;
		m->s = s;
		m->rng = s->seed * 0x9e3779b97f4a7c15u + 0x2545f4914f6cdd1du;
		m->w = gguf_writer_new(err);
	}
	if (f && m->w)
		rc = write_all(m, f, err);
	if (f && fclose(f) && !rc)
		rc = fail(err, "%s: cannot be written", path);
	if (m)
		gguf_writer_free(m->w);
	mem_free(m);
	return rc;
}

int mk_write(const char *path, const struct mk_spec *s, char err[ERR_MAX])
{
	return mk(path, s, (struct mk){ .s = NULL }, err);
}

int mk_write_calm(const char *path, const struct mk_spec *s, char err[ERR_MAX])
{
	return mk(path, s, (struct mk){ .calm = true }, err);
}

int mk_write_spm(const char *path, const struct mk_spec *s, char err[ERR_MAX])
{
	return mk(path, s, (struct mk){ .spm = true }, err);
}

int mk_write_frames(const char *path, const struct mk_spec *s, bool spm, char err[ERR_MAX])
{
	return mk(path, s, (struct mk){ .spm = spm, .tags = true }, err);
}
