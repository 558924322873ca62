/* rss.c - see rss.h. */
#include "app/rss.h"

#include <stdio.h>
#include <unistd.h>

double rss_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	long pages = -1;

	if (f) {
		if (fscanf(f, "%*s %ld", &pages) != 1)
			pages = -1;
		fclose(f);
	}
	return pages < 0 ? -1 : (double)pages * (double)sysconf(_SC_PAGESIZE);
}
