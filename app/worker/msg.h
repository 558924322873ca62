/* msg.h - what the two threads say to each other, and the mailboxes.
 *
 * Plain data: nothing of the engine.  A mailbox is emptied by one thread and filled by the
 * other; the one that empties it may also put something in for itself.
 * text and chat in a message belong to whoever received it (msg_free).
 * Invariant: while messages wait, the reading end of wake[] is readable, so poll() sees them. */
#ifndef S3D_APP_MSG_H
#define S3D_APP_MSG_H
#include "app/chat/chat.h"
#include "app/config/options.h"

#include <pthread.h>

enum msg_kind {
	CMD_ANSWER,     /* chat, seed: answer its last turn, or go on with it */
	CMD_SET,        /* options: the LIVE ones hold from the next step on */
	CMD_STRATEGY,   /* text: name */
	CMD_MODEL,      /* text: path of another; MSG_READY, or ERROR_LOAD and the old one's */
	CMD_SIDECAR,    /* text: path of one that is there now; between steps too */
	CMD_QUIT,
	MSG_PLAN,       /* info: memory that loading will take; nothing but that is known yet */
	MSG_LOADING,    /* share */
	MSG_READY,      /* info; text: the model's name; info.again: comes unasked */
	MSG_TEXT,       /* text: bytes of one token, maybe none; token: its id; origin */
	MSG_DROPPED,    /* count: turns at the start that the model no longer sees */
	MSG_STATS,      /* stats */
	MSG_STRATEGY,   /* text: name; exact */
	MSG_EXACT,      /* exact: what a setting has made of the strategy in force */
	MSG_DONE,       /* reason; the stats came before */
	MSG_ERROR,      /* text; error: what it has ended */
	MSG_NOTE,       /* text: something to know; reason: DONE_REFUSED if it says why every
			 * question will be, in the words in which that is told then; else 0 */
	MSG_SIDECAR,    /* info: of the same model, another sidecar or chat frame in use */
	/* text: the setting of that name, still; what was set could not be done */
	MSG_CQIL, MSG_DIP, MSG_DIP_CA, MSG_DIP_SCORE,
	MSG_CALIBRATING,        /* a calibration beside the chat has got on, or ended */
};

enum msg_reason {
	DONE_END, DONE_LIMIT, DONE_STOPPED, DONE_CONTEXT, DONE_ERROR,
	DONE_REFUSED,   /* it was not begun: model and context are as they were */
};
/* Only what concerns the model changes what the other side knows of it: a calibration or a save
 * that fails may come while one is being loaded. */
enum msg_error {
	ERROR_NOTE,     /* what was asked for; the model is as it was */
	ERROR_LOAD,     /* loading another model; the one before is coming back */
	ERROR_GONE,     /* there is no model; CMD_MODEL may give one */
};
enum msg_origin { MSG_PLAIN, MSG_ACCEPTED, MSG_CORRECTED };

enum { MSG_PLAN_TEXT = 320 };    /* MSG_PLAN as one line, see command_plan */

struct model_info {
	bool again;             /* the same model, after a device failed */
	size_t token_weights;   /* bytes of weights that one token needs */
	int ctx_size, ctx_train;
	char arch[32], frame[32], device[96];
	char cqil[48];          /* groups of layers, as the option has it */
	char dip[64];           /* how much of what MLPs read is kept, see pruning_text */
	char no_cuda[256];      /* why cuda does not do the arithmetic; "": it does, or must not */
	double load_s;
	bool calibrates;        /* the backend takes sidecars */
	unsigned lacking;       /* bit i: strategies[i] needs what is not there */
	size_t sidecar;         /* of weights and kv what the sidecar takes */
	size_t weights, draft, kv, work;        /* bytes; 0: none set aside.  draft: all that the
						 * little model has */
	size_t planned, free;   /* bytes of the whole process, of the system; 0: unknown */
	/* The GPU's memory is meant by all of these sizes, and not the process's. */
	bool gpu;
	size_t budget, used;    /* there: what may be taken, what this process takes; 0: unknown */
	int host_layers, n_layers;      /* that are in host memory, of all */
	size_t host_weights;    /* of these, which every pass reads */
	bool by_cpu;            /* the cpu computes them, with so many bytes; else over the bus */
	size_t host;
	char layers[256];       /* which they are, see memory_layers */
	double bus_speed, cpu_speed;    /* bytes a second, by which that was chosen; 0: by order */
	double gpu_speed;       /* of what is in its memory */
	char measured[11];      /* that day */
	/* Of a group of so many layers as many are the cpu's, the seconds of both for theirs and of
	 * handing over, and whether that pays; share 0: there are no groups. */
	int group_size, group_share;
	bool shared;
	double group_cpu, group_gpu, group_cross;
	int apart;              /* groups of which both have layers and that run in parts */
};

struct msg {
	enum msg_kind kind;
	char *text;
	size_t len;
	union {
		struct {
			struct chat *chat;
			int64_t seed;
		};
		struct options options;
		struct stats stats;
		struct model_info info;
		double share;
		struct {
			enum msg_origin origin;
			int token;
		};
		enum msg_reason reason;
		int count;
		enum msg_error error;
		bool exact;
	};
};

struct msgq {
	pthread_mutex_t lock;
	pthread_cond_t filled;
	struct msg *v;
	size_t head, n, cap;
	int wake[2];            /* poll() wake[0]; -1 when there is no pipe */
};

/* pipe: with a wake pipe.  -1 with err set. */
int msgq_init(struct msgq *, bool pipe, char err[ERR_MAX]);
void msgq_free(struct msgq *);                          /* and the messages left in it */
bool msgq_put(struct msgq *, struct msg);               /* takes it over; false: no memory, freed */
bool msgq_put_text(struct msgq *, struct msg, const char *text, size_t len);    /* with a copy */
bool msgq_get(struct msgq *, struct msg *);             /* false: empty */
void msgq_wait(struct msgq *, struct msg *);            /* blocks until there is one */
void msg_free(struct msg *);
#endif
