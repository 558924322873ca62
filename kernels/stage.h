/* stage.h - what the operations of a pass are made of, and which matrices belong where.
 *
 * No state.  From the tables of engine/model/layer.h; a new stage is a row below. */
#ifndef S3D_STAGE_H
#define S3D_STAGE_H
#include "kernels/backend_draft.h"
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
