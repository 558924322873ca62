/* tok_vocab.h - the tokens of one vocabulary: their bytes, their kinds, lookup by text.
 *
 * struct vocab owns copies of everything.  Pieces are raw bytes: the spelling that the file has
 * for ordinary tokens is undone when it is read.  Invariant: every id handed out is in 0..n-1;
 * ids asked for must be too. */
#ifndef S3D_TOK_VOCAB_H
#define S3D_TOK_VOCAB_H
#include "engine/gguf/gguf.h"

enum vocab_kind {       /* numbered as in the file */
	VOCAB_NORMAL = 1, VOCAB_UNKNOWN, VOCAB_CONTROL, VOCAB_USER, VOCAB_UNUSED, VOCAB_BYTE,
};
#define VOCAB_ANY (~0u)
#define VOCAB_SPACE "\xE2\x96\x81"      /* U+2581, SentencePiece's way to write a space */

enum vocab_spelling { VOCAB_BYTE_LEVEL, VOCAB_SENTENCEPIECE };

struct vocab {
	int n;
	char *bytes;            /* all pieces, one behind the other */
	size_t *at;             /* (n + 1) piece i is bytes[at[i]..at[i+1]-1] */
	unsigned char *kind;    /* (n) enum vocab_kind; VOCAB_CONTROL for the marks of a frame,
				 * whatever the file says (tok_marks.h) */
	int *slot;              /* (n_slots) ids by hash of the piece, -1: free */
	size_t n_slots;         /* a power of two */
	size_t piece_max;
	int n_marks;            /* of these, those that the file has among its ordinary text */
	int mark;               /* the first such, if there is any */
};

int vocab_open(struct vocab *, const struct gguf *, enum vocab_spelling, char err[ERR_MAX]);
void vocab_close(struct vocab *);
/* The file names this token as the first or last of something: it becomes a control token if it is
 * written like one.  Before anything is encoded. */
void vocab_adopt(struct vocab *, int id);
struct gguf_str vocab_piece(const struct vocab *, int id);
/* The lowest id with exactly these bytes whose kind k has bit 1u << k in kinds, or -1. */
int vocab_find(const struct vocab *, const char *s, size_t n, unsigned kinds);
/* The same for words of plain text: an ordinary token before any other, never a private one. */
int vocab_find_plain(const struct vocab *, const char *s, size_t n);
/* Plain text must not become this token: control, unknown, or user-defined and shaped like <chat
 * structure> or [it], unless it is a tag of HTML.  (Gemma has the common ones as tokens, and a
 * page that was pasted must look to it as it did in training.) */
bool vocab_private(const struct vocab *, int id);
/* Undoes the byte-level spelling of s[0..n-1] into out (n bytes of room); returns the length.
 * Text that is not spelled so comes out as it is. */
size_t vocab_unspell(const char *s, size_t n, char *out);
/* The same for SentencePiece's spelling, where only spaces are written otherwise. */
size_t vocab_unescape(const char *s, size_t n, char *out);
#endif
