/* cpu.h - inside the cpu backend: matrices, activations, and the table of kernels of one
 * instruction set.
 *
 * Matrices are cut into units of 16 rows; units are what threads share out.  Activations are held
 * in panels of 8 rows of the batch, block by block, so that a kernel reads them in order.
 * Invariant: what a kernel computes for one activation row depends on nothing but that row: not on
 * n, not on the panel's other rows, not on which thread ran which unit. */
#ifndef S3D_CPU_H
#define S3D_CPU_H
#include "kernels/backend.h"

enum { UNIT = 16, PANEL = 8, BLOCK = 32, CPU_MAX_GROUP = 64 };

/* What a product takes of each row of activations: one row may be prepared in both. */
enum act_format { ACT_FLOATS = 1, ACT_INT8 = 2 };

struct act {            /* n rows of k columns, and quantised to int8 in half blocks of 16 */
	int k;
	int8_t *q;      /* (n/8, k/32, 8, 32) */
	float *d;       /* (n/8, k/32, 2, 8) scales of the halves */
	float *s;       /* (n/8, k/32, 8) sum of the block's values */
	int32_t *h;     /* (n/8, k/32, 2, 8) sums of the halves' codes */
	const float *f; /* (n, ldf) the rows themselves */
	int ldf;
	float *room;    /* where normed rows go */
};

struct mat;
/* y[c*ldy + r] = row r . act row c, for the rows of units u0..u1-1 and c = 0..n-1. */
typedef void mat_mul_fn(const struct mat *, int u0, int u1, const struct act *, int n, float *y,
			int ldy);

struct mat {            /* (rows, cols) */
	enum quant_type type;
	int rows, cols;
	const uint8_t *data;    /* packed units, or the file's own rows */
	size_t unit_bytes;      /* bytes of 16 rows */
	bool packed;
	int slabs;              /* of a group, if it lies by columns; 0: unit by unit */
	enum act_format takes;
	mat_mul_fn *mul;
};

/* Keys or values of one head, or of all heads of all layers one behind the other: f16, or q8_0,
 * which is int8 codes and a scale for every 32 dimensions of a position. */
struct plane {
	void *x;                /* keys (n_ctx/16, pad_dim, 16), values (n_ctx, pad_dim) */
	uint16_t *scale;        /* f16 (n_ctx/16, plane_blocks, 16); NULL: x is f16 */
};
static inline int plane_blocks(int pad_dim)
{
	return (pad_dim + BLOCK - 1) / BLOCK;
}

struct attend {         /* one head group of one layer, see attention.c */
	const float *q;         /* (rows, ldq): the query rows, group heads side by side */
	int ldq, pos;           /* row i sits at position pos+i */
	int group, head_dim, pad_dim;   /* heads that share this K and V; pad_dim: up to 16s */
	struct plane k, v;
	float scale, cap;       /* of scores; cap 0: none */
	int window;             /* positions that a query sees, 0: all */
	int shift;              /* where position p lies: in row p + shift of its plane */
};
/* Positions folded at once; query rows in one work item; largest pad_dim. */
enum { ATTEND_BLOCK = 128, ATTEND_ROWS = 8, ATTEND_MAX_DIM = 256 };
/* A partial softmax: largest score, sum of exp(score - largest), weighted sum of V rows. */
struct partial {
	float max, sum;
	float *acc;             /* (pad_dim) */
};

struct cpu_kernels {
	const char *name;
	mat_mul_fn *(*packed)(enum quant_type);         /* NULL: no packed kernel for this type */
	mat_mul_fn *(*columns)(enum quant_type);        /* the same bits; likewise NULL */
	mat_mul_fn *floats;                             /* any type, in the file's layout */
	void (*quantise)(const struct act *, int row, int b0, int b1);
	void (*norm)(const float *x, const float *w, int n, float eps, float *y);       /* any n */
	void (*add)(float *x, const float *y, float scale, int n);      /* x += scale * y; any n */
	/* gate = f(gate) * up; n a multiple of 16. */
	void (*glu)(enum activation, float *gate, const float *up, int n);
	/* x = scale * x, then cap * tanh(x / cap) unless cap is 0.  Any n. */
	void (*bend)(float *x, float scale, float cap, int n);
	void (*halves)(const float *x, uint16_t *y, int n);     /* to f16, nearest even; n in 8s */
	/* To q8_0: n (a multiple of 32) codes and n/32 f16 scales. */
	void (*codes)(const float *x, int n, int8_t *code, uint16_t *scale);
	void (*peaks)(const float *x, int n, float *y); /* y[i]: largest of x[16i..], never NaN */
	uint64_t (*read)(const void *p, size_t bytes);          /* touches every byte; for bench */
	/* Folds positions t0..t1-1 (t0 a multiple of ATTEND_BLOCK, at most that many) into part[i];
	 * query i is row row0 + i / group, head i % group of the group. */
	void (*attend)(const struct attend *, int row0, int rows, int t0, int t1,
		       struct partial *part);
	/* out = part[0..n-1] folded in order (into part[0]), divided by the sum. */
	void (*fold)(struct partial *part, int n, int pad_dim, float *out, int head_dim);
};
extern const struct cpu_kernels cpu_kernels_generic, cpu_kernels_avx2, cpu_kernels_avxvnni,
	cpu_kernels_avx512, cpu_kernels_amx, cpu_kernels_neon;

/* pack.c: 16 rows interleaved, 32 columns at a time. */
bool pack_can(enum quant_type);
size_t pack_unit_bytes(enum quant_type, int cols);
/* Packs unit u of a matrix of rows x cols at src (file layout) into dst. Missing rows are zero. */
void pack_unit(enum quant_type, const uint8_t *src, int rows, int cols, int u, uint8_t *dst);

/* columns.c: a matrix by columns, in groups of so many slabs of 128 rows or fewer.  What a column
 * has in a group is read in one piece, and has to be long for that to be fast. */
enum { COLUMN_SLABS = 32 };
bool columns_can(enum quant_type);
size_t columns_bytes(enum quant_type, int rows, int cols);
/* Packs slab s of a matrix of rows x cols at src (file layout) into the whole of it at data. */
void columns_pack(enum quant_type, const uint8_t *src, int rows, int cols, int slabs, int s,
		  uint8_t *data);

/* amx.c */
const char *amx_refused(void);  /* why AMX is not for this process; NULL: it may be used */
bool amx_try(void);             /* one product by the tile instructions; false: trapped or wrong */

/* cpuinfo.c */
const struct cpu_kernels *cpu_kernels_find(const char *name, char err[ERR_MAX]);
#endif
