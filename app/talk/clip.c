/* clip.c - see clip.h.
 *
 * Nobody can ask a terminal whether it took the text, so the note says what was done, not more. */
#include "app/talk/clip.h"
#include "app/config/model_path.h"
#include "base/text.h"
#include "base/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char head[] = "\033]52;c;", tail[] = "\a";

char *clip_sequence(const char *text, size_t len, size_t *n)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	char *out = malloc(sizeof(head) + sizeof(tail) + (len + 2) / 3 * 4);
	char *p = out;

	if (!out)
		return NULL;
	p = stpcpy(p, head);
	for (size_t i = 0; i < len; i += 3) {
		size_t have = len - i < 3 ? len - i : 3;
		uint32_t v = 0;

		for (size_t k = 0; k < 3; k++)
			v = v << 8 | (k < have ? (unsigned char)text[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			*p++ = k <= have ? digits[v >> (18 - 6 * k) & 63] : '=';
	}
	p = stpcpy(p, tail);
	*n = (size_t)(p - out);
	return out;
}

static char *file_place(void)
{
	char *path = model_path_xdg("XDG_RUNTIME_DIR", ".local/state", "copy.txt");

	if (path)
		model_path_make(path);
	return path;
}

static int to_file(const char *text, size_t n, char note[ERR_MAX], char err[ERR_MAX])
{
	char *path = file_place();
	struct file_new w;
	int rc = -1;

	if (!path)
		return fail(err, "no place for the copy: neither HOME nor XDG_RUNTIME_DIR is set");
	if (file_begin(&w, path, FILE_PRIVATE, err) == 0) {
		fwrite(text, 1, n, w.f);        /* file_keep tells of an error */
		rc = file_keep(&w, err);
	}
	if (rc == 0)
		fail(note, "copied %zu bytes into the file %s", n, path);
	free(path);
	return rc;
}

static bool terminal_takes(size_t n)
{
	const char *kind = getenv("TERM");

	return n <= CLIP_MAX && isatty(STDOUT_FILENO) && kind && *kind && strcmp(kind, "dumb") &&
	       strcmp(kind, "linux");
}

int clip_copy(const char *text, size_t len, char note[ERR_MAX], char err[ERR_MAX])
{
	size_t n, k;
	char *seen = text_visible(text, len, &n), *sequence;
	int rc;

	if (!seen)
		return fail(err, "out of memory");
	if (!terminal_takes(n)) {
		rc = to_file(seen, n, note, err);
		free(seen);
		return rc;
	}
	sequence = clip_sequence(seen, n, &k);
	free(seen);
	if (!sequence)
		return fail(err, "out of memory");
	rc = fflush(stdout) || fd_write(STDOUT_FILENO, sequence, k);
	free(sequence);
	if (rc)
		return fail(err, "cannot write to the terminal: %s", strerror(errno));
	fail(note, "sent %zu bytes to the terminal's clipboard (OSC 52)", n);
	return 0;
}
