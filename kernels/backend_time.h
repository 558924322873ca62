/* backend_time.h - where the time of a device's passes went: what its stages and counts say.
 *
 * No state. */
#ifndef S3D_BACKEND_TIME_H
#define S3D_BACKEND_TIME_H
#include <stddef.h>

/* One stage of the forward passes since the last look, summed over layers. */
struct backend_stage {
	const char *name;
	double seconds;         /* waiting for slower threads included */
	size_t bytes;           /* weights and cache that it had to read, each once a pass */
};
enum { BACKEND_STAGES_MAX = 8 };

/* What a device that records passes and replays them did since the last look.  Of one made of two
 * (split.h) that is the other backend's, whose passes are legs: of the whole passes how many, how
 * often rows were handed over and their bytes, and the time of the cpu's part and of waiting for
 * the other. */
struct backend_counts {
	long passes, replays, recorded;
	long launches;          /* kernels and copies in the passes that were replayed */
	double idle_s;          /* from the end of a pass to the start of the next, summed */
	long handed, crossings;
	size_t handed_bytes;
	double first_s, rest_s;
};
#endif
