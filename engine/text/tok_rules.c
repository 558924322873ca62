/* tok_rules.c - see tok_rules.h. */
#include "engine/text/tok_rules.h"
#include <string.h>

#define PRE "tokenizer.ggml.pre"

/* Inside a class: Unicode's White_Space.  PCRE2's own \s also has U+180E, which is none. */
#define SPACE "\\t-\\r\\x85\\p{Z}"
/* A space stays with the word behind it; of several spaces the last one does. */
#define SPACES "[" SPACE "]+(?![^" SPACE "])|[" SPACE "]+"
#define BREAKS "[" SPACE "]*[\\r\\n]+"
#define GPT2 "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|" SPACES
#define SUFFIX "(?i:'s|'t|'re|'ve|'m|'ll|'d)"

/* Since Llama 3 any sign but a line break may lead a word, numbers are cut to N digits, and line
 * breaks stay with the signs before them.  LETTERS: what a word consists of. */
#define LEAD "[^\\r\\n\\p{L}\\p{N}]?"
#define MODERN(LETTERS, N, BEHIND) SUFFIX "|" LEAD "[" LETTERS "]+|\\p{N}" N \
	"| ?[^" SPACE LETTERS "\\p{N}]+" BEHIND "|" BREAKS "|" SPACES
#define LLAMA3(N) MODERN("\\p{L}", N, "[\\r\\n]*")

/* GPT-4o's also cuts where a small letter is followed by a capital one. */
#define CAPITAL "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define SMALL "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define CASED(SUFFIX, N) LEAD CAPITAL "*" SMALL "+" SUFFIX "|" LEAD CAPITAL "+" SMALL "*" SUFFIX \
	"|\\p{N}" N "| ?[^" SPACE "\\p{L}\\p{N}]+[\\r\\n/]*|" BREAKS "|" SPACES

/* DeepSeek's first models: letters of scripts with two cases, as a list that they had made from
 * Unicode 10 without the ranges excluded here; everything from U+0800 to the end of CJK. */
#define OLD_CASED "(?:(?![\\x{560}\\x{588}\\x{10C7}-\\x{10FF}\\x{1C80}-\\x{1C8F}" \
	"\\x{2D00}-\\x{2D2F}\\x{A78F}-\\x{A7FF}\\x{AB30}-\\x{AB6F}\\x{10570}-\\x{105FF}" \
	"\\x{10D50}-\\x{10DFF}\\x{16E40}-\\x{16EFF}\\x{1D400}-\\x{1D7FF}" \
	"\\x{1DF00}-\\x{1DFFF}])[\\p{Lu}\\p{Ll}\\p{Lt}])++"
#define OLD_SIGNS "[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}" \
	"\\x{3000}-\\x{3002}]+"
#define OLD_CJK "[\\x{800}-\\x{9FA5}\\x{AC00}-\\x{D7FF}]+"
/* Spaces that end a text; looked for only where they begin, since they may be many. */
#define LAST_SPACES "(?<![" SPACE "])[" SPACE "]++\\z"

static const struct rule gpt2 = { .pattern = { GPT2 } };
static const struct rule digits = { .pattern = { "\\p{N}", GPT2 } };
static const struct rule llama3 = { .pattern = { LLAMA3("{1,3}") }, .whole_words = true,
				    .bos = true };
static const struct rule dbrx = { .pattern = { LLAMA3("{1,3}") } };
static const struct rule minicpm = { .pattern = { "\\p{N}{1,3}", LLAMA3("+") },
				     .whole_words = true };
static const struct rule qwen2 = { .pattern = { LLAMA3("") } };
static const struct rule qwen35 = { .pattern = { MODERN("\\p{L}\\p{M}", "", "[\\r\\n]*") } };
static const struct rule seed = { .pattern = { MODERN("\\p{L}", "", "") } };
static const struct rule gpt4o = { .pattern = { CASED(SUFFIX "?", "{1,3}") } };
static const struct rule tekken = { .pattern = { CASED("", "") }, .whole_words = true,
				    .bos = true };
static const struct rule deepseek_llm = { .pattern = {
	"[\\r\\n]", "[" SPACE "]?" OLD_CASED, "[" SPACE "]?" OLD_SIGNS, LAST_SPACES, OLD_CJK,
	"\\p{N}" } };
static const struct rule deepseek_coder = { .pattern = {
	"[\\r\\n]", "[" SPACE "]?\\p{L}+", "[" SPACE "]?\\p{P}+", OLD_CJK, "\\p{N}" } };
static const struct rule deepseek_v3 = { .pattern = {
	"\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{30FF}]+",
	"[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
	"| ?[\\p{P}\\p{S}]+[\\r\\n]*|" BREAKS "|" SPACES } };
/* Digits are looked for in the byte-level spelling there, where parts of other characters look
 * like some: the bytes that Latin-1 has as superior figures and fractions. */
static const struct rule falcon = { .bytes_from = 2, .pattern = {
	"[\\p{P}$+<=>^`~|]+", GPT2, "[0-9\\xB2\\xB3\\xB9\\xBC-\\xBE]+", "[0-9][0-9][0-9]" } };
static const struct rule bloom = { .pattern = {
	" ?[^(" SPACE "|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+" } };
/* What llama.cpp does for files that name none. */
static const struct rule fallback = { .pattern = {
	"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" } };

static const struct { const char *name; const struct rule *rule; } names[] = {
	{ "smollm", &digits }, { "starcoder", &digits }, { "refact", &digits },
	{ "command-r", &digits }, { "codeshell", &digits }, { "exaone", &digits },
	{ "minerva-7b", &digits }, { "mellum2", &digits },
	{ "llama-bpe", &llama3 }, { "llama3", &llama3 }, { "llama-v3", &llama3 },
	{ "falcon3", &llama3 }, { "falcon-h1", &llama3 }, { "pixtral", &llama3 },
	{ "midm-2.0", &llama3 }, { "lfm2", &llama3 },
	{ "dbrx", &dbrx }, { "smaug-bpe", &dbrx }, { "glm4", &dbrx }, { "chatglm-bpe", &dbrx },
	{ "qwen2", &qwen2 }, { "deepseek-r1-qwen", &qwen2 }, { "stablelm2", &qwen2 },
	{ "megrez", &qwen2 }, { "hunyuan", &qwen2 }, { "solar-open", &qwen2 },
	{ "kormo", &qwen2 }, { "grok-2", &qwen2 }, { "bailingmoe", &qwen2 },
	{ "bailingmoe2", &qwen2 }, { "llada-moe", &qwen2 },
	{ "qwen35", &qwen35 },
	{ "gpt-4o", &gpt4o }, { "llama4", &gpt4o }, { "kanana2", &gpt4o }, { "talkie", &gpt4o },
	{ "minimax-m2", &gpt4o },
	{ "tekken", &tekken },
	{ "deepseek-v3", &deepseek_v3 }, { "hunyuan-dense", &deepseek_v3 },
	{ "joyai-llm", &deepseek_v3 }, { "hy_v4", &deepseek_v3 },
	{ "deepseek-llm", &deepseek_llm }, { "deepseek-coder", &deepseek_coder },
	{ "gpt-2", &gpt2 }, { "phi-2", &gpt2 }, { "mpt", &gpt2 }, { "olmo", &gpt2 },
	{ "jais", &gpt2 }, { "gigachat", &gpt2 }, { "a.x-4.0", &gpt2 }, { "mellum", &gpt2 },
	{ "exaone4", &gpt2 }, { "trillion", &gpt2 }, { "granite-docling", &gpt2 },
	{ "falcon", &falcon },
	{ "bloom", &bloom }, { "poro-chat", &bloom }, { "gpt3-finnish", &bloom },
	{ "seed-coder", &seed }, { "minicpm5", &minicpm },
	{ "default", &fallback },
};
/* One name of each rule: all of them do not fit into an error. */
#define RULES_LIST "smollm llama-bpe dbrx qwen2 qwen35 gpt-4o tekken deepseek-v3 deepseek-llm " \
	"deepseek-coder gpt-2 falcon bloom seed-coder minicpm5 default"

const struct rule *rule_find(const struct gguf *g, const char **name, char err[ERR_MAX])
{
	struct gguf_str pre = { "default", 7 };
	if (gguf_has(g, PRE) && !gguf_string(g, PRE, &pre)) {
		fail(err, "%s: " PRE " is not a string", gguf_path(g));
		return NULL;
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i].name) == pre.n && !memcmp(names[i].name, pre.s, pre.n)) {
			*name = names[i].name;
			return names[i].rule;
		}
	fail(err, "%s: " PRE " \"%.*s\" is not supported; supported are: " RULES_LIST ", and other "
	     "names of these", gguf_path(g), pre.n > 64 ? 64 : (int)pre.n, pre.s);
	return NULL;
}
