/* inside.h - what the files of the emulation share: the driver's state and the numbered call.
 *
 * One lock guards everything; a call holds it from start to end, kernels included.  Invariant:
 * every function of the runtime and of a library goes through emu_call, so it has a number. */
#ifndef EMU_INSIDE_H
#define EMU_INSIDE_H
#include "tests/emu/cuda_emu.h"
#include <memory>
#include <mutex>
#include <set>
#include <vector>

struct emu_state {
	std::recursive_mutex lock;
	struct emu_settings set;
	struct emu_use use;
	long calls;             /* made so far */
	long fail_in;           /* the call that fails, from now; 0: none */
	cudaError_t fail_with;
	cudaError_t lost;       /* every call gives it from now on */
	int capturing;          /* streams that are being captured so that cudaMalloc is an error */
};
extern struct emu_state emu;

enum {                  /* what kind of call */
	CALL_PLAIN = 0,
	CALL_ANYWHERE = 1,      /* needs neither device nor driver */
	CALL_UNSAFE = 2,        /* not while a stream is captured */
	CALL_ALWAYS = 4,        /* frees something: does so even if it fails */
	CALL_QUIET = 8,         /* a library's: no error of the runtime's is left behind */
};

/* Numbers a call and says whether it fails before it does anything. */
cudaError_t emu_enter(const char *name, int kind);
cudaError_t emu_note(cudaError_t);              /* remembers an error for cudaGetLastError */
bool emu_shared_fits(const void *kernel, size_t dynamic);

template <class F> static inline cudaError_t emu_call(const char *name, int kind, F f)
{
	std::lock_guard<std::recursive_mutex> hold(emu.lock);
	cudaError_t early = emu_enter(name, kind), late = cudaSuccess;

	if (!early || (kind & CALL_ALWAYS && early != cudaErrorStreamCaptureUnsupported))
		late = f();
	early = early ? early : late;
	return kind & CALL_QUIET ? early : emu_note(early);
}

template <class T> static inline bool known(const std::set<T> &all, T one)
{
	return all.count(one);
}

/* streams.cpp */
cudaError_t emu_submit(std::shared_ptr<emu_work>, cudaStream_t);
/* Of the default stream, what returns before it is done: runs as late as is allowed, also when the
 * device is not lazy. */
cudaError_t emu_submit_late(std::shared_ptr<emu_work>);
/* Behind the work of that number, in whatever stream, too. */
cudaError_t emu_submit_behind(std::shared_ptr<emu_work>, cudaStream_t, long behind);
long emu_submitted(void);               /* the number of the last work; they begin with 1 */
bool emu_pending(long number);          /* it has not run */
void emu_run_through(long number);      /* runs it, and what must come before it */
void emu_wait_stream(cudaStream_t);
bool emu_is_stream(cudaStream_t);
bool emu_captures(cudaStream_t);
bool emu_broken(cudaStream_t);          /* and nothing can come of that any more */
void emu_finish(void);                  /* runs everything that was put off */
void emu_break_captures(void);

/* memory.cpp: whether [p, p + n) may be read or written there. */
bool emu_is_device(const void *p, size_t n);    /* a kernel may: also memory that is pinned */
bool emu_is_host(const void *p, size_t n);
bool emu_is_pinned(const void *p, size_t n);
void emu_free_all(void);

/* stack.cpp: bytes of the __shared__ variables of a kernel itself. */
size_t emu_static_shared(const void *kernel);

[[noreturn]] void emu_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
#endif
