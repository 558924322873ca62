#!/bin/sh
# Prints a C table of the prompt files named, so that an installed program can bench with them.
#   embed_prompts.sh tests/prompts/*.txt >build/gen/prompts.h
# The bytes are written as numbers: a string literal of this length is beyond what C11 promises.
set -e
echo "/* Made by tests/tools/embed_prompts.sh; do not edit. */"
n=0
for f in "$@"; do
	echo "static const unsigned char prompt_text_$n[] = {"
	od -An -v -tu1 "$f" | sed 's/ *\([0-9][0-9]*\)/\1,/g'
	echo "0 };"
	n=$((n + 1))
done
echo "static const struct embedded_prompt embedded_prompts[] = {"
n=0
for f in "$@"; do
	echo "	{ \"$(basename "$f" .txt)\", prompt_text_$n, sizeof(prompt_text_$n) - 1 },"
	n=$((n + 1))
done
echo "};"
