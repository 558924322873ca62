/* streams.cpp - streams, what they capture, graphs and events.
 *
 * Work runs when it is put into a stream or, lazily, when somebody waits; all streams share one
 * queue.  A graph and what was made of it share the work.
 * Invariant: a stream in capture runs nothing. */
#include "tests/emu/inside.h"
#include <deque>
#include <set>
#include <thread>
#include <time.h>

typedef std::vector<std::shared_ptr<emu_work>> work_list;

struct CUgraph_st { work_list work; };
struct CUgraphExec_st { work_list work; };

struct CUstream_st {
	bool capturing, broken;
	enum cudaStreamCaptureMode mode;
	std::thread::id thread;         /* which began to capture */
	struct CUgraph_st *graph;       /* what it has captured so far */
};

struct CUevent_st {
	bool timed, recorded, captured;
	long at;                        /* number of the last work before it */
	struct timespec when;
};

static std::set<cudaStream_t> streams;
static std::set<cudaEvent_t> events;
static std::set<cudaGraph_t> graphs;
static std::set<cudaGraphExec_t> execs;

struct queued {
	cudaStream_t stream;
	std::shared_ptr<emu_work> work;
};
static std::deque<struct queued> queue;
static long n_run;                      /* works of the queue that have run so far */

template <class T> static inline bool known(const std::set<T> &all, T one)
{
	return all.count(one);
}

static bool is_stream(cudaStream_t s) { return !s || known(streams, s); }

static void run_until(long number)
{
	while (n_run < number && !queue.empty()) {
		std::shared_ptr<emu_work> w = queue.front().work;

		queue.pop_front();
		n_run++;
		if (!emu.lost)
			w->run();
	}
}

static long n_submitted(void) { return n_run + (long)queue.size(); }
void emu_finish(void) { run_until(n_submitted()); }

/* The number of the last work of a stream, or what has run. */
static long last_of(cudaStream_t s)
{
	for (size_t i = queue.size(); i-- > 0;)
		if (queue[i].stream == s || !s)
			return n_run + (long)i + 1;
	return n_run;
}

cudaError_t emu_submit(std::shared_ptr<emu_work> w, cudaStream_t s)
{
	if (!is_stream(s))
		return cudaErrorInvalidResourceHandle;
	if (s && s->capturing) {
		if (s->broken)
			return cudaErrorStreamCaptureInvalidated;
		s->graph->work.push_back(w);
		return cudaSuccess;
	}
	queue.push_back({ s, w });
	if (!emu.set.lazy)
		emu_finish();
	return cudaSuccess;
}

/* What a launch may ask for; the rest of the world learns of it by cudaGetLastError. */
static cudaError_t check_launch(const struct emu_kernel *k)
{
	uint64_t threads = (uint64_t)k->block.x * k->block.y * k->block.z;

	if (!emu.set.image)
		return cudaErrorNoKernelImageForDevice;
	if (threads < 1 || threads > 1024 || k->block.z > 64)
		return cudaErrorInvalidConfiguration;
	if (k->grid.x < 1 || k->grid.x > 0x7fffffff || k->grid.y < 1 || k->grid.y > 65535 ||
	    k->grid.z < 1 || k->grid.z > 65535)
		return cudaErrorInvalidConfiguration;
	return emu_shared_fits(k->entry, k->shared) ? cudaSuccess : cudaErrorInvalidValue;
}

void emu_launch_work(struct emu_kernel *kernel, cudaStream_t s)
{
	std::shared_ptr<emu_work> work(kernel);

	emu_call(kernel->name, CALL_PLAIN, [=] {
		cudaError_t e = check_launch(kernel);

		if (!e && !(s && known(streams, s) && s->capturing))
			emu.use.launches++;
		return e ? e : emu_submit(work, s);
	});
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *s, unsigned flags)
{
	return emu_call("cudaStreamCreateWithFlags", CALL_PLAIN, [=] {
		*s = nullptr;
		if (flags > cudaStreamNonBlocking)
			return cudaErrorInvalidValue;
		*s = new CUstream_st();
		streams.insert(*s);
		emu.use.streams++;
		return cudaSuccess;
	});
}

cudaError_t cudaStreamCreate(cudaStream_t *s) { return cudaStreamCreateWithFlags(s, 0); }

static void end_capture(cudaStream_t s)
{
	if (s->capturing && s->mode != cudaStreamCaptureModeRelaxed)
		emu.capturing--;
	s->capturing = false;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
	return emu_call("cudaStreamDestroy", CALL_ALWAYS, [=] {
		if (!known(streams, s))
			return cudaErrorInvalidResourceHandle;
		run_until(last_of(s));
		end_capture(s);
		delete s->graph;
		streams.erase(s);
		delete s;
		emu.use.streams--;
		return cudaSuccess;
	});
}

/* To wait for a stream in capture is an error that ends the capture. */
static cudaError_t check_waiting(cudaStream_t s)
{
	if (!is_stream(s))
		return cudaErrorInvalidResourceHandle;
	if (!s || !s->capturing)
		return cudaSuccess;
	s->broken = true;
	return cudaErrorStreamCaptureUnsupported;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
	return emu_call("cudaStreamSynchronize", CALL_PLAIN, [=] {
		cudaError_t e = check_waiting(s);

		if (e)
			return e;
		emu.use.syncs++;
		run_until(last_of(s));
		return emu.lost;
	});
}

/* Says "not ready" once for what was put off, and then does it. */
cudaError_t cudaStreamQuery(cudaStream_t s)
{
	return emu_call("cudaStreamQuery", CALL_PLAIN, [=] {
		cudaError_t e = check_waiting(s);
		bool ready = last_of(s) == n_run;

		if (e)
			return e;
		run_until(last_of(s));
		return emu.lost ? emu.lost : ready ? cudaSuccess : cudaErrorNotReady;
	});
}

/* All streams share one order, in which what the event stands for comes earlier. */
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t event, unsigned)
{
	return emu_call("cudaStreamWaitEvent", CALL_PLAIN, [=] {
		return is_stream(s) && known(events, event) ? cudaSuccess :
		       cudaErrorInvalidResourceHandle;
	});
}

void emu_break_captures(void)
{
	for (cudaStream_t s : streams)
		if (s->capturing && s->mode != cudaStreamCaptureModeRelaxed)
			s->broken = true;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode mode)
{
	return emu_call("cudaStreamBeginCapture", CALL_PLAIN, [=] {
		if (!s)
			return cudaErrorStreamCaptureUnsupported;
		if (!known(streams, s))
			return cudaErrorInvalidResourceHandle;
		if (s->capturing)
			return cudaErrorInvalidValue;
		s->capturing = true;
		s->broken = false;
		s->mode = mode;
		s->thread = std::this_thread::get_id();
		s->graph = new CUgraph_st();
		emu.capturing += mode != cudaStreamCaptureModeRelaxed;
		return cudaSuccess;
	});
}

static cudaError_t finish_capture(cudaStream_t s, cudaGraph_t *graph)
{
	*graph = nullptr;
	if (!known(streams, s))
		return cudaErrorInvalidResourceHandle;
	if (!s->capturing)
		return cudaErrorInvalidValue;
	if (s->mode != cudaStreamCaptureModeRelaxed && s->thread != std::this_thread::get_id())
		return cudaErrorStreamCaptureWrongThread;
	end_capture(s);
	if (s->broken) {
		delete s->graph;
		s->graph = nullptr;
		return cudaErrorStreamCaptureInvalidated;
	}
	*graph = s->graph;
	s->graph = nullptr;
	graphs.insert(*graph);
	emu.use.graphs++;
	emu.use.captures++;
	return cudaSuccess;
}

/* A capture is over even if the call fails, but then there is no graph. */
cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *graph)
{
	cudaError_t e = emu_call("cudaStreamEndCapture", CALL_ALWAYS, [=] {
		return finish_capture(s, graph);
	});

	if (e && *graph) {
		graphs.erase(*graph);
		delete *graph;
		*graph = nullptr;
		emu.use.graphs--;
	}
	return e;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t s, enum cudaStreamCaptureStatus *status)
{
	return emu_call("cudaStreamIsCapturing", CALL_PLAIN, [=] {
		if (!is_stream(s))
			return cudaErrorInvalidResourceHandle;
		*status = !s || !s->capturing ? cudaStreamCaptureStatusNone :
			  s->broken ? cudaStreamCaptureStatusInvalidated :
			  cudaStreamCaptureStatusActive;
		return cudaSuccess;
	});
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long)
{
	return emu_call("cudaGraphInstantiate", CALL_PLAIN, [=] {
		*exec = nullptr;
		if (!known(graphs, graph))
			return cudaErrorInvalidValue;
		*exec = new CUgraphExec_st{ graph->work };
		execs.insert(*exec);
		emu.use.execs++;
		emu.use.instantiations++;
		return cudaSuccess;
	});
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s)
{
	return emu_call("cudaGraphLaunch", CALL_PLAIN, [=] {
		cudaError_t e = known(execs, exec) ? cudaSuccess : cudaErrorInvalidValue;

		if (!e)
			emu.use.graph_launches++;
		for (size_t i = 0; !e && i < exec->work.size(); i++)
			e = emu_submit(exec->work[i], s);
		return e;
	});
}

/* How many there are; the nodes themselves have no use here. */
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *n)
{
	return emu_call("cudaGraphGetNodes", CALL_PLAIN, [=] {
		if (!known(graphs, graph))
			return cudaErrorInvalidValue;
		if (nodes)
			return cudaErrorNotSupported;
		*n = graph->work.size();
		return cudaSuccess;
	});
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
	return emu_call("cudaGraphDestroy", CALL_ALWAYS, [=] {
		if (!graphs.erase(graph))
			return cudaErrorInvalidValue;
		delete graph;
		emu.use.graphs--;
		return cudaSuccess;
	});
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
	return emu_call("cudaGraphExecDestroy", CALL_ALWAYS, [=] {
		if (!execs.erase(exec))
			return cudaErrorInvalidValue;
		delete exec;
		emu.use.execs--;
		return cudaSuccess;
	});
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags)
{
	return emu_call("cudaEventCreateWithFlags", CALL_PLAIN, [=] {
		*e = new CUevent_st();
		(*e)->timed = !(flags & cudaEventDisableTiming);
		events.insert(*e);
		emu.use.events++;
		return cudaSuccess;
	});
}

cudaError_t cudaEventCreate(cudaEvent_t *e) { return cudaEventCreateWithFlags(e, 0); }

/* Looks at the clock when the stream gets there. */
struct event_work : emu_work {
	cudaEvent_t event;

	explicit event_work(cudaEvent_t e) : event(e) {}
	void run() override
	{
		if (known(events, event))
			clock_gettime(CLOCK_MONOTONIC, &event->when);
	}
};

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t s)
{
	return emu_call("cudaEventRecord", CALL_PLAIN, [=] {
		if (!known(events, event) || !is_stream(s))
			return cudaErrorInvalidResourceHandle;
		event->captured = s && s->capturing;
		if (event->captured)
			return s->broken ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
		event->recorded = true;
		cudaError_t e = emu_submit(std::make_shared<event_work>(event), s);

		event->at = n_submitted();
		return e;
	});
}

static cudaError_t check_event(cudaEvent_t event)
{
	return !known(events, event) ? cudaErrorInvalidResourceHandle :
	       event->captured ? cudaErrorCapturedEvent : cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
	return emu_call("cudaEventQuery", CALL_PLAIN, [=] {
		cudaError_t e = check_event(event);
		bool ready = e || event->at <= n_run;

		if (!ready)
			run_until(event->at);
		return e ? e : emu.lost ? emu.lost : ready ? cudaSuccess : cudaErrorNotReady;
	});
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
	return emu_call("cudaEventSynchronize", CALL_PLAIN, [=] {
		cudaError_t e = check_event(event);

		if (e)
			return e;
		emu.use.syncs++;
		run_until(event->at);
		return emu.lost;
	});
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
	return emu_call("cudaEventElapsedTime", CALL_PLAIN, [=] {
		cudaError_t e = check_event(from) ? check_event(from) : check_event(to);

		if (e)
			return e;
		if (!from->timed || !to->timed || !from->recorded || !to->recorded)
			return cudaErrorInvalidResourceHandle;
		if (from->at > n_run || to->at > n_run)
			return cudaErrorNotReady;
		*ms = (float)((double)(to->when.tv_sec - from->when.tv_sec) * 1e3 +
			      (double)(to->when.tv_nsec - from->when.tv_nsec) * 1e-6);
		return cudaSuccess;
	});
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
	return emu_call("cudaEventDestroy", CALL_ALWAYS, [=] {
		if (!events.erase(event))
			return cudaErrorInvalidResourceHandle;
		delete event;
		emu.use.events--;
		return cudaSuccess;
	});
}
