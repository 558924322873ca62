/* graph.cu - passes that were recorded once and are replayed.
 *
 * A pass is known by its rows, outputs, schedule, cache and pieces of context; tokens and position
 * are in device memory.  struct dev owns the list.
 * Invariant: a graph is kept only if it was recorded whole, and goes before its cache does, or the
 * bridge. */
#include "kernels/cuda/dev_api.cuh"

enum { GRAPHS_MAX = 256 };

struct key {
	const struct kv *kv;
	int n, n_out, n_best, pieces;
	bool chained;
	uint64_t schedule;      /* its id */
};

struct graph {
	int n;
	struct {
		struct key key;
		cudaGraphExec_t exec;
		size_t nodes;
	} all[GRAPHS_MAX];
};

static struct key key_of(const struct step *s)
{
	struct key k;

	memset(&k, 0, sizeof(k));       /* keys are compared as bytes */
	k.kv = s->kv;
	k.n = s->n;
	k.n_out = s->n_out;
	k.n_best = s->n_best;
	k.pieces = s->pieces;
	k.chained = s->chained;
	k.schedule = s->run->id;
	return k;
}

/* Queues nothing: what `record` would queue goes into a graph. */
static int capture(const struct step *s, int (*record)(const struct step *), cudaGraphExec_t *exec,
		   size_t *nodes)
{
	struct dev *d = s->d;
	cudaGraph_t graph = NULL;
	cudaError_t ended;
	int rc;

	if (dev_check(d, cudaStreamBeginCapture(d->stream, cudaStreamCaptureModeThreadLocal),
		      "recording a pass") != 0)
		return -1;
	rc = record(s);
	ended = cudaStreamEndCapture(d->stream, &graph);
	if (rc == 0)
		rc = dev_check(d, ended, "recording a pass");
	if (rc == 0)
		rc = dev_check(d, cudaGraphGetNodes(graph, NULL, nodes), "recording a pass");
	if (rc == 0)
		rc = dev_check(d, cudaGraphInstantiate(exec, graph, 0), "preparing a pass");
	if (graph)
		cudaGraphDestroy(graph);
	return rc;
}

int graphs_open(struct dev *d, char err[ERR_MAX])
{
	d->graphs = (struct graph *)mem_new(1, sizeof(*d->graphs), err);
	return d->graphs ? 0 : -1;
}

void graphs_close(struct dev *d)
{
	graphs_drop(d, NULL);
	mem_free(d->graphs);
	d->graphs = NULL;
}

int graph_run(const struct step *s, int (*record)(const struct step *))
{
	struct dev *d = s->d;
	struct key key = key_of(s);
	int i = 0;

	while (i < d->graphs->n && memcmp(&d->graphs->all[i].key, &key, sizeof(key)))
		i++;
	if (i == d->graphs->n) {
		if (i == GRAPHS_MAX)
			graphs_drop(d, NULL);
		i = d->graphs->n;
		if (capture(s, record, &d->graphs->all[i].exec, &d->graphs->all[i].nodes) != 0)
			return -1;
		d->counts.recorded++;
		d->graphs->all[i].key = key;
		d->graphs->n++;
	}
	d->counts.replays++;
	d->counts.launches += (long)d->graphs->all[i].nodes;
	return dev_check(d, cudaGraphLaunch(d->graphs->all[i].exec, d->stream), "starting a pass");
}

void graphs_drop(struct dev *d, const struct kv *kv)
{
	int kept = 0;

	for (int i = 0; d->graphs && i < d->graphs->n; i++)
		if (!kv || d->graphs->all[i].key.kv == kv)
			cudaGraphExecDestroy(d->graphs->all[i].exec);
		else
			d->graphs->all[kept++] = d->graphs->all[i];
	if (d->graphs)
		d->graphs->n = kept;
}
