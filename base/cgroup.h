/* cgroup.h - the control groups that limit this process: its own and all above it, in version 2
 * and in version 1, as far as the file system shows them.
 *
 * No state.  `groups` is a file like /proc/self/cgroup, `root` a folder like /sys/fs/cgroup. */
#ifndef S3D_CGROUP_H
#define S3D_CGROUP_H
#include <stdbool.h>
#include <stdint.h>

/* Calls see with the folder of each group that the controller ("cpu", "memory") limits us by. */
void cgroup_walk(const char *groups, const char *root, const char *controller,
		 void (*see)(void *ctx, const char *folder), void *ctx);
/* The first number in a file of the folder, behind the word key if that is not "": false where
 * there is none, as "max" is no number. */
bool cgroup_number(const char *folder, const char *file, const char *key, uint64_t *out);
#endif
