/* borrow.c - see borrow.h.  Invariant: out_id ascends and lies inside the vocabulary. */
#include "engine/model/borrow.h"
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { SLICE = 1 << 20 };
static const char BORROWS[] = "s3dchat.borrows", BASE[] = "s3dchat.base.sha256",
	IDS[] = "s3dchat.output_ids", EMBD[] = "token_embd.weight";

bool borrow_asked(const struct gguf *g)
{
	return gguf_has(g, BORROWS) || gguf_has(g, IDS);
}

static bool names_embd(const struct gguf *g)
{
	struct gguf_str s = gguf_array_string(g, BORROWS, 0);
	enum gguf_type type;
	int64_t n;

	return gguf_array(g, BORROWS, &type, &n) && n == 1 && s.n == strlen(EMBD) &&
	       !memcmp(s.s, EMBD, s.n);
}

/* SHA-256 of a tensor's bytes in the file, in hexadecimal. */
static void hash(const struct model *m, const struct gguf_tensor *t, char hex[65])
{
	struct sha256_ctx c;
	uint8_t digest[SHA256_DIGEST_SIZE];

	sha256_init(&c);
	/* A slice at a time, so that little of the table is in memory; only some rows will be
	 * read later. */
	for (size_t at = 0, n; at < t->bytes; at += n) {
		const uint8_t *p = (const uint8_t *)t->data + at;

		n = t->bytes - at < SLICE ? t->bytes - at : SLICE;
		sha256_update(&c, n, p);
		gguf_drop(m->file, p, n);
	}
	sha256_digest(&c, sizeof(digest), digest);
	for (int i = 0; i < SHA256_DIGEST_SIZE; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

int borrow_embd(struct model *m, const struct model *base, char err[ERR_MAX])
{
	struct gguf_str want = { "", 0 };
	char have[65];

	if (!base)
		return fail(err, "%s is a little model: it drafts for a big one, as -md FILE",
			    gguf_path(m->file));
	if (!names_embd(m->file) || gguf_tensor_find(m->file, EMBD))
		return fail(err, "%s: %s must name %s, and nothing that the file has itself",
			    gguf_path(m->file), BORROWS, EMBD);
	if (!gguf_string(m->file, BASE, &want) || want.n != 64)
		return fail(err, "%s: %s is not the 64 digits of a SHA-256", gguf_path(m->file),
			    BASE);
	hash(base, base->embd, have);
	if (strncasecmp(want.s, have, 64))
		return fail(err, "%s was made for another model: its token_embd.weight has SHA-256 "
			    "%.8s..., that of %s %.8s...", gguf_path(m->file), want.s,
			    gguf_path(base->file), have);
	m->embd = base->embd;
	return 0;
}

int borrow_ids(struct model *m, char err[ERR_MAX])
{
	enum gguf_type type;
	int64_t n, last = -1;

	m->cfg.n_out = m->cfg.n_vocab;
	if (!gguf_has(m->file, IDS))
		return 0;
	if (!gguf_array(m->file, IDS, &type, &n) || type != GGUF_I32 || n < 1 ||
	    n > m->cfg.n_vocab)
		return fail(err, "%s: %s is not a list of 1 to %d token ids", gguf_path(m->file),
			    IDS, m->cfg.n_vocab);
	m->out_id = mem_new((size_t)n, sizeof(*m->out_id), err);
	if (!m->out_id)
		return -1;
	for (int64_t i = 0; i < n; i++) {
		int64_t id = gguf_array_int(m->file, IDS, i);

		if (id <= last || id >= m->cfg.n_vocab)
			return fail(err, "%s: %s[%lld] = %lld, after %lld: ids must ascend and lie "
				    "below %d", gguf_path(m->file), IDS, (long long)i,
				    (long long)id, (long long)last, m->cfg.n_vocab);
		m->out_id[i] = (int)id;
		last = id;
	}
	m->cfg.n_out = (int)n;
	return 0;
}
