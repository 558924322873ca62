/* charset.h - the character set that the program speaks: UTF-8, whatever the locale says.
 *
 * Models, chats and today's terminals know no other.  Only the locale of characters is set; it is
 * the process's, so call this once and before there are threads.
 * Invariant: a locale of the user's that is installed and has letters of its own is left alone. */
#ifndef S3D_APP_CHARSET_H
#define S3D_APP_CHARSET_H

void charset_open(void);
#endif
