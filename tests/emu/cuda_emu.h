/* cuda_emu.h - CUDA C++ for g++: kernels and the code that launches them, without a GPU.
 *
 * Include it where nvcc would have cuda_runtime.h.  A launch owns a copy of its arguments, so that
 * a graph can run it again.  Invariant: what compiles here and uses only these names compiles with
 * nvcc and means the same. */
#ifndef EMU_CUDA_EMU_H
#define EMU_CUDA_EMU_H
#include "tests/emu/device.h"
#include "tests/emu/emu.h"
#include "tests/emu/host.h"
#include <tuple>
#include <utility>

/* Something that a stream does: a kernel, a copy, a product of matrices. */
struct emu_work {
	virtual ~emu_work() {}
	virtual void run() = 0;
};

struct emu_kernel : emu_work {
	const char *name;
	const void *entry;
	dim3 grid, block;
	size_t shared;

	void run() override;            /* fibers.cpp */
	virtual void thread() = 0;      /* what one thread does */
};

template <class... P> struct emu_bound : emu_kernel {
	void (*f)(P...);
	std::tuple<P...> args;

	template <class... A> explicit emu_bound(void (*fn)(P...), A &&...a)
		: f(fn), args(std::forward<A>(a)...) {}
	EMU_DEVICE void thread() override { std::apply(f, args); }
};

void emu_launch_work(struct emu_kernel *, cudaStream_t);        /* takes it over */

template <class... P, class... A>
static inline void emu_launch(const char *name, void (*f)(P...), dim3 grid, dim3 block,
			      size_t shared, cudaStream_t stream, A &&...a)
{
	static_assert(sizeof...(P) == sizeof...(A), "as many arguments as the kernel takes");
	struct emu_kernel *k = new emu_bound<P...>(f, std::forward<A>(a)...);

	k->name = name;
	k->entry = (const void *)f;
	k->grid = grid;
	k->block = block;
	k->shared = shared;
	emu_launch_work(k, stream);
}

#define LAUNCH(kernel, grid, block, shared, stream, ...) \
	emu_launch(#kernel, (kernel), (grid), (block), (shared), (stream), ##__VA_ARGS__)
#endif
