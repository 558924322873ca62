/* template_names.h - the chat frames that --chat-template takes; nothing else, for who only names
 * them.  Invariant: template_find knows each. */
#ifndef S3D_TEMPLATE_NAMES_H
#define S3D_TEMPLATE_NAMES_H
#define TEMPLATE_NAMES \
	"chatml qwen3 qwen3-thinking llama2 llama3 llama3.1 mistral-v1 mistral-v3 mistral-v7 " \
	"gemma phi3 phi4 phi4-mini zephyr vicuna deepseek2 deepseek3 deepseek-r1 granite"
#endif
