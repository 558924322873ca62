/* fibers.h - a stack and how to go from one to another.
 *
 * A fiber owns its stack for the life of the process; the first one to switch runs on the stack of
 * its thread.  Invariant: a fiber that is switched to was opened, or has switched away. */
#ifndef EMU_FIBERS_H
#define EMU_FIBERS_H
#include <cstddef>
#if !defined(__x86_64__) || defined(EMU_UCONTEXT)
#include <ucontext.h>
#endif

struct emu_fiber {
#if defined(__x86_64__) && !defined(EMU_UCONTEXT)
	void *sp;
#else
	ucontext_t context;
#endif
	char *stack;
	/* for the address sanitizer */
	void *fake;
	const void *bottom;
	size_t size;
};

void emu_fiber_open(struct emu_fiber *, int number);    /* once; later calls do nothing */
void emu_fiber_switch(struct emu_fiber *from, struct emu_fiber *to);
extern "C" void emu_fiber_main(void);                   /* what a new one runs; never returns */

/* Bytes of all ones into every __shared__ variable of the program. */
void emu_fill_static_shared(void);
#endif
