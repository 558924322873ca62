/* events.cpp - events: what of a stream is done, and when.
 *
 * An event is a piece of work of its own, with a number, in the stream that recorded it.
 * Invariant: an event that a capture has seen can not be waited for. */
#include "tests/emu/inside.h"
#include <time.h>

struct CUevent_st {
	bool timed, recorded, captured;
	long at;                        /* number of its own work */
	struct timespec when;
};

static std::set<cudaEvent_t> events;

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
		if (!known(events, event) || !emu_is_stream(s))
			return cudaErrorInvalidResourceHandle;
		event->captured = emu_captures(s);
		if (event->captured)
			return emu_broken(s) ? cudaErrorStreamCaptureInvalidated : cudaSuccess;
		event->recorded = true;
		event->at = emu_submitted() + 1;
		return emu_submit(std::make_shared<event_work>(event), s);
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
		bool ready = e || !emu_pending(event->at);

		if (!ready)
			emu_run_through(event->at);
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
		emu_run_through(event->at);
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
		if (emu_pending(from->at) || emu_pending(to->at))
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

struct nothing : emu_work {
	void run() override {}
};

/* What follows in the stream comes behind what the event stands for. */
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t event, unsigned)
{
	return emu_call("cudaStreamWaitEvent", CALL_PLAIN, [=] {
		if (!emu_is_stream(s) || !known(events, event))
			return cudaErrorInvalidResourceHandle;
		if (event->captured || emu_captures(s))
			return cudaSuccess;     /* a graph's work is in the order of its capture */
		return emu_submit_behind(std::make_shared<nothing>(), s, event->at);
	});
}
