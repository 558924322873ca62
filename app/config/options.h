/* options.h - every option and setting of the program, each written once.
 *
 * From this table come struct options, the parser, --help, /set and the manual's tables.
 * Defaults are text and go through the same parser as the user's values, so the help cannot
 * disagree with the program.  Strings in struct options point into argv or into this table.
 *
 * A name may stand twice where no command takes both rows; the first is the one of chats.
 * A row: kind, field, long name, short name, other long names (space separated), value (for a
 * CHOICE the words it takes; FLOAT: X|WORD takes a word too, as -infinity), default, least,
 * greatest, where, group, help text. */
#ifndef S3D_APP_OPTIONS_H
#define S3D_APP_OPTIONS_H
#include "engine/frame/template_names.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mode { MODE_CHAT, MODE_EVAL, MODE_TOKENIZE, MODE_BENCH, MODE_CALIBRATE,
	MODE_QUANTIZE, MODE_N };
enum option_where {
	IN_CHAT = 1 << MODE_CHAT, IN_EVAL = 1 << MODE_EVAL, IN_TOKENIZE = 1 << MODE_TOKENIZE,
	IN_BENCH = 1 << MODE_BENCH, IN_CALIBRATE = 1 << MODE_CALIBRATE,
	IN_QUANTIZE = 1 << MODE_QUANTIZE, IN_ALL = (1 << MODE_N) - 1,
	IN_MODEL = IN_ALL & ~IN_QUANTIZE,       /* whatever takes a model behind -m */
	IN_RUN = IN_CHAT | IN_EVAL | IN_BENCH | IN_CALIBRATE,   /* whatever runs the model */
	LIVE = 1 << MODE_N,                     /* /set may change it during a chat */
	OF_MODEL = 1 << (MODE_N + 1),   /* LIVE, but the model's: no saved chat holds it */
};
enum option_kind { OPT_BOOL, OPT_INT, OPT_LONG, OPT_FLOAT, OPT_TEXT, OPT_FILE, OPT_CHOICE };
enum option_group { GROUP_MODEL, GROUP_ANSWER, GROUP_SAMPLING, GROUP_STRATEGY, GROUP_COMMANDS,
	GROUP_GENERAL, GROUP_N };
#define OPTION_GROUPS { "Model", "Prompt and answer", "Sampling", "Strategy", \
	"For one command only", "General" }

#define OPTIONS(_) \
_(FILE, model, "model", "m", "", "FILE", "", 0, 0, IN_MODEL, MODEL, \
	"GGUF model file, or any part of a split one (default: the one that ./start fetched)") \
_(FILE, model_draft, "model-draft", "md", "spec-draft-model", "FILE|none", "", 0, 0, \
	IN_CHAT | IN_BENCH, MODEL, "little model with the same vocabulary, which drafts " \
	"(default: NAME.little.gguf of the model NAME, if there is one)") \
_(FILE, sidecar, "sidecar", "", "", "FILE|none", "", 0, 0, IN_CHAT | IN_BENCH, MODEL, \
	"what lets the model draft for itself: see calibrate (default: MODEL.s3d.gguf of the " \
	"model MODEL.gguf, if there is one)") \
_(INT, ctx, "ctx-size", "c", "", "N", "0", 0, 1 << 20, IN_CHAT | IN_EVAL | IN_BENCH, MODEL, \
	"context size in tokens; 0: the model's own, at most 4096 (eval: 512)") \
_(INT, threads, "threads", "t", "", "N", "0", 0, 1024, IN_RUN | IN_QUANTIZE, MODEL, \
	"threads, at most as many as there are processors for the process; 0: that many") \
_(CHOICE, cache_type_k, "cache-type-k", "ctk", "", "f16|q8_0", "f16", 0, 0, IN_RUN, MODEL, \
	"how the cache holds keys: q8_0 takes about half the memory, and rounds them") \
_(CHOICE, cache_type_v, "cache-type-v", "ctv", "", "f16|q8_0", "f16", 0, 0, IN_RUN, MODEL, \
	"how the cache holds values, which suffer less from it") \
_(CHOICE, backend, "backend", "", "", "auto|cpu|cuda", "auto", 0, 0, IN_RUN, MODEL, \
	"what does the arithmetic; auto: cuda (an NVIDIA GPU) where that works, else cpu") \
_(INT, gpu_layers, "gpu-layers", "ngl", "n-gpu-layers", "N", "-1", -1, 1 << 20, IN_RUN, MODEL, \
	"cuda: layers whose weights the GPU's memory holds; the others stay in host memory, see " \
	"--host-layers; -1: all that fit, 0: none") \
_(CHOICE, host_layers, "host-layers", "", "", "bus|cpu|auto", "bus", 0, 0, IN_RUN, MODEL, \
	"cuda: what becomes of layers that the GPU's memory does not hold: bus: the GPU computes " \
	"them and reads them from host memory, the last ones; cpu: the CPU computes them, the " \
	"first ones, or some of each group (--cqil); auto: who reads them faster, which is " \
	"measured once") \
_(INT, vram, "vram", "", "", "MiB", "0", 0, 1 << 24, IN_RUN, MODEL, \
	"cuda: memory of the GPU that the models may take; 0: what is free, less a margin") \
_(BOOL, force, "force", "", "", "", "", 0, 0, IN_RUN, MODEL, \
	"load a model that does not fit into the memory that is free: the system may swap, " \
	"become very slow, or end this program or others") \
_(CHOICE, kernels, "kernels", "", "", "auto|float|generic|avx2|avxvnni|avx512|amx|neon", "auto", \
	0, 0, IN_RUN, MODEL, "dot products of the cpu backend, which this chooses too; auto: " \
	"the fastest that processor and system allow; float: slow and exact, for reference") \
_(TEXT, chat_template, "chat-template", "", "", "NAME", "", 0, 0, \
	IN_CHAT | IN_BENCH | IN_CALIBRATE | LIVE | OF_MODEL, MODEL, \
	"chat frame by name, instead of guessing it from the model file: " TEMPLATE_NAMES) \
_(TEXT, prompt, "prompt", "p", "", "TEXT", "", 0, 0, IN_CHAT, ANSWER, \
	"answer TEXT on standard output and leave") \
_(FILE, file, "file", "f", "", "FILE", "", 0, 0, IN_CHAT, ANSWER, \
	"the same with the contents of FILE (after the text of -p), as with those of a pipe") \
_(TEXT, system, "system-prompt", "sys", "", "TEXT", "default", 0, 0, IN_CHAT, ANSWER, \
	"system prompt; none or '': without, default: the model file's own, if any") \
_(INT, predict, "predict", "n", "n-predict", "N", "-1", -1, 1 << 20, IN_CHAT | LIVE, ANSWER, \
	"longest answer in tokens; -1: until it is done") \
_(BOOL, single_turn, "single-turn", "st", "", "", "", 0, 0, IN_CHAT, ANSWER, \
	"line chat: leave after the first answer") \
_(BOOL, json, "json", "", "", "", "", 0, 0, IN_CHAT, ANSWER, \
	"with -p, -f or a pipe: one JSON object with the answer and every number") \
_(BOOL, resume, "resume", "", "", "", "", 0, 0, IN_CHAT, ANSWER, \
	"go on with the chat that was saved last") \
_(TEXT, session, "session", "", "", "ID", "", 0, 0, IN_CHAT, ANSWER, \
	"go on with a saved chat: its ID, how it begins, or its number in /sessions") \
_(BOOL, no_save, "no-save", "", "", "", "", 0, 0, IN_CHAT, ANSWER, \
	"do not save the chat after every turn") \
_(FLOAT, temp, "temp", "", "temperature", "X", "0.8", 0, 100, IN_CHAT | LIVE, SAMPLING, \
	"temperature; 0: always the likeliest token") \
_(INT, top_k, "top-k", "", "", "N", "40", 0, 1 << 24, IN_CHAT | LIVE, SAMPLING, \
	"choose among the N likeliest tokens; 0: all") \
_(FLOAT, top_p, "top-p", "", "", "X", "0.95", 0, 1, IN_CHAT | LIVE, SAMPLING, \
	"choose among the likeliest that make up X; 1: all") \
_(FLOAT, min_p, "min-p", "", "", "X", "0.05", 0, 1, IN_CHAT | LIVE, SAMPLING, \
	"leave out what is less likely than X times the likeliest; 0: nothing") \
_(FLOAT, repeat_penalty, "repeat-penalty", "", "", "X", "1.0", 0.01, 100, IN_CHAT | LIVE, \
	SAMPLING, "makes repeated tokens less likely, but what ends an answer; 1: off") \
_(INT, repeat_last_n, "repeat-last-n", "", "", "N", "64", -1, 1 << 20, IN_CHAT | LIVE, SAMPLING, \
	"tokens that the penalties look back on; 0: off, -1: the whole context") \
_(FLOAT, frequency_penalty, "frequency-penalty", "", "", "X", "0.0", -100, 100, IN_CHAT | LIVE, \
	SAMPLING, "taken off for each time that a token occurred; 0: off") \
_(FLOAT, presence_penalty, "presence-penalty", "", "", "X", "0.0", -100, 100, IN_CHAT | LIVE, \
	SAMPLING, "taken off once if a token occurred; 0: off") \
_(LONG, seed, "seed", "s", "", "N", "-1", -1, INT64_MAX, IN_CHAT | IN_BENCH | LIVE, SAMPLING, \
	"the same seed gives the same answer; -1: a new one each time") \
_(TEXT, strategy, "strategy", "", "", "NAME", "", 0, 0, IN_CHAT | IN_BENCH, STRATEGY, \
	"how tokens are found: plain, ngram, draft, bild, s3d, self, auto (default: auto; " \
	"bench: all)") \
_(INT, draft_max, "draft-max", "", "draft draft-n spec-draft-n-max", "N", "16", 0, 16, \
	IN_CHAT | IN_BENCH | LIVE, STRATEGY, "tokens drafted in one round at most") \
_(INT, draft_min, "draft-min", "", "draft-n-min spec-draft-n-min", "N", "0", 0, 16, \
	IN_CHAT | IN_BENCH | LIVE, STRATEGY, "drafts shorter than this are not tried") \
_(FLOAT, draft_p_min, "draft-p-min", "", "spec-draft-p-min", "X|auto", "auto", 0, 1, \
	IN_CHAT | IN_BENCH | LIVE, STRATEGY, "the little model stops below this probability; " \
	"auto: where one more draft does not pay") \
_(FLOAT, fallback, "fallback", "", "", "X", "0.6", 0, 1, IN_CHAT | IN_BENCH | LIVE, STRATEGY, \
	"below this probability the little model hands over to the big one") \
_(FLOAT, rollback, "rollback", "", "", "X|exact", "3.0", 0, 100, IN_CHAT | IN_BENCH | LIVE, \
	STRATEGY, "bild keeps a token up to this -log p; exact: only what plain would write") \
_(BOOL, auto_approximate, "auto-approximate", "", "", "", "", 0, 0, \
	IN_CHAT | IN_BENCH | LIVE, STRATEGY, "auto may choose strategies that are not exact") \
_(INT, bild_max, "bild-max", "", "", "N", "10", 0, 16, IN_CHAT | IN_BENCH | LIVE, STRATEGY, \
	"bild: tokens of the little model in a row at most") \
_(CHOICE, bild, "bild", "", "", "improved|paper", "improved", 0, 0, IN_CHAT | IN_BENCH, STRATEGY, \
	"bild's control flow: paper follows the publication to the letter") \
_(TEXT, self_skip, "self-skip", "", "", "LO:HI|SET|auto", "auto", 0, 0, IN_CHAT | IN_BENCH, \
	STRATEGY, "self: drafts leave out layers LO to HI-1, or a set such as a3,m3,a7 " \
	"(attention and MLP of layers from 0); auto: a set that is searched for") \
_(TEXT, cqil, "cqil", "", "", "S:E:P:D|auto|off", "off", 0, 0, \
	IN_CHAT | IN_EVAL | IN_BENCH | LIVE | OF_MODEL, STRATEGY, \
	"layers S to E-1 run in groups of P from one input, with a bypass of D (may be left out: " \
	"0): another model, near to the one asked for; auto: what calibrate --cqil advises " \
	"for a loss of 1 % of perplexity, auto:X: for 0.5, 1, 2 or 5") \
_(TEXT, cqil_draft, "cqil-draft", "", "", "S:E:P:D|auto|off", "", 0, 0, IN_CHAT | IN_BENCH, \
	STRATEGY, \
	"the same in the drafts that the model makes itself (self, s3d), which stay exact " \
	"(default: as in cqil)") \
_(CHOICE, cqil_form, "cqil-form", "", "", "paper|released", "paper", 0, 0, \
	IN_CHAT | IN_EVAL | IN_BENCH, STRATEGY, \
	"cqil: released counts bypassed attention twice, as the authors' code does") \
_(TEXT, dip, "dip", "", "", "RHO|off", "off", 0, 0, \
	IN_CHAT | IN_EVAL | IN_BENCH | LIVE | OF_MODEL, STRATEGY, \
	"MLPs read the part RHO (0 to 1) of their columns, those that a token's own activations " \
	"make count: another model, near to the one asked for (for comparison RHO:even takes " \
	"the same part of all matrices, RHO:hidden leaves out columns of the last only)") \
_(CHOICE, dip_score, "dip-score", "", "", "magnitude|weighted", "magnitude", 0, 0, \
	IN_CHAT | IN_EVAL | IN_BENCH | LIVE | OF_MODEL, STRATEGY, \
	"dip: what counts, an activation or that times the norm of its column") \
_(BOOL, dip_prompt, "dip-prompt", "", "", "", "", 0, 0, \
	IN_CHAT | IN_EVAL | IN_BENCH | LIVE | OF_MODEL, STRATEGY, \
	"dip: for what is read too, not only for what is written (eval: the first half of a " \
	"chunk is read)") \
_(TEXT, dip_ca, "dip-ca", "", "", "GAMMA|off", "off", 0, 0, \
	IN_CHAT | IN_EVAL | IN_BENCH | LIVE | OF_MODEL, STRATEGY, \
	"dip: columns that a cache in fast memory does not hold count GAMMA (0 to 1) times as " \
	"much in what is written (GAMMA:warm: the first tokens come from 1 to GAMMA)") \
_(FLOAT, dip_cache, "dip-cache", "", "", "MiB|auto", "auto", 0.001, 1 << 24, \
	IN_CHAT | IN_EVAL | IN_BENCH | LIVE | OF_MODEL, STRATEGY, \
	"dip-ca: size of that cache; auto: half of the MLPs' columns") \
_(CHOICE, dip_policy, "dip-policy", "", "", "lfu|lru", "lfu", 0, 0, \
	IN_CHAT | IN_EVAL | IN_BENCH | LIVE | OF_MODEL, STRATEGY, \
	"dip-ca: the column leaves the cache that was read least often, or longest ago") \
_(TEXT, dip_draft, "dip-draft", "", "", "RHO|off", "", 0, 0, IN_CHAT | IN_BENCH, STRATEGY, \
	"the same in the drafts that the model makes itself (self, s3d), which stay exact " \
	"(default: as in dip)") \
_(FILE, kl, "kl", "", "", "FILE", "", 0, 0, IN_EVAL, COMMANDS, \
	"compare with float32 logits recorded in FILE") \
_(FILE, record, "record", "", "", "FILE", "", 0, 0, IN_EVAL, COMMANDS, \
	"write the logits of all rows to FILE, for --kl with other models or settings") \
_(INT, chunks, "chunks", "", "", "N", "0", 0, 1 << 20, IN_EVAL | IN_QUANTIZE, COMMANDS, \
	"run the first N chunks of the text only (quantize: of 512 tokens); 0: all") \
_(BOOL, decode, "decode", "", "", "", "", 0, 0, IN_TOKENIZE, COMMANDS, \
	"ids on standard input to text") \
_(BOOL, special, "special", "", "", "", "", 0, 0, IN_TOKENIZE, COMMANDS, \
	"let control tokens through") \
_(BOOL, csv, "csv", "", "", "", "", 0, 0, IN_BENCH, COMMANDS, \
	"comma separated values instead of a table") \
_(INT, reps, "reps", "r", "repetitions", "N", "3", 1, 1000, IN_BENCH, COMMANDS, \
	"repetitions of each measurement") \
_(BOOL, quick, "quick", "", "", "", "", 0, 0, IN_BENCH, COMMANDS, \
	"a third of the prompts, answers of 48 tokens, and one repetition unless -r says more") \
_(BOOL, probes, "probes", "", "", "", "", 0, 0, IN_BENCH, COMMANDS, \
	"only what does not depend on the strategy, for models that do not chat too") \
_(BOOL, strategies, "strategies", "", "", "", "", 0, 0, IN_BENCH, COMMANDS, \
	"only compare strategies; leave out what does not depend on them") \
_(BOOL, bild_grid, "bild-grid", "", "", "", "", 0, 0, IN_BENCH, COMMANDS, \
	"only bild, over a grid of fallback and rollback: speed and quality") \
_(BOOL, dip_sim, "dip-sim", "", "", "", "", 0, 0, IN_BENCH, COMMANDS, \
	"only what caches of columns would spare a slow memory, with --dip") \
_(FLOAT, sim_fast, "sim-fast", "", "", "GB/s", "60", 0.001, 1e6, IN_BENCH, COMMANDS, \
	"dip-sim: the memory that holds the cache, and all that is not in MLPs") \
_(FLOAT, sim_slow, "sim-slow", "", "", "GB/s", "1", 0.001, 1e6, IN_BENCH, COMMANDS, \
	"dip-sim: the memory that has all columns") \
_(BOOL, stages, "stages", "", "", "", "", 0, 0, IN_BENCH, COMMANDS, \
	"also where the time of a pass goes, stage by stage") \
_(FILE, prompts, "prompts", "", "", "PATH", "", 0, 0, IN_BENCH, COMMANDS, \
	"prompts from a folder's *.txt files, or one file (default: those built in)") \
_(BOOL, calibrate_cqil, "cqil", "", "", "", "", 0, 0, IN_CALIBRATE, COMMANDS, \
	"find out which layers can run in groups (see --cqil of a chat) instead of making a " \
	"sidecar, and what that costs; kept in NAME.cqil beside the model NAME.gguf") \
_(FILE, calibrate_text, "text", "", "", "FILE", "", 0, 0, IN_CALIBRATE, COMMANDS, \
	"calibrate with the text of FILE instead of answers that the model writes (--cqil: " \
	"instead of built-in questions)") \
_(FLOAT, minutes, "minutes", "", "", "M", "8", 0.05, 10000, IN_CALIBRATE, COMMANDS, \
	"time for all of it; more text makes better drafts (--cqil: at most 4, unless given)") \
_(FILE, output, "output", "o", "", "FILE", "", 0, 0, IN_CALIBRATE, COMMANDS, \
	"where the result goes (default: NAME.s3d.gguf, or NAME.cqil, beside the model " \
	"NAME.gguf)") \
_(FILE, calib, "calib", "", "", "FILE", "", 0, 0, IN_QUANTIZE, COMMANDS, \
	"run the text of FILE through the model first: errors then count by how large the " \
	"activations are that meet them") \
_(FILE, imatrix, "imatrix", "", "", "FILE", "", 0, 0, IN_QUANTIZE, COMMANDS, \
	"the same from a file that llama-imatrix has written, GGUF or .dat") \
_(BOOL, dry_run, "dry-run", "", "", "", "", 0, 0, IN_QUANTIZE, COMMANDS, \
	"write nothing; show what each tensor would become") \
_(BOOL, progress, "progress", "", "", "", "", 0, 0, IN_CALIBRATE | IN_QUANTIZE, COMMANDS, \
	"progress as lines for programs on standard output") \
_(TEXT, theme, "theme", "", "", "NAME", "", 0, 0, IN_CHAT, GENERAL, \
	"theme of the full screen: default, light, mono, high-contrast, solarized, dusk") \
_(CHOICE, mouse, "mouse", "", "", "on|off", "on", 0, 0, IN_CHAT, GENERAL, \
	"full screen: on: the wheel scrolls, and a click gives the mouse to the terminal, to " \
	"select text, until the next key (Shift mostly does so at any time); off: it is the " \
	"terminal's, which may make Up and Down of the wheel") \
_(INT, escape_time, "escape-time", "", "", "MS", "-1", -1, 10000, IN_CHAT, GENERAL, \
	"milliseconds within which the rest of a key must follow its ESC, else it was the key " \
	"Esc; -1: 50, and 500 over SSH") \
_(BOOL, line, "line", "", "", "", "", 0, 0, IN_CHAT, GENERAL, \
	"line chat, also when standard input is not a terminal") \
_(BOOL, verbose, "verbose", "v", "show-timings", "", "", 0, 0, IN_ALL, GENERAL, \
	"numbers on standard error") \
_(BOOL, version, "version", "", "", "", "", 0, 0, IN_ALL, GENERAL, "show the version") \
_(BOOL, help, "help", "h", "", "", "", 0, 0, IN_ALL, GENERAL, "show this help")

#define OPTION_TYPE_BOOL bool
#define OPTION_TYPE_INT int
#define OPTION_TYPE_LONG int64_t
#define OPTION_TYPE_FLOAT float
#define OPTION_TYPE_TEXT const char *           /* "": not given */
#define OPTION_TYPE_FILE const char *           /* the same; a leading ~ is the home folder */
#define OPTION_TYPE_CHOICE const char *
#define OPTION_FIELD(kind, field, ...) OPTION_TYPE_##kind field;
#define OPTION_ONE(...) + 1
enum { OPTION_N = OPTIONS(OPTION_ONE) };
#undef OPTION_ONE
enum { ARGS_MOST = 3 };
struct options {
	enum mode mode;
	const char *arg[ARGS_MOST];     /* what is no option: eval TEXT, quantize IN OUT TYPE */
	int n_args;
	OPTIONS(OPTION_FIELD)
	bool given[OPTION_N];   /* on the command line, by row of option_rows */
};
#undef OPTION_FIELD

struct option_row {
	enum option_kind kind;
	size_t offset;          /* of the field in struct options */
	const char *name, *brief, *also, *value, *preset;
	double low, high;
	unsigned where;
	enum option_group group;
	const char *help;
};
extern const struct option_row option_rows[];
extern const size_t option_rows_n;
#endif
