/* rss.h - the memory of this process, from the kernel. */
#ifndef S3D_APP_RSS_H
#define S3D_APP_RSS_H

double rss_bytes(void);         /* resident; -1: not known */
#endif
