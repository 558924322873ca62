/* altstack.h - a second stack for a thread, where a signal handler runs when the first overflows.
 *
 * It belongs to the thread and goes with it.  Invariant: every thread that we start, and the first
 * one, calls altstack_use before anything else; without it an overflow ends the program where it
 * stands, and the terminal is left as it was. */
#ifndef S3D_ALTSTACK_H
#define S3D_ALTSTACK_H

void altstack_use(void);
#endif
