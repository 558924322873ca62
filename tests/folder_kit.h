/* folder_kit.h - removes a test's folder, and all that is in it.  No state. */
#ifndef S3D_TESTS_FOLDER_KIT_H
#define S3D_TESTS_FOLDER_KIT_H
#include <errno.h>
#include <ftw.h>
#include <stdio.h>

static inline int folder_remove_one(const char *path, const struct stat *s, int kind,
				    struct FTW *at)
{
	(void)s, (void)kind, (void)at;
	return remove(path);
}

/* Links are removed, not followed.  0 where there was none; -1: something is still there. */
static inline int folder_remove(const char *path)
{
	return nftw(path, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS) && errno != ENOENT ? -1 : 0;
}
#endif
