/* fuzz_gguf.c - hostile GGUF files against the reader and what is built on it.
 *
 * With -DFUZZER a libFuzzer target (clang -fsanitize=fuzzer,address,undefined, with the sources
 * that the Makefile names for fuzz_gguf); else a program: fuzz_gguf RUNS SEED [FILE...] mutates
 * files made here and those given.  It works in a child process, so a crash, an abort or a hang
 * (10 s) ends with the seed that shows it again: fuzz_gguf 1 THATSEED [FILE...].
 * Invariant: run number r of seed s is run 0 of seed s + r. */
#include "engine/gguf/gguf.h"
#include "engine/model/model.h"
#include "engine/text/tokenizer.h"
#include "tests/gguf_build.h"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILE_MOST ((size_t)16 << 20)

struct count {          /* shared between the two processes */
	uint64_t seed;
	uint64_t runs, parsed, tokenized, bound;
};

static struct count *count;
static volatile double sink;    /* what was read is used, so that reading it stays */

static void require(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "broken promise: %s\n", what);
	abort();
}

/* An error text: there, terminated, printable. */
static void check_error(const char err[ERR_MAX])
{
	require(memchr(err, 0, ERR_MAX) != NULL, "error text ends");
	require(err[0] != 0, "error text is set");
	for (const char *s = err; *s; s++)
		require((unsigned char)*s >= 0x20 && *s != 0x7f, "error text is printable");
}

static void touch(struct gguf_str s)
{
	for (size_t i = 0; i < s.n; i++)
		sink += s.s[i];
}

static void walk_array(const struct gguf *g, const char *key, enum gguf_type type, int64_t n)
{
	for (int64_t i = -1; i <= n; i++) {
		if (type == GGUF_STRING)
			touch(gguf_array_string(g, key, i));
		sink += (double)gguf_array_int(g, key, i) + gguf_array_float(g, key, i);
	}
}

static void walk_keys(const struct gguf *g)
{
	for (int64_t i = 0; i < gguf_n_keys(g); i++) {
		struct gguf_str s = gguf_key_at(g, i);
		char *key = strndup(s.s, s.n);
		int64_t v = 0, n;
		double d = 0;
		bool yes = false;
		enum gguf_type type;

		require(key != NULL, "memory");
		require(gguf_has(g, key) || strlen(key) != s.n, "a listed key is found");
		gguf_int(g, key, &v);
		gguf_float(g, key, &d);
		gguf_bool(g, key, &yes);
		if (gguf_string(g, key, &s))
			touch(s);
		sink += (double)v + d + yes;
		if (gguf_array(g, key, &type, &n))
			walk_array(g, key, type, n);
		free(key);
	}
}

static void walk_tensor(const struct gguf *g, const struct gguf_tensor *t, const uint8_t *p,
			size_t n)
{
	const struct quant_info *q = quant_info((int)t->type);
	const uint8_t *data = t->data;
	char *name = strndup(t->name.s, t->name.n);

	require(name && q, "a known type");
	require(strlen(name) != t->name.n || gguf_tensor_find(g, name) == t, "a tensor is found");
	require(data >= p && t->bytes <= n && data <= p + n - t->bytes, "data inside the file");
	require(quant_bytes(q, t->dim[0]) * (size_t)t->dim[1] * (size_t)t->dim[2] *
		(size_t)t->dim[3] == t->bytes, "bytes fit the dimensions");
	float *row = malloc((size_t)t->dim[0] * sizeof(*row));
	require(row != NULL, "memory");
	quant_row(t->type, t->data, row, t->dim[0]);
	for (int64_t i = 0; i < t->dim[0]; i++)
		sink += (double)row[i];
	size_t bytes = quant_bytes(q, t->dim[0]);
	quant_row(t->type, data + t->bytes - bytes, row, t->dim[0]);
	gguf_drop(g, t->data, t->bytes);
	free(row);
	free(name);
}

static void walk_tokenizer(const struct gguf *g)
{
	static const char text[] = "a b<|im_end|>\n\xff ab  \xe2\x82\xac 12";
	char err[ERR_MAX] = "";
	int ids[64];
	struct tokenizer *t = tokenizer_open(g, err);

	if (!t) {
		check_error(err);
		return;
	}
	count->tokenized++;
	for (int id = -1; id <= tokenizer_size(t); id++)
		touch(tokenizer_piece(t, id));
	for (int special = 0; special < 2; special++) {
		int n = tokenizer_encode(t, text, sizeof(text) - 1, special, ids, 64, err);

		for (int i = 0; i < n && i < 64; i++)
			require(ids[i] >= 0 && ids[i] < tokenizer_size(t), "an id in range");
	}
	tokenizer_close(t);
}

/* What else reads a parsed file; the model takes it over. */
static void walk_model(struct gguf *g)
{
	char err[ERR_MAX] = "";
	struct model *m = model_bind(g, NULL, err);

	if (!m) {
		check_error(err);
		return;
	}
	count->bound++;
	for (int i = 0; i < m->cfg.n_layers * LAYER_MATS; i++) {
		const struct gguf_tensor *t = m->layer[i / LAYER_MATS].mat[i % LAYER_MATS];
		struct layer_shape s = layer_mat_shape(&m->cfg, (enum layer_mat)(i % LAYER_MATS));

		require(t->dim[0] == s.cols && t->dim[1] == s.rows, "shapes as configured");
	}
	model_close(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct count own;
	char err[ERR_MAX] = "";
	struct gguf *g = gguf_parse(data, n, "fuzz", err);

	if (!count)
		count = &own;
	count->runs++;
	if (!g) {
		check_error(err);
		return 0;
	}
	count->parsed++;
	walk_keys(g);
	for (int64_t i = 0; i < gguf_n_tensors(g); i++)
		walk_tensor(g, gguf_tensor_at(g, i), data, n);
	walk_tokenizer(g);
	walk_model(g);
	return 0;
}

#ifndef FUZZER

struct seed_file {
	struct buf b;
	size_t head;            /* bytes before the tensors' data */
};

static struct seed_file files[16];
static int n_files;

static void add_file(struct buf *b)
{
	char err[ERR_MAX] = "";
	struct gguf *g = gguf_parse(b->p, b->n, "seed", err);
	struct seed_file *f = &files[n_files++];

	if (!g)
		fprintf(stderr, "a seed is refused: %s\n", err);
	f->b = *b;
	f->head = b->n;
	for (int64_t i = 0; g && i < gguf_n_tensors(g); i++) {
		size_t at = (size_t)((const uint8_t *)gguf_tensor_at(g, i)->data - b->p);

		f->head = at < f->head ? at : f->head;
	}
	gguf_close(g);
}

/* Every value type and every tensor type once. */
static void seed_types(void)
{
	static const uint8_t width[GGUF_TYPE_N] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };
	static const uint32_t types[] = { 0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 30 };
	enum { N = sizeof(types) / sizeof(types[0]) };
	struct buf b = { 0 };
	uint64_t at = 0;

	put_head(&b, 2, N, 2 * 11 + 4);
	for (int t = 0; t < GGUF_TYPE_N; t++) {
		char one[3] = { 'v', (char)('a' + t), 0 }, many[3] = { 'a', one[1], 0 };

		if (!width[t])
			continue;
		put_key(&b, one, (enum gguf_type)t);
		put_zeros(&b, width[t]);
		put_key(&b, many, GGUF_ARRAY);
		put_array(&b, (enum gguf_type)t, 3);
		put_zeros(&b, 3u * width[t]);
	}
	put_key_u32(&b, "general.alignment", 8);
	put_key_str(&b, "string", "text");
	put_key(&b, "strings", GGUF_ARRAY);
	put_array(&b, GGUF_STRING, 2);
	put_str(&b, "one");
	put_str(&b, "");
	put_key(&b, "nested", GGUF_ARRAY);
	put_array(&b, GGUF_ARRAY, 2);
	put_array(&b, GGUF_U8, 1);
	put_u8(&b, 1);
	put_array(&b, GGUF_STRING, 1);
	put_str(&b, "in");
	for (int i = 0; i < N; i++) {
		char name[3] = { 't', (char)('a' + i), 0 };

		put_tensor(&b, name, 1 + (uint32_t)i % 4, 256, i % 4 ? 2 : 1, types[i], at);
		at += (quant_bytes(quant_info((int)types[i]), i % 4 ? 512 : 256) + 7) / 8 * 8;
	}
	put_pad(&b, 8);
	for (uint64_t i = 0; i < at; i++)
		put_u8(&b, (uint8_t)(i * 37));
	add_file(&b);
}

/* The tokens of byte-level BPE: each byte as a character, two merged ones, two control ones. */
static void put_vocabulary(struct buf *b, uint64_t *n)
{
	uint64_t extra = 256;

	*n = 260;
	put_key(b, "tokenizer.ggml.tokens", GGUF_ARRAY);
	put_array(b, GGUF_STRING, *n);
	for (uint64_t c = 0; c < 256; c++) {
		bool plain = (c > 32 && c < 127) || (c > 160 && c != 173);
		uint64_t cp = plain ? c : extra++;
		char s[3] = { (char)cp, 0, 0 };

		if (cp > 127) {
			s[0] = (char)(0xc0 | cp >> 6);
			s[1] = (char)(0x80 | (cp & 63));
		}
		put_str(b, s);
	}
	put_str(b, "ab");
	put_str(b, "\xc4\xa0" "a");
	put_str(b, "<|im_start|>");
	put_str(b, "<|im_end|>");
	put_key(b, "tokenizer.ggml.token_type", GGUF_ARRAY);
	put_array(b, GGUF_I32, *n);
	for (uint64_t i = 0; i < *n; i++)
		put_u32(b, i < 258 ? 1 : 3);
	put_key(b, "tokenizer.ggml.merges", GGUF_ARRAY);
	put_array(b, GGUF_STRING, 2);
	put_str(b, "a b");
	put_str(b, "\xc4\xa0 a");
}

static void put_weight(struct buf *b, const char *name, uint64_t cols, uint64_t rows,
		       enum quant_type type, uint64_t *at)
{
	put_tensor(b, name, rows ? 2 : 1, cols, rows, type, *at);
	*at += (quant_bytes(quant_info(type), (int64_t)(cols * (rows ? rows : 1))) + 31) / 32 * 32;
}

/* A whole language model of one layer, that tokenizer_open and model_bind accept. */
static void seed_llama(void)
{
	enum { EMBD = 32, FF = 64, KV = 16 };
	static const struct {
		const char *name;
		uint64_t cols, rows;
	} layer[] = {
		{ "attn_norm", EMBD, 0 }, { "attn_q", EMBD, EMBD }, { "attn_k", EMBD, KV },
		{ "attn_v", EMBD, KV }, { "attn_output", EMBD, EMBD }, { "ffn_norm", EMBD, 0 },
		{ "ffn_gate", EMBD, FF }, { "ffn_up", EMBD, FF }, { "ffn_down", FF, EMBD },
	};
	struct buf b = { 0 };
	uint64_t n_vocab, at = 0;

	put_head(&b, 3, 11, 16);
	put_key_str(&b, "general.architecture", "llama");
	put_key_u32(&b, "llama.block_count", 1);
	put_key_u32(&b, "llama.embedding_length", EMBD);
	put_key_u32(&b, "llama.feed_forward_length", FF);
	put_key_u32(&b, "llama.context_length", 128);
	put_key_u32(&b, "llama.attention.head_count", 2);
	put_key_u32(&b, "llama.attention.head_count_kv", 1);
	put_key_u32(&b, "llama.rope.dimension_count", 16);
	put_key(&b, "llama.attention.layer_norm_rms_epsilon", GGUF_F32);
	put_f32(&b, 1e-5f);
	put_key_str(&b, "tokenizer.ggml.model", "gpt2");
	put_key_str(&b, "tokenizer.ggml.pre", "smollm");
	put_vocabulary(&b, &n_vocab);
	put_key_u32(&b, "tokenizer.ggml.bos_token_id", 258);
	put_key_u32(&b, "tokenizer.ggml.eos_token_id", 259);
	put_weight(&b, "token_embd.weight", EMBD, n_vocab, QUANT_Q8_0, &at);
	put_weight(&b, "output_norm.weight", EMBD, 0, QUANT_F32, &at);
	for (int i = 0; i < 9; i++) {
		char name[64];

		snprintf(name, sizeof(name), "blk.0.%s.weight", layer[i].name);
		put_weight(&b, name, layer[i].cols, layer[i].rows,
			   layer[i].rows ? QUANT_Q4_0 : QUANT_F32, &at);
	}
	put_pad(&b, 32);
	put_zeros(&b, at);
	add_file(&b);
}

static int read_file(const char *path)
{
	static uint8_t part[65536];
	struct buf b = { 0 };
	FILE *f = fopen(path, "rb");
	size_t n;

	if (!f || n_files == (int)(sizeof(files) / sizeof(files[0]))) {
		fprintf(stderr, "%s: cannot be read, or too many files\n", path);
		return -1;
	}
	while (b.n <= FILE_MOST && (n = fread(part, 1, sizeof(part), f)) > 0)
		put(&b, part, n);
	fclose(f);
	if (b.n > FILE_MOST) {
		fprintf(stderr, "%s: more than %zu bytes; give a smaller model\n", path, FILE_MOST);
		return -1;
	}
	add_file(&b);
	return 0;
}

static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Numbers that lie at the edges of types, limits and the file. */
static uint64_t edge(uint64_t *rng, size_t n)
{
	static const uint64_t all[] = {
		0, 1, 2, 3, 4, 7, 8, 9, 12, 13, 20, 30, 31, 32, 64, 127, 128, 255, 256, 257, 4096,
		65535, 65536, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, (uint64_t)1 << 40,
		(uint64_t)1 << 61, INT64_MAX, (uint64_t)1 << 63, UINT64_MAX - 7, UINT64_MAX,
	};
	uint64_t r = next(rng);

	if (r % 8 == 0)
		return n - r / 8 % 64 % (n + 1);
	return all[r / 8 % (sizeof(all) / sizeof(all[0]))];
}

/* Moves the bytes from at on by d, up or down. */
static void shift(struct buf *b, size_t at, uint64_t d, bool grow)
{
	if (grow) {
		put_zeros(b, d);
		memmove(b->p + at + d, b->p + at, b->n - d - at);
	} else if (d <= b->n - at) {
		memmove(b->p + at, b->p + at + d, b->n - at - d);
		b->n -= d;
	}
}

static void mutate(struct buf *b, size_t head, uint64_t *rng)
{
	uint64_t r = next(rng), kind = r & 15, v = edge(rng, b->n);
	size_t span = r >> 4 & 7 && head < b->n ? head : b->n;

	if (b->n < 16)
		return;
	size_t at = span > 8 ? next(rng) % (span - 8) : 0;
	if (kind < 5) {
		b->p[at] ^= (uint8_t)(1u << (r >> 8 & 7));
	} else if (kind < 7) {
		b->p[at] = (uint8_t)(r >> 8);
	} else if (kind < 9) {
		memcpy(b->p + at, &v, 4);
	} else if (kind < 10) {
		memcpy(b->p + at, &v, 8);
	} else if (kind == 10) {
		shift(b, at, 1 + (r >> 8) % 32, false);
	} else if (kind == 11) {
		shift(b, at, 1 + (r >> 8) % 32, true);
	} else if (kind == 12) {        /* a stretch over another */
		size_t from = next(rng) % span, len = 1 + (r >> 8) % 48;

		if (from + len <= b->n && at + len <= b->n)
			memmove(b->p + at, b->p + from, len);
	} else if (kind == 13) {        /* add a little to a number */
		memcpy(&v, b->p + at, 8);
		v += (r >> 8 & 31) - 16;
		memcpy(b->p + at, &v, 8);
	} else if (kind == 14 && r >> 8 & 1) {
		b->n = at + 8;
	}
}

static void one_run(uint64_t seed)
{
	uint64_t rng = seed * 2 + 1;
	const struct seed_file *f = &files[next(&rng) % (uint64_t)n_files];
	uint64_t r = next(&rng), edits = r & 3 ? 0 : r >> 2 & 7;
	struct buf b = { 0 };

	put(&b, f->b.p, f->b.n);
	for (uint64_t i = 0; i <= edits; i++)
		mutate(&b, f->head, &rng);
	uint8_t *exact = malloc(b.n ? b.n : 1);         /* no room behind it to hide in */
	require(exact != NULL, "memory");
	memcpy(exact, b.p, b.n);
	LLVMFuzzerTestOneInput(exact, b.n);
	free(exact);
	buf_free(&b);
}

/* In a child: runs seeds from first on.  Returns the wait status. */
static int run_child(uint64_t first, uint64_t end)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0) {
		for (count->seed = first; count->seed < end; count->seed++) {
			alarm(10);
			one_run(count->seed);
		}
		for (int i = 0; i < n_files; i++)
			buf_free(&files[i].b);
		exit(0);        /* not _exit: leaks are looked for here */
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return status;
}

int main(int argc, char **argv)
{
	uint64_t runs = argc > 2 ? strtoull(argv[1], NULL, 10) : 0, crashes = 0;

	if (!runs) {
		fprintf(stderr, "usage: fuzz_gguf RUNS SEED [FILE...]\n");
		return 2;
	}
	uint64_t first = strtoull(argv[2], NULL, 10), at = first;
	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		     0);
	if (count == MAP_FAILED)
		return 2;
	seed_types();
	seed_llama();
	for (int i = 3; i < argc; i++)
		if (read_file(argv[i]) < 0)
			return 2;
	while (at < first + runs && crashes < 10) {
		int status = run_child(at, first + runs);

		if (status == 0)
			break;
		crashes++;
		printf("seed %llu: %s %d\n", (unsigned long long)count->seed,
		       WIFSIGNALED(status) ? "signal" : "status", status);
		at = count->seed + 1;
	}
	printf("%llu runs, %llu parsed, %llu tokenized, %llu bound, %llu crashes\n",
	       (unsigned long long)count->runs, (unsigned long long)count->parsed,
	       (unsigned long long)count->tokenized, (unsigned long long)count->bound,
	       (unsigned long long)crashes);
	fflush(stdout);         /* a leak found at exit must not lose it */
	for (int i = 0; i < n_files; i++)
		buf_free(&files[i].b);
	return crashes ? 1 : 0;
}
#endif
