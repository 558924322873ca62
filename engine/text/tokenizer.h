/* tokenizer.h - text to token ids and back.
 *
 * A struct tokenizer owns everything it needs (the GGUF file may be closed later) and is
 * read-only after tokenizer_open, except for scratch used by tokenizer_encode: one thread at a
 * time may encode.  The marks of chat frames are control tokens, whatever type the file gives them.
 * Invariant: with special == false no control token is ever produced, and no user-defined token
 * that looks like chat structure (<it> or [it], tags of HTML excepted). */
#ifndef S3D_TOKENIZER_H
#define S3D_TOKENIZER_H
#include "engine/gguf/gguf.h"
#include "base/util.h"

struct tokenizer;

struct tokenizer *tokenizer_open(const struct gguf *, char err[ERR_MAX]);
void tokenizer_close(struct tokenizer *);

int tokenizer_size(const struct tokenizer *);           /* vocabulary size */
const char *tokenizer_pre(const struct tokenizer *);    /* "smollm"; SentencePiece: "llama" */
int tokenizer_bos(const struct tokenizer *);            /* -1: none */
int tokenizer_eos(const struct tokenizer *);
bool tokenizer_add_bos(const struct tokenizer *);       /* the file wants BOS before a prompt */
bool tokenizer_is_end(const struct tokenizer *, int id);        /* EOS, EOT, EOM, <|im_end|> ... */
bool tokenizer_is_control(const struct tokenizer *, int id);
/* Whether an answer can do anything with this id: ids behind the vocabulary, which matrices are
 * often padded for, and tokens without a text are none, but for those that end something. */
bool tokenizer_means(const struct tokenizer *, int id);
/* (tokenizer_size) by id, 1: tokenizer_is_end. */
const unsigned char *tokenizer_ends(const struct tokenizer *);
/* What is odd about the file, for the user to know; false: nothing, and note is "". */
bool tokenizer_note(const struct tokenizer *, char note[ERR_MAX]);
/* The id of exactly this token (a control token before any other), or -1. */
int tokenizer_find(const struct tokenizer *, const char *text);

/* The ids of text[0..len-1] (any bytes) into out[0..cap-1]; returns how many there are, which may
 * exceed cap (then call again with more room), or -1 with err set (out of memory).  A byte that
 * the vocabulary has no token for is left out (the default model lacks 21 of the 256).
 * special: control tokens in the text become their ids. */
int tokenizer_encode(struct tokenizer *, const char *text, size_t len, bool special,
		     int *out, int cap, char err[ERR_MAX]);

/* All of them, behind `spare` ids that are the caller's to fill, who frees *ids with mem_free.
 * Returns how many there are, without the spare ones; -1 with err, and nothing to free.  There may
 * be more of them than bytes: of spaces put before a text and before what follows a token. */
int tokenizer_encode_new(struct tokenizer *, const char *text, size_t len, bool special, int spare,
			 int **ids, char err[ERR_MAX]);

/* Whether tokenizer_encode puts a space of its own before a text, and before what follows a control
 * token in it, unless nothing stands there: SentencePiece vocabularies do (Llama 2, Mistral) where
 * the file does not forbid it (Gemma); byte-level ones never do.  That is what the makers' own code
 * for Llama 2 and Mistral does, which encodes each turn by itself, and llama.cpp; files do not
 * say that a model was trained otherwise.  So a frame whose words come right after a special token
 * writes no space there if this is true ("[INST]" "Hello" is how Mistral v3 was trained), and
 * writes it out if this is false and training had one. */
bool tokenizer_adds_space(const struct tokenizer *);

/* The raw bytes that token id stands for (control tokens: their literal text); not terminated. */
struct gguf_str tokenizer_piece(const struct tokenizer *, int id);
/* The same at the beginning of a text, such as an answer that a frame has just opened: without
 * the space that tokenizer_encode would put before it again. */
struct gguf_str tokenizer_piece_first(const struct tokenizer *, int id);

/* Decoding with UTF-8 carried across tokens: whole characters only; a sequence that can not be
 * completed becomes U+FFFD.  Control tokens give nothing unless special is true. */
struct tokenizer_stream {
	unsigned char held[4];
	int n_held;
};
#define TOKENIZER_TEXT_MAX 4096
/* Returns the bytes written to out (at most cap, which must hold 3 * piece + 12 bytes). */
size_t tokenizer_stream_put(const struct tokenizer *, struct tokenizer_stream *, int id,
			    bool special, char *out, size_t cap);
size_t tokenizer_stream_end(struct tokenizer_stream *, char *out, size_t cap);
size_t tokenizer_piece_max(const struct tokenizer *);   /* longest piece in bytes */
#endif
