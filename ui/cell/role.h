/* role.h - everything that can be coloured, once: enum, key in theme files, default look. */
#ifndef S3D_UI_ROLE_H
#define S3D_UI_ROLE_H

/* Id, key, default ("fg bg attributes"), help for the manual. */
#define ROLES(_) \
_(TEXT, "text", "default default", "whatever has no role of its own") \
_(USER, "user", "cyan default bold", "your prompts") \
_(MODEL, "model", "default default", "answers") \
_(ACCEPTED, "accepted", "green default", "tokens that a drafter proposed and the model accepted") \
_(CORRECTED, "corrected", "yellow default", "tokens that replaced a failed draft") \
_(FORGOTTEN, "forgotten", "default default dim", "turns that the model no longer sees") \
_(THINKING, "thinking", "default default dim", "text between <think> marks") \
_(HEADING, "heading", "default default bold", "Markdown headings") \
_(CODE, "code", "magenta default", "Markdown code") \
_(NOTICE, "notice", "blue default", "remarks of the program") \
_(ERROR, "error", "red default bold", "errors") \
_(BORDER, "border", "blue default", "frames") \
_(TITLE, "title", "default default bold", "titles in frames") \
_(LABEL, "label", "default default dim", "names of numbers in the stats pane") \
_(VALUE, "value", "default default", "numbers in the stats pane") \
_(GRAPH, "graph", "green default", "bars and history in the stats pane") \
_(APPROXIMATE, "approximate", "yellow default bold", \
	"the mark of strategies that change the output") \
_(INPUT, "input", "default default", "the line you type") \
_(PROMPT, "prompt", "cyan default bold", "the prompt sign") \
_(HINT, "hint", "default default dim", "the key hints") \
_(HINT_KEY, "hint-key", "default default reverse", "keys in the hints") \
_(SELECTION, "selection", "default default reverse", "the chosen line of a list")

#define ROLE_ENUM(id, ...) ROLE_##id,
enum role { ROLES(ROLE_ENUM) ROLE_N };
#undef ROLE_ENUM
#endif
