/* charset.c - see charset.h.
 *
 * No locale, the locale C and one that is not installed all mean that nobody has said what the
 * terminal takes.  Invariant: readline and the editor, which look into the environment, find what
 * was chosen here. */
#include "app/charset.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

static void tell_others(const char *name)
{
	const char *all = getenv("LC_ALL");

	setenv(all && *all ? "LC_ALL" : "LC_CTYPE", name, 1);
}

void charset_open(void)
{
	static const char *const unicode[] = { "C.UTF-8", "C.utf8", "POSIX.UTF-8", "en_US.UTF-8" };
	const char *given = setlocale(LC_CTYPE, "");

	if (given && strcmp(given, "C") && strcmp(given, "POSIX"))
		return;
	for (size_t i = 0; i < sizeof(unicode) / sizeof(unicode[0]); i++)
		if (setlocale(LC_CTYPE, unicode[i]) && !strcmp(nl_langinfo(CODESET), "UTF-8")) {
			tell_others(unicode[i]);
			return;
		}
	setlocale(LC_CTYPE, "C");
}
