/* json_text.c - see json_text.h. */
#include "app/chat/json_text.h"
#include "base/text.h"
#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 32 };

static const char *bytes_key(char out[KEY_MAX], const char *key)
{
	snprintf(out, KEY_MAX, "%s_bytes", key);
	return out;
}

/* Each byte as the character with its number. */
static json_t *bytes_value(const char *s, size_t n)
{
	char *out = malloc(2 * n + 1);
	json_t *j;
	size_t k = 0;

	if (!out)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c >= 0x80)
			out[k++] = (char)(0xC0 | c >> 6);
		out[k++] = (char)(c < 0x80 ? c : 0x80 | (c & 0x3F));
	}
	j = json_stringn(out, k);
	free(out);
	return j;
}

/* And back; NULL where a character is no byte. */
static char *bytes_of(const json_t *j, size_t *n)
{
	const char *s = json_string_value(j);
	size_t len = json_string_length(j);
	char *out = s ? malloc(len + 1) : NULL;

	*n = 0;
	for (size_t i = 0, k; out && i < len; i += k) {
		uint32_t c;

		k = (size_t)utf8_next(s + i, len - i);  /* jansson checked it */
		c = utf8_value(s + i, (int)k);
		if (c > 0xFF) {
			free(out);
			return NULL;
		}
		out[(*n)++] = (char)c;
	}
	if (out)
		out[*n] = '\0';
	return out;
}

int json_text_set(json_t *to, const char *key, const char *text, size_t n)
{
	char name[KEY_MAX];
	size_t len;
	char *clean = text_utf8(text, n, &len);
	bool same = clean && len == n && !memcmp(clean, text, n);
	int rc = clean ? json_object_set_new(to, key, json_stringn(clean, len)) : -1;

	free(clean);
	if (rc || same)
		return rc;
	return json_object_set_new(to, bytes_key(name, key), bytes_value(text, n));
}

/* Whether text is what these bytes look like in a file. */
static bool is_repaired(const json_t *text, const char *bytes, size_t n)
{
	size_t len;
	char *clean = text_utf8(bytes, n, &len);
	bool same = clean && len == json_string_length(text) &&
		    !memcmp(clean, json_string_value(text), len);

	free(clean);
	return same;
}

char *json_text_get(const json_t *from, const char *key, size_t *n)
{
	const json_t *text = json_object_get(from, key);
	char name[KEY_MAX], *out;

	if (!json_is_string(text))
		return NULL;
	out = bytes_of(json_object_get(from, bytes_key(name, key)), n);
	if (out && is_repaired(text, out, *n))
		return out;
	free(out);
	*n = json_string_length(text);
	out = malloc(*n + 1);
	if (out)
		memcpy(out, json_string_value(text), *n + 1);
	return out;
}
