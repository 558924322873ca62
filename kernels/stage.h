/* stage.h - what the operations of a pass are made of, and which matrices belong where.
 *
 * No state.  From the tables of engine/model/layer.h; a new stage is a row below, and a place in
 * op_stages. */
#ifndef S3D_STAGE_H
#define S3D_STAGE_H
#include "kernels/backend_draft.h"
#include "kernels/schedule.h"
#ifdef __cplusplus
extern "C" {
#endif

/* What operations are made of: all of a stage must be there before the next begins. */
#define STAGE_TABLE(X) \
	X(STAGE_EMBED, "embedding") \
	X(STAGE_QKV, "QKV") \
	X(STAGE_ATTEND, "attention") \
	X(STAGE_WO, "output") \
	X(STAGE_GATE_UP, "gate+up") \
	X(STAGE_DOWN, "down") \
	X(STAGE_OUTPUT, "logits")
#define X(id, name) id,
enum stage { STAGE_TABLE(X) STAGES };
#undef X

const char *stage_name(enum stage);

/* The stages of an operation. */
struct op_stages {
	enum stage first, last;
};
struct op_stages op_stages(const struct op *);

/* The matrices that a stage multiplies by: n of a layer's, from first on. */
struct stage_mats {
	int first, n;
};
struct stage_mats stage_mats(enum stage);
enum stage adapt_stage(enum adapt);     /* the stage beside whose matrices an adapter stands */

#ifdef __cplusplus
}
#endif
#endif
