/* shown.h - how one answer was written: what the pane of numbers shows, and others tell.
 *
 * Plain data, which the decode thread records as it writes; it stays with the answer, in memory and
 * in the saved chat.  Invariant: what is changed afterwards changes nothing here. */
#ifndef S3D_UI_SHOWN_H
#define S3D_UI_SHOWN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATS_DRAFTS 16

/* Of one answer; a negative number is unknown. */
struct stats {
	long n_tokens;          /* written */
	long n_prompt;          /* tokens of the prompt that had to be run */
	double rate, rate_now;  /* tokens/s: whole answer, last 2 s */
	double prompt_rate;     /* prompt tokens/s */
	double first_s;         /* from the request to the first token */
	long rounds, drafted, tested, accepted;
	long pos_tested[STATS_DRAFTS], pos_accepted[STATS_DRAFTS];
	double draft_s, verify_s, choose_s;
	/* Steps that tried no draft, with the big model's weights still at hand; their seconds in
	 * the big model. */
	long plain_n;
	double plain_s;
	/* MLPs that choose by a cache of columns: those that were read, those of them that were in
	 * it, and bytes of these and of the others.  0: there was none. */
	long columns, cached;
	double fast_bytes, slow_bytes;
	bool slower;            /* than plain, by what the rounds of late took */
	int ctx_used, ctx_size;
	size_t device_used;     /* bytes of the GPU's memory that this process takes; 0: unknown */
	int64_t seed;
	/* All strategies that helped to write it, in the order in which they began ("bild, plain");
	 * "": none yet.  exact: each of them was, with the settings that were in force then. */
	char strategy[64];
	bool exact;
};

#define STATS_NONE_YET (struct stats){ .n_tokens = -1 }
#endif
