/* calibration_kit.h - what calibrations have alike: a tiny model in a folder of its own, what comes
 * of it, notes, and somebody who asks them to stop.
 *
 * Invariant: `begin_in` makes the folder for all tests of a program and `end` removes it. */
#ifndef S3D_CALIBRATION_KIT_H
#define S3D_CALIBRATION_KIT_H
#include "tests/folder_kit.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "build/test-calibration-XXXXXX";
static char model[64], out[64], part[80], notes[4096];
static long asked, stop_at, told;

static inline void on_note(void *ctx, const char *text)
{
	(void)ctx;
	strncat(notes, text, sizeof(notes) - strlen(notes) - 2);
	strcat(notes, "\n");
}

static inline bool stop(void *ctx)
{
	(void)ctx;
	return stop_at && ++asked > stop_at;
}

/* ending: of the file that is made. */
static inline int begin_in(const char *ending)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(model, sizeof(model), "%s/m.gguf", folder);
	snprintf(out, sizeof(out), "%s/m%s", folder, ending);
	snprintf(part, sizeof(part), "%s.part", out);
	return 0;
}

static inline int end(void **state)
{
	(void)state;
	return folder_remove(folder);
}
#endif
