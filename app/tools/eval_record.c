/* eval_record.c - logits of this program as a reference for --kl: whole rows, in the format that
 * tests/tools/make_reference_logits.py describes.
 *
 * Invariant: the file takes its place when all rows are in it. */
#include "app/tools/eval.h"

#include <errno.h>
#include <string.h>

static int put_u32(struct eval_record *r, uint32_t v, char err[ERR_MAX])
{
	unsigned char b[4] = { (unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
			       (unsigned char)(v >> 24) };

	return fwrite(b, 1, 4, r->file.f) == 4 ? 0 : fail(err, "%s: %s", r->file.path,
							  strerror(errno));
}

int eval_record_begin(struct eval_record *r, const char *path, int n_chunks, int chunk,
		      int n_vocab, const int *ids, char err[ERR_MAX])
{
	const uint32_t head[] = { 1, (uint32_t)n_chunks, (uint32_t)chunk,
				  (uint32_t)(chunk - 1 - chunk / 2), (uint32_t)n_vocab, 0 };
	int rc;

	if (file_begin(&r->file, path, FILE_SHARED, err) != 0)
		return -1;
	r->open = true;
	r->n_vocab = n_vocab;
	rc = fwrite("S3DKLREF", 1, 8, r->file.f) == 8 ? 0 : fail(err, "%s: %s", path,
								 strerror(errno));
	for (size_t i = 0; i < sizeof(head) / sizeof(head[0]) && !rc; i++)
		rc = put_u32(r, head[i], err);
	for (size_t i = 0; i < (size_t)n_chunks * (size_t)chunk && !rc; i++)
		rc = put_u32(r, (uint32_t)ids[i], err);
	return rc;
}

int eval_record_row(struct eval_record *r, const float *logits, char err[ERR_MAX])
{
	for (int i = 0; i < r->n_vocab; i++) {
		uint32_t bits;

		memcpy(&bits, logits + i, sizeof(bits));
		if (put_u32(r, bits, err))
			return -1;
	}
	return 0;
}

int eval_record_end(struct eval_record *r, bool whole, char err[ERR_MAX])
{
	bool open = r->open;

	r->open = false;
	if (open && !whole)
		file_drop(&r->file);
	return open && whole ? file_keep(&r->file, err) : 0;
}
