/* backend.h - the only door between the engine and the arithmetic: device, cache, batch, forward,
 * memory.  backend_draft.h has what only drafting needs, backend_time.h where the time went,
 * devices/registry.h which backends there are.
 *
 * A backend owns device copies of one model's weights and any number of KV caches.  It knows no
 * text, sampling or strategies.  Prefill, decode, draft and verify are the same call.
 * Invariants: rows >= pos are overwritten and rows >= pos+n never read, so rollback is a smaller
 * pos (but see kv_back); a row's logits do not depend, to the bit, on how many rows ran with it. */
#ifndef S3D_BACKEND_H
#define S3D_BACKEND_H
#include "kernels/spread.h"
#include "engine/gguf/quant.h"
#include "base/util.h"

struct dev;             /* one model resident on one backend */
struct kv;              /* one cache, rows 0..n_ctx-1 */
struct backend_stage;

/* The end of one of several texts that advance together, each in a cache of its own. */
struct lane {
	struct kv *kv;
	int pos;                /* the cache row that is written */
};

/* What may end a pass without logits before it is done. */
struct halt {
	bool (*asked)(void *ctx);       /* by any thread, every few milliseconds */
	void *ctx;
	bool seen;              /* it was: the pass is not done, its rows are as never written */
};

struct batch {
	const int *tok;         /* (n) token ids */
	const float *rows;      /* (n, n_embd) in place of tok, if the pass begins with OP_ENTER */
	int n, pos;             /* cache rows pos..pos+n-1 are written */
	const struct schedule *run;     /* what the pass does, see schedule.h */
	/* Logits wanted for the last n_out rows: 0..n; over a bridge the rows behind it. */
	int n_out;
	/* 0: all.  Else only the n_best largest of a row, and those equal to the last of these:
	 * a group of PEAK logits without one may be missing, whose peak then is -infinity. */
	int n_best;
	/* NULL: one text.  Else (n): row i belongs to lanes[i], all of them different caches of
	 * this device; pos, and the cache that the call names, are not looked at. */
	const struct lane *lanes;
	struct halt *halt;      /* NULL: to the end, as backends may do in any case */
	/* If the backend can wait: forward may return, with a pointer not to be read, before the
	 * pass is done, and what it takes may change; only forward and wait may be called then. */
	bool ahead;
};

struct backend_opt {
	int n_threads;          /* 0: as many as the process may use */
	int n_batch;            /* rows in one forward at most */
	int n_out;              /* rows of logits in one forward at most */
	int n_back;             /* positions that rings of caches go back by, see window.h */
	struct dev *share;      /* a device of the same backend whose threads this one uses too */
	bool shares;            /* for plan: there will be one, whose room it uses too */
	/* What caches hold: F16 (NULL too) or Q8_0. */
	const struct quant_info *cache_k, *cache_v;
	const char *kernels;    /* cpu: "auto", "float", or a set of instructions, see cpuinfo.c */
	/* Bytes that this model may take where the backend computes: its weights, work buffers and
	 * one cache of the n_ctx that plan is told.  0: what is free, less a margin. */
	size_t budget;
	/* Layers whose weights stay in host memory at least (plan may find that more have to; open
	 * is then told so): the last ones, which cuda reads over the bus; with split (split.h)
	 * those that spread says: a cpu device has only these, and no output, a cuda device only
	 * the others. */
	int host_layers;
	bool split;
	struct host_spread spread;
	bool columns;           /* cpu: MLPs begin as with lay */
	void (*progress)(void *ctx, double done);       /* 0..1 while loading, or NULL */
	void *progress_ctx;
	/* NULL, or is shown what each stage left, n rows of width, before the next but one begins.
	 * Layers count from 0; -1: not in a layer. */
	void (*watch)(void *ctx, const char *stage, int layer, const float *rows, int n,
		      int width);
	void *watch_ctx;
};

struct backend_memory {         /* bytes */
	size_t weights, work;   /* where the backend computes */
	size_t host;            /* beside that: host memory, which the device reads or the cpu */
	size_t host_weights;    /* of that those of layers, */
	int host_layers;        /* of so many */
};

struct backend {
	const char *name;       /* "cpu", "cuda" */
	bool own_memory;        /* what it sets aside is not host memory, and plan counts it */
	bool can_be_lost;       /* its device may fail for good: the cpu can go on */
	bool groups;            /* it runs schedules with groups of layers */
	/* And with MLPs that read a part of their columns; which of them by weighted scores too. */
	bool prunes, weighs;
	const struct backend_draft *draft;      /* NULL: it takes no bridges and guesses nothing */
	const struct backend_bus *bus;          /* NULL: it reads no host memory over one */
	const struct backend_columns *columns;  /* NULL: no cache of columns, what prunes or not */
	/* Bytes that a process may still take where this backend computes, SIZE_MAX: unknown; and
	 * those that this process takes there now, 0: unknown. */
	size_t (*free)(void);
	size_t (*used)(void);
	/* What open and one kv_new of n_ctx positions would set aside, the cache not counted, but
	 * weights that stay in the mapped file are.  -1: does not fit, err says what would. */
	int (*plan)(const struct model *, const struct backend_opt *, int n_ctx,
		    struct backend_memory *, char err[ERR_MAX]);
	struct dev *(*open)(const struct model *, const struct backend_opt *, char err[ERR_MAX]);
	void (*close)(struct dev *);
	struct kv *(*kv_new)(struct dev *, int n_ctx, char err[ERR_MAX]);
	void (*kv_free)(struct kv *);
	/* MLPs by columns, of which a pass reads those that it needs, or by rows again, without a
	 * trace in logits; returns how many matrices cannot lie so.  NULL: as they lie. */
	int (*lay)(struct dev *, bool columns);
	size_t (*kv_bytes)(const struct kv *);
	/* The first position, beside 0, that a pass may begin at now: a cache forgets what is far
	 * behind where layers see a window only.  0: any. */
	int (*kv_back)(const struct kv *);
	/* n_out rows of cfg.n_out logits and their peaks (peaks.h) in host memory, valid until
	 * the next call; NULL on failure, and then error() has the text.  n_out == 0 returns a
	 * pointer not to be read; a schedule that ends with OP_LEAVE its n rows of n_embd. */
	const float *(*forward)(struct dev *, struct kv *, const struct batch *);
	/* Until the last pass is done, as each forward does for the one before: what that one would
	 * have returned.  NULL: forward always waits itself. */
	const float *(*wait)(struct dev *);
	const char *(*error)(const struct dev *);
	struct backend_memory (*memory)(const struct dev *);
	const char *(*describe)(const struct dev *);    /* "avx512, 2 threads" */
	double (*stream)(struct dev *, size_t bytes);   /* seconds to read memory, for bench */
	/* Where the time of all passes since the last call went, see backend_time.h; returns how
	 * many stages there are.  The first call only starts the measurement, which costs a clock
	 * per stage. */
	int (*stages)(struct dev *, struct backend_stage *out);
	struct backend_counts (*counts)(struct dev *);  /* NULL: it records nothing */
};
#endif
