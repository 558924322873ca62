/* skip.h - sets of sub-layers that a model leaves out while it drafts for itself.
 *
 * A sub-layer is the attention or the MLP of a layer.  struct skip is plain data: the set in force,
 * and where the search for a better one stands (strat_self.c searches).
 * Invariant: a set that is searched for leaves out as many sub-layers as any other, and none of the
 * first and the last layer. */
#ifndef S3D_SKIP_H
#define S3D_SKIP_H
#include "kernels/schedule.h"

enum { SKIP_WINDOW = 32, SKIP_TEXT = 4096 };
enum skip_stage { SKIP_WHOLE, SKIP_KNOWN, SKIP_TRIAL };

struct skip_set {
	struct plan plan;
	struct schedule run;            /* what that means for the model */
};

struct skip {
	struct skip_set now;            /* in force */
	const struct model *model;
	struct grouping group;          /* in which layers draft that are not left out */
	struct pruning prune;           /* of their MLPs */
	int n_layers;
	double attn, mlp, rest;         /* bytes of a layer's sub-layers; what every pass reads */
	bool search;                    /* plan may be replaced by a better one */
	bool over;                      /* but not any more */
	uint64_t rng;
	long tries, dry;                /* in all; since the last that was better */
	/* The last tokens of an answer, in cache rows at.., and the whole model's choices behind
	 * each; share: of these that plan makes too, -1: unknown; seconds spent on them. */
	int at, n, tok[SKIP_WINDOW], want[SKIP_WINDOW];
	double share, seconds;
	/* What runs over them now, so many rows of it already. */
	enum skip_stage stage;
	struct skip_set trial;
	int done, same;
};
/* The set becomes what a plan asks for. */
void skip_use(const struct skip *, struct skip_set *, const struct plan *);

/* spec: LO:HI, layers LO..HI-1; or a list as a3,m3,a7; or "auto" (NULL too): to be searched.  -1:
 * it is none of these, or the model has no such layer. */
int skip_open(struct skip *, const char *spec, const struct model *, char err[ERR_MAX]);
/* The same without a model: whether a model of n_layers could take it.  plan may be NULL. */
int skip_parse(const char *spec, int n_layers, struct plan *, char err[ERR_MAX]);
int skip_count(const struct plan *, int n_layers);      /* sub-layers left out */
/* As a list that skip_parse takes, "0:0" for an empty one; returns text. */
const char *skip_text(const struct plan *, int n_layers, char text[SKIP_TEXT]);
/* The next set to try: the best with some sub-layers exchanged, now and then another altogether. */
void skip_next(struct skip *);
/* What drafting with a set brings, in tokens for the time of one without: if drafts hold with
 * chance `share`, at the length that pays best. */
double skip_gain(const struct skip *, const struct plan *, double share);
#endif
