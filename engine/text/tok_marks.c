/* tok_marks.c - see tok_marks.h. */
#include "engine/text/tok_marks.h"
#include <string.h>

#define BAR "\xEF\xBD\x9C"      /* U+FF5C and U+2581, as both DeepSeek's write their marks */
#define LOW "\xE2\x96\x81"

static const struct {
	const char *text;
	enum mark is;
} marks[] = {
	/* Llama 2, Mistral, Zephyr */
	{ "</s>", MARK_END }, { "<s>", MARK_FRAME },
	{ "[INST]", MARK_FRAME }, { "[/INST]", MARK_FRAME },
	{ "[SYSTEM_PROMPT]", MARK_FRAME }, { "[/SYSTEM_PROMPT]", MARK_FRAME },
	/* Llama 3, Granite */
	{ "<|eot_id|>", MARK_END }, { "<|eom_id|>", MARK_END }, { "<|end_of_text|>", MARK_END },
	{ "<|begin_of_text|>", MARK_FRAME }, { "<|start_header_id|>", MARK_FRAME },
	{ "<|end_header_id|>", MARK_FRAME },
	{ "<|start_of_role|>", MARK_FRAME }, { "<|end_of_role|>", MARK_FRAME },
	/* Qwen, SmolLM, Phi 4 */
	{ "<|im_end|>", MARK_END }, { "<|endoftext|>", MARK_END },
	{ "<|im_start|>", MARK_FRAME }, { "<|im_sep|>", MARK_FRAME },
	/* Phi 3, Phi 4 mini, Zephyr */
	{ "<|end|>", MARK_END }, { "<|system|>", MARK_FRAME }, { "<|user|>", MARK_FRAME },
	{ "<|assistant|>", MARK_FRAME },
	/* Gemma */
	{ "<end_of_turn>", MARK_END }, { "<eos>", MARK_END }, { "<turn|>", MARK_END },
	{ "<bos>", MARK_FRAME }, { "<start_of_turn>", MARK_FRAME }, { "<|turn>", MARK_FRAME },
	/* DeepSeek */
	{ "<" BAR "end" LOW "of" LOW "sentence" BAR ">", MARK_END },
	{ "<" BAR "begin" LOW "of" LOW "sentence" BAR ">", MARK_FRAME },
	{ "<" BAR "User" BAR ">", MARK_FRAME }, { "<" BAR "Assistant" BAR ">", MARK_FRAME },
	{ "<|EOT|>", MARK_END },
	/* others */
	{ "<|return|>", MARK_END }, { "<|call|>", MARK_END }, { "<end_of_utterance>", MARK_END },
	{ "<|end_of_turn|>", MARK_END }, { "<EOT>", MARK_END },
};

bool mark_shaped(struct gguf_str s)
{
	return s.n > 1 && ((*s.s == '<' && s.s[s.n - 1] == '>') ||
			   (*s.s == '[' && s.s[s.n - 1] == ']'));
}

enum mark mark_of(struct gguf_str s)
{
	if (!mark_shaped(s))
		return MARK_NONE;
	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (strlen(marks[i].text) == s.n && !memcmp(marks[i].text, s.s, s.n))
			return marks[i].is;
	return MARK_NONE;
}
