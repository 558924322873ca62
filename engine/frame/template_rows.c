/* template_rows.c - see template_rows.h.
 *
 * Each row says what the family's published template writes (tests/vectors/template-families.txt
 * names the sources and holds what they write); where a published template refuses a system
 * prompt, it goes into the question as the family's next one does it.  Invariant: a published
 * template is recognised by one fingerprint at most, and rendered the same by its row. */
#include "engine/frame/template_rows.h"

#define PHI3_TOKENS { "<|system|>", "<|user|>", "<|assistant|>", "<|end|>" }
#define CHATML_TOKENS { "<|im_start|>", "<|im_end|>" }
#define CHATML_LEAD { "<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n" }
#define CHATML_TAIL { "<|im_end|>\n", "<|im_end|>\n", "<|im_end|>\n" }
#define LLAMA3_TOKENS { "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>" }
#define LLAMA3_HEAD(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
#define LLAMA3_LEAD { LLAMA3_HEAD("system"), LLAMA3_HEAD("user"), LLAMA3_HEAD("assistant") }
#define LLAMA3_TAIL { "<|eot_id|>", "<|eot_id|>", "<|eot_id|>" }
#define TRIM_ALL { TRIM_BOTH, TRIM_BOTH, TRIM_BOTH }
#define DEEPSEEK_TOKENS { "<｜User｜>", "<｜Assistant｜>", "<｜end▁of▁sentence｜>" }
#define DEEPSEEK_LEAD { "", "<｜User｜>", "<｜Assistant｜>" }
#define DEEPSEEK_TAIL { "", "", "<｜end▁of▁sentence｜>" }
/* A template that ends questions too. */
#define DEEPSEEK_OTHER "'<｜User｜>' + message['content'] + '<｜end▁of▁sentence｜>'"

const struct template template_rows[] = {
	{
		.name = "chatml",
		.token = CHATML_TOKENS,
		.lead = CHATML_LEAD,
		.tail = CHATML_TAIL,
	}, {
		.name = "qwen3",
		.token = CHATML_TOKENS,
		.think = THINK_DROPPED_BREAKS,
		.lead = CHATML_LEAD,
		.tail = CHATML_TAIL,
	}, {
		.name = "qwen3-thinking",
		.token = CHATML_TOKENS,
		.think = THINK_DROPPED_BREAKS_ALWAYS,
		.lead = CHATML_LEAD,
		.tail = CHATML_TAIL,
		.opening = "<think>\n",
	}, {
		.name = "llama2",
		.own_bos = true,
		.trim_whole = true,
		.place = PLACE_FIRST,
		.lead = { "<<SYS>>\n", BOS "[INST] ", "" },
		.tail = { "\n<</SYS>>\n\n", " [/INST]", " " EOS },
		.trim = { 0, TRIM_BOTH, TRIM_BOTH },
		.gap = " ",
	}, {
		.name = "llama3",
		.token = LLAMA3_TOKENS,
		.own_bos = true,
		.start = BOS,
		.lead = LLAMA3_LEAD,
		.tail = LLAMA3_TAIL,
		.trim = TRIM_ALL,
	}, {
		.name = "llama3.1",
		.token = LLAMA3_TOKENS,
		.own_bos = true,
		.start = BOS,
		.preamble = "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n",
		.lead = LLAMA3_LEAD,
		.tail = LLAMA3_TAIL,
		.trim = TRIM_ALL,
	}, {
		.name = "mistral-v1",
		.own_bos = true,
		.place = PLACE_FIRST,
		.start = BOS,
		.lead = { "", "[INST] ", "" },
		.tail = { "\n\n", " [/INST]", EOS },
		.gap = " ",
	}, {
		.name = "mistral-v3",
		.also = "mistral-v3-tekken",
		.token = { "[INST]", "[/INST]" },
		.own_bos = true,
		.place = PLACE_LAST,
		.start = BOS,
		.lead = { "", "[INST]", "" },
		.tail = { "\n\n", "[/INST]", EOS },
	}, {
		.name = "mistral-v7",
		.also = "mistral-v7-tekken",
		.token = { "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]" },
		.own_bos = true,
		.start = BOS,
		.lead = { "[SYSTEM_PROMPT]", "[INST]", "" },
		.tail = { "[/SYSTEM_PROMPT]", "[/INST]", EOS },
		.default_at = "set default_system_message = ",
	}, {
		.name = "gemma",
		.token = { "<start_of_turn>", "<end_of_turn>" },
		.own_bos = true,
		.place = PLACE_FIRST,
		.start = BOS,
		.lead = { "", "<start_of_turn>user\n", "<start_of_turn>model\n" },
		.tail = { "\n\n", "<end_of_turn>\n", "<end_of_turn>\n" },
		.trim = { 0, TRIM_BOTH, TRIM_BOTH },
	}, {
		.name = "phi3",
		.token = PHI3_TOKENS,
		.eats = true,
		.lead = { "<|system|>\n", "<|user|>\n", "<|assistant|>\n" },
		.tail = { "<|end|>\n", "<|end|>\n", "<|end|>\n" },
	}, {
		.name = "phi4-mini",
		.token = PHI3_TOKENS,
		.lead = { "<|system|>", "<|user|>", "<|assistant|>" },
		.tail = { "<|end|>", "<|end|>", "<|end|>" },
	}, {
		.name = "phi4",
		.token = { "<|im_start|>", "<|im_sep|>", "<|im_end|>" },
		.lead = { "<|im_start|>system<|im_sep|>", "<|im_start|>user<|im_sep|>",
			  "<|im_start|>assistant<|im_sep|>" },
		.tail = { "<|im_end|>", "<|im_end|>", "<|im_end|>" },
		.default_at = "set system_message = ",
	}, {
		.name = "zephyr",
		.token = { "<|system|>", "<|user|>", "<|assistant|>" },
		.loose = true,
		.lead = { "<|system|>\n", "<|user|>\n", "<|assistant|>\n" },
		.tail = { EOS "\n", EOS "\n", EOS "\n" },
	}, {
		.name = "vicuna",
		.own_bos = true,
		.start = BOS,
		.lead = { "", "USER: ", "ASSISTANT:" },
		.tail = { " ", " ", EOS },
		.trim = { 0, 0, TRIM_BOTH },
		.gap = " ",
		.default_at = "set system_message = ",
		.system = "A chat between a curious user and an artificial intelligence assistant. "
			  "The assistant gives helpful, detailed, and polite answers to the user's "
			  "questions.",
	}, {
		.name = "deepseek2",
		.own_bos = true,
		.start = BOS,
		.lead = { "", "User: ", "Assistant:" },
		.tail = { "\n\n", "\n\n", EOS },
		.trim = { 0, 0, TRIM_LEFT },
		.gap = " ",
	}, {
		.name = "deepseek3",
		.token = DEEPSEEK_TOKENS,
		.own_bos = true,
		.think = THINK_DROPPED,
		.start = BOS,
		.lead = DEEPSEEK_LEAD,
		.tail = DEEPSEEK_TAIL,
	}, {
		.name = "deepseek-r1",
		.token = DEEPSEEK_TOKENS,
		.own_bos = true,
		.think = THINK_DROPPED,
		.start = BOS,
		.lead = DEEPSEEK_LEAD,
		.tail = DEEPSEEK_TAIL,
		.opening = "<think>\n",
	}, {
		.name = "granite",
		.token = { "<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>" },
		.lead = { "<|start_of_role|>system<|end_of_role|>",
			  "<|start_of_role|>user<|end_of_role|>",
			  "<|start_of_role|>assistant<|end_of_role|>" },
		.tail = { "<|end_of_text|>\n", "<|end_of_text|>\n", "<|end_of_text|>\n" },
		.default_at = "set system_message = ",
		.default_more = " You are a helpful AI assistant.",
	},
};
const int template_n_rows = sizeof template_rows / sizeof *template_rows;

/* A line break here is one in the template, or its escape. */
const struct fingerprint template_prints[] = {
	{ .row = "chatml",
	  .has = { "<|im_start|>", "<|im_end|>" },
	  .lacks = { "<|im_sep|>", "<end_of_utterance>", "</think>" } },
	{ .row = "qwen3",
	  .has = { "<|im_start|>", "<|im_end|>", "</think>" },
	  .lacks = { "<|im_start|>assistant\n<think>", "<|im_sep|>", "trim", "## Metadata" } },
	{ .row = "qwen3-thinking",
	  .has = { "<|im_end|>", "</think>", "<|im_start|>assistant\n<think>" },
	  .lacks = { "enable_thinking" } },
	{ .row = "llama2",
	  .has = { "<<SYS>>", "bos_token + '[INST] ' + content", " [/INST]'" } },
	{ .row = "llama2",
	  .has = { "<<SYS>>", "bos_token +'[INST] ' + content", " [/INST]'" } },
	{ .row = "llama3",
	  .has = { "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>" },
	  .lacks = { "Cutting Knowledge Date", "functions", ">>>" } },
	{ .row = "llama3.1",
	  .has = { "<|start_header_id|>", "<|eot_id|>", "Today Date: ",
		   "Cutting Knowledge Date: December 2023\n\"" },
	  .lacks = { "<|image|>" } },
	{ .row = "mistral-v1",
	  .has = { "[INST] '", "' [/INST]'" },
	  .lacks = { "<<SYS>>" } },
	{ .row = "mistral-v3",
	  .has = { "[AVAILABLE_TOOLS]", "[INST]", "[/INST]" },
	  .lacks = { " [/INST]'", "[SYSTEM_PROMPT]" } },
	{ .row = "mistral-v7",
	  .has = { "[SYSTEM_PROMPT]", "[INST]", "[/INST]" },
	  .lacks = { "[MODEL_SETTINGS]" } },
	{ .row = "gemma",
	  .has = { "<start_of_turn>", "<end_of_turn>" } },
	{ .row = "phi3",
	  .has = { "<|user|>", "<|end|>", "<|assistant|>" },
	  .lacks = { "<|content|>" } },
	{ .row = "phi3",
	  .has = { "'<|' + message['role'] + '|>' + '", "<|end|>", "<|assistant|>" } },
	{ .row = "phi4-mini",
	  .has = { "'<|' + message['role'] + '|>' + message['content']", "<|end|>",
		   "<|assistant|>" } },
	{ .row = "phi4",
	  .has = { "<|im_start|>", "<|im_sep|>", "<|im_end|>" } },
	{ .row = "zephyr",
	  .has = { "<|user|>", "<|assistant|>", "message['content'] + eos_token" } },
	{ .row = "vicuna",
	  .has = { "' USER: ' + ", "' ASSISTANT: ' + ", "' ASSISTANT:'" } },
	{ .row = "deepseek2",
	  .has = { "'User: ' + message['content']",
		   "'Assistant: ' + message['content'] + eos_token" } },
	{ .row = "deepseek3",
	  .has = { "<｜User｜>", "<｜Assistant｜>", "</think>" },
	  .lacks = { "<｜Assistant｜><think>", "not thinking", DEEPSEEK_OTHER } },
	{ .row = "deepseek-r1",
	  .has = { "<｜User｜>", "<｜Assistant｜><think>\n", "</think>" },
	  .lacks = { "not enable_thinking", DEEPSEEK_OTHER } },
	{ .row = "granite",
	  .has = { "<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>" } },
};
const int template_n_prints = sizeof template_prints / sizeof *template_prints;
