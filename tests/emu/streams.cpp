/* streams.cpp - streams, in which order their work runs, what they capture, and graphs.
 *
 * Work runs when it is put into a stream or, lazily, when somebody waits for it, and with it only
 * what CUDA promises to be done before: the stream's earlier work, what an event stands for that it
 * waits for, and between the default stream and those that were made without
 * cudaStreamNonBlocking what came earlier.  A graph and what was made of it share the work.
 * Invariant: a stream in capture runs nothing. */
#include "tests/emu/inside.h"
#include <deque>
#include <thread>

typedef std::vector<std::shared_ptr<emu_work>> work_list;

struct CUgraph_st { work_list work; };
struct CUgraphExec_st { work_list work; };

struct CUstream_st {
	bool blocking;                  /* keeps its place among the default stream's work */
	bool capturing, broken;
	enum cudaStreamCaptureMode mode;
	std::thread::id thread;         /* which began to capture */
	struct CUgraph_st *graph;       /* what it has captured so far */
};

static std::set<cudaStream_t> streams;
static std::set<cudaGraph_t> graphs;
static std::set<cudaGraphExec_t> execs;

struct queued {
	cudaStream_t stream;
	std::shared_ptr<emu_work> work;
	long number;            /* from 1, as they came */
	long behind;            /* that of an event which comes before; 0: of none */
};
static std::deque<struct queued> queue;
static long n_submitted;

bool emu_is_stream(cudaStream_t s) { return !s || known(streams, s); }

long emu_submitted(void) { return n_submitted; }
bool emu_captures(cudaStream_t s) { return s && known(streams, s) && s->capturing; }
bool emu_broken(cudaStream_t s) { return emu_captures(s) && s->broken; }

bool emu_pending(long number)
{
	for (const struct queued &q : queue)
		if (q.number == number)
			return true;
	return false;
}

/* What has to be done before something else: see the head of the file. */
struct before {
	std::set<cudaStream_t> of;
	std::set<long> events;

	bool has(const struct queued &q) const
	{
		if (of.count(q.stream) || events.count(q.number))
			return true;
		for (cudaStream_t s : of)
			if (q.stream ? !s && q.stream->blocking : s->blocking)
				return true;
		return false;
	}
	void add(const struct queued &q)
	{
		of.insert(q.stream);
		if (q.behind)
			events.insert(q.behind);
	}
};

/* Runs the work of that number, if it has not run. */
void emu_run_through(long number)
{
	std::deque<struct queued> run, rest;
	struct before need;

	for (; !queue.empty(); queue.pop_back()) {
		struct queued &q = queue.back();
		bool now = q.number == number || need.has(q);

		if (now)
			need.add(q);
		(now ? run : rest).push_front(q);
	}
	queue.swap(rest);
	for (struct queued &q : run)
		if (!emu.lost)
			q.work->run();
}

void emu_finish(void)
{
	std::deque<struct queued> all;

	all.swap(queue);
	for (struct queued &q : all)
		if (!emu.lost)
			q.work->run();
}

/* The number of the last work that waiting for a stream waits for; 0: it has none. */
static long last_of(cudaStream_t s)
{
	for (size_t i = queue.size(); i-- > 0;)
		if (queue[i].stream == s || (!s && queue[i].stream->blocking))
			return queue[i].number;
	return 0;
}

void emu_wait_stream(cudaStream_t s)
{
	emu_run_through(last_of(s));
}

static cudaError_t submit(std::shared_ptr<emu_work> w, cudaStream_t s, bool late, long behind = 0)
{
	if (!emu_is_stream(s))
		return cudaErrorInvalidResourceHandle;
	if (s && s->capturing) {
		if (s->broken)
			return cudaErrorStreamCaptureInvalidated;
		s->graph->work.push_back(w);
		return cudaSuccess;
	}
	queue.push_back({ s, w, ++n_submitted, behind });
	if (!late)
		emu_run_through(n_submitted);
	return cudaSuccess;
}

cudaError_t emu_submit(std::shared_ptr<emu_work> w, cudaStream_t s)
{
	return submit(w, s, emu.set.lazy);
}

cudaError_t emu_submit_late(std::shared_ptr<emu_work> w)
{
	return submit(w, nullptr, true);
}

cudaError_t emu_submit_behind(std::shared_ptr<emu_work> w, cudaStream_t s, long behind)
{
	return submit(w, s, emu.set.lazy, behind);
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

		if (!e && !emu_captures(s))
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
		(*s)->blocking = flags == cudaStreamDefault;
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
		emu_wait_stream(s);
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
	if (!emu_is_stream(s))
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
		emu_wait_stream(s);
		return emu.lost;
	});
}

/* Says "not ready" once for what was put off, and then does it. */
cudaError_t cudaStreamQuery(cudaStream_t s)
{
	return emu_call("cudaStreamQuery", CALL_PLAIN, [=] {
		cudaError_t e = check_waiting(s);
		bool ready = e || !last_of(s);

		if (e)
			return e;
		emu_wait_stream(s);
		return emu.lost ? emu.lost : ready ? cudaSuccess : cudaErrorNotReady;
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
		if (!emu_is_stream(s))
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
