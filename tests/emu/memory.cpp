/* memory.cpp - device memory and pinned host memory, and copies between them.
 *
 * Both come from the heap at their exact sizes, so the address sanitizer finds an access outside;
 * new memory is filled with ones, which are NaN.  Invariant: a copy that a real driver would refuse
 * for its pointers is refused. */
#include "tests/emu/inside.h"
#include <cstdlib>
#include <map>

enum place { DEVICE, PINNED, REGISTERED };

struct allocation {
	size_t size, counted;
	enum place place;
};
static std::map<uintptr_t, struct allocation> live;     /* by address */

static const struct allocation *holder(const void *p, size_t n)
{
	auto it = live.upper_bound((uintptr_t)p);

	if (it == live.begin())
		return nullptr;
	--it;
	return (uintptr_t)p - it->first <= it->second.size &&
	       n <= it->second.size - ((uintptr_t)p - it->first) ? &it->second : nullptr;
}

bool emu_is_device(const void *p, size_t n) { return holder(p, n); }

bool emu_is_pinned(const void *p, size_t n)
{
	const struct allocation *a = holder(p, n);

	return a && a->place != DEVICE;
}

/* Ordinary memory is anything that no allocation of the device's overlaps. */
bool emu_is_host(const void *p, size_t n)
{
	auto it = live.lower_bound((uintptr_t)p + (n ? n : 1));

	while (it != live.begin()) {
		--it;
		if (it->first + it->second.size <= (uintptr_t)p)
			return true;
		if (it->second.place == DEVICE)
			return false;
	}
	return true;
}

static void count(const struct allocation *a, int sign)
{
	struct emu_use *u = &emu.use;
	size_t by = sign > 0 ? a->counted : 0 - a->counted;

	if (a->place == DEVICE) {
		u->device += by;
		u->allocations += sign;
		u->device_peak = u->device > u->device_peak ? u->device : u->device_peak;
	} else {
		u->pinned += by;
		u->pinned_allocations += sign;
		u->pinned_peak = u->pinned > u->pinned_peak ? u->pinned : u->pinned_peak;
	}
}

static void add(const void *p, size_t size, size_t counted, enum place place)
{
	struct allocation a = { size, counted, place };

	live[(uintptr_t)p] = a;
	count(&a, 1);
}

static void *take(size_t align, size_t n, size_t counted, enum place place)
{
	void *p;

	if (posix_memalign(&p, align, n))
		return nullptr;
	memset(p, 0xff, n);
	add(p, n, counted, place);
	return p;
}

/* Forgets the allocation that begins at p, and gives its memory back. */
static cudaError_t drop(void *p, bool device, cudaError_t otherwise)
{
	auto it = live.find((uintptr_t)p);

	if (!p)
		return cudaSuccess;
	if (it == live.end() || (it->second.place == DEVICE) != device ||
	    it->second.place == REGISTERED)
		return otherwise;
	count(&it->second, -1);
	live.erase(it);
	free(p);
	return cudaSuccess;
}

void emu_free_all(void)
{
	for (auto it = live.begin(); it != live.end();) {
		if (it->second.place != DEVICE) {
			++it;
			continue;
		}
		count(&it->second, -1);
		free((void *)it->first);
		it = live.erase(it);
	}
}

static size_t free_memory(void)
{
	size_t used = emu.use.device + emu.set.others;

	return used < emu.set.memory ? emu.set.memory - used : 0;
}

cudaError_t cudaMemGetInfo(size_t *free, size_t *total)
{
	return emu_call("cudaMemGetInfo", CALL_PLAIN, [=] {
		*free = free_memory();
		*total = emu.set.memory;
		return cudaSuccess;
	});
}

cudaError_t cudaMalloc(void **p, size_t n)
{
	return emu_call("cudaMalloc", CALL_UNSAFE, [=] {
		size_t counted = (n + 511) & ~(size_t)511;

		emu.use.mallocs++;
		*p = nullptr;
		if (n == 0)
			return cudaSuccess;
		if (counted < n || counted > free_memory())
			return cudaErrorMemoryAllocation;
		*p = take(256, n, counted, DEVICE);
		return *p ? cudaSuccess : cudaErrorMemoryAllocation;
	});
}

cudaError_t cudaFree(void *p)
{
	return emu_call("cudaFree", CALL_UNSAFE | CALL_ALWAYS, [=] {
		emu_finish();
		return drop(p, true, cudaErrorInvalidValue);
	});
}

cudaError_t cudaHostAlloc(void **p, size_t n, unsigned)
{
	return emu_call("cudaHostAlloc", CALL_UNSAFE, [=] {
		*p = nullptr;
		if (n == 0)
			return cudaSuccess;
		*p = take(4096, n, n, PINNED);
		return *p ? cudaSuccess : cudaErrorMemoryAllocation;
	});
}

cudaError_t cudaMallocHost(void **p, size_t n) { return cudaHostAlloc(p, n, 0); }

cudaError_t cudaFreeHost(void *p)
{
	return emu_call("cudaFreeHost", CALL_UNSAFE | CALL_ALWAYS, [=] {
		emu_finish();
		return drop(p, false, cudaErrorInvalidValue);
	});
}

cudaError_t cudaHostGetDevicePointer(void **device, void *host, unsigned flags)
{
	return emu_call("cudaHostGetDevicePointer", CALL_PLAIN, [=] {
		*device = nullptr;
		if (!emu.set.map_host || flags || !emu_is_pinned(host, 1))
			return cudaErrorInvalidValue;
		*device = host;
		return cudaSuccess;
	});
}

cudaError_t cudaHostRegister(void *p, size_t n, unsigned)
{
	return emu_call("cudaHostRegister", CALL_UNSAFE, [=] {
		if (!p || !n)
			return cudaErrorInvalidValue;
		if (holder(p, 1) || holder((char *)p + n - 1, 1))
			return cudaErrorHostMemoryAlreadyRegistered;
		add(p, n, n, REGISTERED);
		return cudaSuccess;
	});
}

cudaError_t cudaHostUnregister(void *p)
{
	return emu_call("cudaHostUnregister", CALL_UNSAFE | CALL_ALWAYS, [=] {
		auto it = live.find((uintptr_t)p);

		emu_finish();
		if (it == live.end() || it->second.place != REGISTERED)
			return cudaErrorHostMemoryNotRegistered;
		count(&it->second, -1);
		live.erase(it);
		return cudaSuccess;
	});
}

static cudaError_t check_copy(const void *to, const void *from, size_t n, enum cudaMemcpyKind kind)
{
	bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
	bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;

	if (kind == cudaMemcpyDefault) {
		to_device = !emu_is_host(to, n);
		from_device = !emu_is_host(from, n);
	}
	if (n && (!to || !from))
		return cudaErrorInvalidValue;
	return (to_device ? emu_is_device(to, n) : emu_is_host(to, n)) &&
	       (from_device ? emu_is_device(from, n) : emu_is_host(from, n)) ?
	       cudaSuccess : cudaErrorInvalidValue;
}

struct copy_work : emu_work {
	void *to;
	const void *from;
	size_t n;
	std::vector<char> staged;       /* a copy of what was there when the call was made */

	copy_work(void *t, const void *f, size_t size) : to(t), from(f), n(size) {}
	void stage()
	{
		staged.assign((const char *)from, (const char *)from + n);
		from = staged.data();
	}
	void run() override
	{
		memmove(to, from, n);
		emu.use.copied += n;
	}
};

struct fill_work : emu_work {
	void *to;
	int value;
	size_t n;

	fill_work(void *t, int v, size_t size) : to(t), value(v), n(size) {}
	void run() override { memset(to, value, n); }
};

/* Memory of the host that is not pinned is read, into room of the driver's, before a call returns
 * (by a graph: when it runs); only then it goes to the device. */
static std::shared_ptr<copy_work> make_copy(void *to, const void *from, size_t n, cudaStream_t s)
{
	auto w = std::make_shared<copy_work>(to, from, n);

	if (!emu_is_device(from, n) && !emu_captures(s))
		w->stage();
	return w;
}

/* Returns before it is done between two places of the device, and where the source was staged. */
cudaError_t cudaMemcpy(void *to, const void *from, size_t n, enum cudaMemcpyKind kind)
{
	return emu_call("cudaMemcpy", CALL_UNSAFE, [=] {
		cudaError_t e = check_copy(to, from, n, kind);
		bool late = !e && emu_is_device(to, n) && !emu_is_pinned(to, n) &&
			    !emu_is_pinned(from, n);

		emu.use.syncs++;
		if (!e && n)
			e = emu_submit_late(make_copy(to, from, n, nullptr));
		if (!late)
			emu_wait_stream(nullptr);
		return e ? e : emu.lost;
	});
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, enum cudaMemcpyKind kind,
			    cudaStream_t s)
{
	return emu_call("cudaMemcpyAsync", CALL_PLAIN, [=] {
		cudaError_t e = check_copy(to, from, n, kind);

		if (!e && n)
			e = emu_submit(make_copy(to, from, n, s), s);
		if (!e && n && !emu_is_device(to, n))   /* not pinned: it is there on return */
			emu_wait_stream(s);
		return e;
	});
}

static cudaError_t check_fill(const void *to, size_t n)
{
	return n && !emu_is_device(to, n) ? cudaErrorInvalidValue : cudaSuccess;
}

/* Returns before it is done, but for memory that is pinned. */
cudaError_t cudaMemset(void *to, int value, size_t n)
{
	return emu_call("cudaMemset", CALL_UNSAFE, [=] {
		cudaError_t e = check_fill(to, n);

		if (e || !n)
			return e;
		e = emu_submit_late(std::make_shared<fill_work>(to, value, n));
		if (emu_is_pinned(to, n))
			emu_wait_stream(nullptr);
		return e;
	});
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t n, cudaStream_t s)
{
	return emu_call("cudaMemsetAsync", CALL_PLAIN, [=] {
		cudaError_t e = check_fill(to, n);

		return e || !n ? e : emu_submit(std::make_shared<fill_work>(to, value, n), s);
	});
}
