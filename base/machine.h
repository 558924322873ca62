/* machine.h - how many processors, and how much memory, this process may use.
 *
 * No state.  Invariant: the narrowest limit counts, of the system, of the mask of processors and of
 * all control groups that the process is in. */
#ifndef S3D_MACHINE_H
#define S3D_MACHINE_H
#include <stdbool.h>
#include <stddef.h>

int machine_cores(void);
/* Those that the quotas of control groups pay for, rounded up; 0: no limit.  groups, root: as
 * cgroup.h has them. */
int machine_quota(const char *groups, const char *root);

/* What this process may still take, in bytes: what the system has free (or can free), or what the
 * narrowest of the control groups that it is in has left. */
struct machine_memory {
	size_t free;            /* SIZE_MAX: unknown */
	bool group;             /* a control group says so */
	size_t swap;            /* free beside it; weights that are swapped are of no use */
};
/* proc, root: folders like /proc and /sys/fs/cgroup. */
struct machine_memory machine_memory_at(const char *proc, const char *root);
struct machine_memory machine_memory(void);
size_t machine_free(void);      /* machine_memory().free */
/* Bytes of memory that this process takes now; 0: unknown. */
size_t machine_taken(void);
#endif
