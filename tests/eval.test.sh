#!/bin/sh
# s3dchat eval on the default model: perplexity against llama.cpp, divergence against transformers.
#
# Perplexities (llama.cpp 0.5.0-dev, commit 0c1e570, as in llama_cpp_python 0.3.36, on a CPU with
# AVX-512; LICENSE is the text of GPL-3 that Debian has in /usr/share/common-licenses):
#   llama-perplexity -m SmolLM2-135M-Instruct.Q4_1.gguf -f LICENSE -c 512 -t 2
#   [1]16.5546,[2]17.8938,[3]16.4097,[4]18.3363, ... [14]18.3914
#   Final estimate: PPL = 18.3914 +/- 0.86455
# tests/vectors/gpl3-256x2-top64.ref (transformers 4.40.2, torch 1.13.0, float32):
#   tests/tools/make_reference_logits.py MODEL LICENSE OUT --chunk 256 --chunks 2 --top 64
# Such a reference gives a lower bound; on these rows it was 88 to 94 % of the full divergence.
B=${B:-build/release}
n=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
model=${S3D_TEST_MODEL:-build/model/SmolLM2-135M-Instruct.Q4_1.gguf}
ref=tests/vectors/gpl3-256x2-top64.ref

. tests/result_kit.sh

eval_text() {   # eval_text OPTIONS...: stdout and stderr to files
	"$B/s3dchat" eval -m "$model" --backend cpu "$@" >"$tmp/out" 2>"$tmp/err"
}

perplexity_is() {       # within 1 % of $1, and nothing else on standard output
	awk -v want="$1" '{ off = $2 / want - 1 }
		END { exit !(NR == 1 && $1 == "perplexity" && off * off < 1e-4) }' "$tmp/out"
}

least() {       # least KEY MOST: the value of KEY is a number of at most MOST
	awk -v key="$1" -v most="$2" '$1 == key { found = $2 ~ /^-?[0-9]/ && $2 <= most + 0 }
		END { exit !found }' "$tmp/out"
}

refused() {     # refused TEXT: the last command failed, said TEXT, and printed no result
	[ "$rc" -eq 1 ] && [ ! -s "$tmp/out" ] && grep -q -- "$1" "$tmp/err"
}

if [ ! -f "$model" ]; then
	echo "ok 1 - eval # SKIP no model at $model (S3D_TEST_MODEL names another)"
	exit 0
fi

if [ "$(basename "$B")" = release ]; then
	eval_text -c 512 LICENSE && perplexity_is 18.3914
	result "perplexity of the whole text as llama.cpp's"
	awk '$1 == "chunk" && $2 == 4 { off = $6 / 18.3363 - 1; found = off * off < 1e-4 }
		END { exit !found }' "$tmp/err"
	result "perplexity of its first four chunks as llama.cpp's"
else
	eval_text --chunks 1 LICENSE && perplexity_is 16.5546
	result "perplexity of one chunk as llama.cpp's"
fi

eval_text --kl $ref --kernels float --chunks 1 LICENSE && least kl_mean 1e-5 &&
	grep -q '^kl_kind lower_bound_top_64$' "$tmp/out" && grep -q '^rows 127$' "$tmp/out"
result "float kernels: divergence from transformers at most 1e-5"

# 1.47e-3 was measured; with one scale for 32 activations, as in llama.cpp, it was 2.62e-3.
eval_text --kl $ref LICENSE && least kl_mean 2.2e-3 && least kl_p99 1.4e-2 &&
	grep -q '^rows 254$' "$tmp/out"
result "fast kernels: divergence from transformers less than llama.cpp's"

# With the float kernels 2.9e-4 was measured for q8_0 keys (9.1e-4 without their rotation), 3.2e-5
# for q8_0 values, 3.1e-4 for both; with the fast ones 1.68e-3 for both.
eval_text --kl $ref --kernels float --chunks 1 -ctv q8_0 LICENSE && least kl_mean 1e-4 &&
	! least kl_mean 1e-5 && grep -q '^kernels .* threads, values q8_0$' "$tmp/out"
result "values in q8_0: little divergence, but some"
eval_text --kl $ref --kernels float --chunks 1 -ctk q8_0 LICENSE && least kl_mean 6e-4
result "keys in q8_0: less divergence than without their rotation"
eval_text --kl $ref -ctk q8_0 -ctv q8_0 LICENSE && least kl_mean 2.5e-3 &&
	grep -q '^kernels .* threads, keys q8_0, values q8_0$' "$tmp/out"
result "keys and values in q8_0: divergence about that of the int8 activations"

eval_text --kl $ref -c 128 LICENSE; rc=$?
refused "chunks of 256 tokens"
result "another chunk length than the reference's is refused"

sed 's/Software/Hardware/' LICENSE >"$tmp/other"
eval_text --kl $ref "$tmp/other"; rc=$?
refused "another text: token [0-9]* is [0-9]* there"
result "another text than the reference's is refused"

head -c 5000 $ref >"$tmp/short.ref"
eval_text --kl "$tmp/short.ref" LICENSE; rc=$?
refused "its header asks for"
result "a reference that was cut off is refused"

echo "Too short." >"$tmp/short"
eval_text "$tmp/short"; rc=$?
refused "less than one chunk of 512"
result "a text of less than one chunk is refused"

eval_text "$tmp/absent"; rc=$?
refused "No such file"
result "a missing text is refused"
