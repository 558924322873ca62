/* stats.h - how one answer was written: numbers, and what helped.
 *
 * Plain data, which the decode thread records as it writes; it stays with the answer, in memory and
 * in the saved chat.  Invariant: what is changed afterwards changes nothing here. */
#ifndef S3D_APP_STATS_H
#define S3D_APP_STATS_H
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MSG_DRAFTS 16

/* Of one answer; a negative number is unknown. */
struct stats {
	long n_tokens;          /* written */
	long n_prompt;          /* tokens of the prompt that had to be run */
	double rate, rate_now;  /* tokens/s: whole answer, last 2 s */
	double prompt_rate;     /* prompt tokens/s */
	double first_s;         /* from the request to the first token */
	long rounds, drafted, tested, accepted;
	long pos_tested[MSG_DRAFTS], pos_accepted[MSG_DRAFTS];
	double draft_s, verify_s, choose_s;
	long plain_n;           /* steps that tried no draft, their seconds in the big model */
	double plain_s;
	int ctx_used, ctx_size;
	size_t device_used;     /* bytes of the GPU's memory that this process takes; 0: unknown */
	int64_t seed;
	/* All strategies that helped to write it, in the order in which they began ("bild, plain");
	 * "": none yet.  exact: each of them was, with the settings that were in force then. */
	char strategy[64];
	bool exact;
};

#define STATS_NONE_YET (struct stats){ .n_tokens = -1 }

/* A strategy has written something.  true: that is news. */
bool stats_helped(struct stats *, const char *strategy, bool exact);
/* As members of a turn in a saved chat; what is not known is left out, and unknown again when it is
 * read.  Nothing that is read is believed to be fit for more than being shown. */
void stats_put(json_t *, const struct stats *);
struct stats stats_get(const json_t *);
#endif
