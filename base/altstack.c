/* altstack.c - see altstack.h. */
#include "base/altstack.h"
#include <signal.h>
#include <stddef.h>

enum { BYTES = 1 << 16 };       /* the registers of AVX-512 and AMX alone are 11 KiB of a frame */

void altstack_use(void)
{
	static _Thread_local char stack[BYTES];
	stack_t mine = { .ss_sp = stack, .ss_size = sizeof(stack) }, has;

	/* A sanitizer has one already, which it takes away itself. */
	if (sigaltstack(NULL, &has) == 0 && has.ss_flags & SS_DISABLE)
		sigaltstack(&mine, NULL);
}
