#!/bin/sh
# s3dchat quantize as a user meets it: the default model made smaller and asked something, tables,
# refusals, Ctrl+C.
B=${B:-build/release}
n=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
model=${S3D_TEST_MODEL:-build/model/SmolLM2-135M-Instruct.Q4_1.gguf}
ref=tests/vectors/gpl3-256x2-top64.ref

. tests/result_kit.sh

quantize() {    # stdout and stderr to files
	"$B/s3dchat" quantize "$@" >"$tmp/out" 2>"$tmp/err"
}

refused() {     # refused STATUS TEXT: that status, that text, nothing else, no file
	[ "$rc" -eq "$1" ] && [ ! -s "$tmp/out" ] && grep -q -- "$2" "$tmp/err" &&
		[ ! -e "$tmp/new.gguf" ]
}

"$B/tests/mkmodel" --type f32 "$tmp/in.gguf" >/dev/null

quantize; rc=$?
refused 2 "which files and type? s3dchat quantize"
result "without files it says what it takes"
quantize "$tmp/in.gguf" "$tmp/new.gguf" q4_k_n; rc=$?
refused 1 "'q4_k_n' is no type that can be made; there are .* q4_k_m "
result "an unknown type: those that there are"
quantize "$tmp/in.gguf" "$tmp/new.gguf" q4_0 q8_0; rc=$?
refused 2 "unexpected argument 'q8_0'"
result "one argument too many"
quantize "$tmp/absent.gguf" "$tmp/new.gguf" q4_0; rc=$?
refused 1 "No such file"
result "a missing input"
quantize README.md "$tmp/new.gguf" q4_0; rc=$?
refused 1 "this is not GGUF"
result "an input that is no model"
quantize "$tmp/in.gguf" "$tmp/in.gguf" q4_0; rc=$?
refused 1 "is the input too"
result "the input as output"
quantize "$tmp/in.gguf" "$tmp/no/new.gguf" q4_0; rc=$?
refused 1 "No such file"
result "a folder that is not there"
quantize "$tmp/in.gguf" "$tmp/new.gguf" q4_0 --imatrix README.md; rc=$?
refused 1 "not a file of llama-imatrix"
result "an --imatrix that is none"
quantize "$tmp/in.gguf" "$tmp/new.gguf" q4_0 --imatrix a --calib b; rc=$?
refused 1 "one of them"
result "both --imatrix and --calib"

quantize "$tmp/in.gguf" "$tmp/new.gguf" q4_k_m --dry-run && [ ! -e "$tmp/new.gguf" ] &&
	grep -q "^blk.0.attn_q.weight 64x64 F32 Q5_0 16384 2816$" "$tmp/out" &&
	grep -q "^blk.0.attn_norm.weight 64 F32 F32 256 256$" "$tmp/out" &&
	grep -q "new.gguf: .* MB, .* bits per weight" "$tmp/out"
result "--dry-run: a line for each tensor, and no file"

quantize --progress "$tmp/in.gguf" "$tmp/new.gguf" q4_k_m --calib README.md --chunks 1 &&
	 grep -q "^progress 1.0000 seconds-left 0$" "$tmp/out" &&
	tail -n 1 "$tmp/out" | grep -q "bits per weight" && [ -s "$tmp/new.gguf" ]
result "--calib, with progress for programs"
rm -f "$tmp/new.gguf"

if [ ! -f "$model" ]; then
	echo "ok $((n + 1)) - a real model # SKIP no model at $model (S3D_TEST_MODEL names another)"
	exit 0
fi
# Its matrices are Q4_1, whose numbers q8_0 says to a hundredth of a step: 1.47e-3 was measured for
# the file itself (see eval.test.sh).
quantize "$model" "$tmp/new.gguf" q8_0 && grep -q "what was lost there stays lost" "$tmp/err" &&
	"$B/s3dchat" eval -m "$tmp/new.gguf" --backend cpu --kl $ref --chunks 1 LICENSE \
		>"$tmp/out" 2>"$tmp/err" &&
	awk '$1 == "kl_mean" { found = $2 < 2.5e-3 } END { exit !found }' "$tmp/out"
result "the default model as q8_0: as near to transformers' logits as before"
for m in "$model" "$tmp/new.gguf"; do
	"$B/s3dchat" -m "$m" -md none --strategy plain --backend cpu --temp 0 -n 24 \
		-p "What is the capital of France?" >>"$tmp/said" 2>"$tmp/err"
	echo >>"$tmp/said"
done
awk 'NR == 1 { first = $0 } $0 == first && length > 20 { n++ } END { exit n != 2 }' "$tmp/said"
result "and it answers as the original does"
rm -f "$tmp"/said*
rm -f "$tmp/new.gguf"
"$B/s3dchat" quantize "$model" "$tmp/new.gguf" iq4_nl -t 1 >"$tmp/out" 2>"$tmp/err" &
pid=$!
sleep 1
kill -TERM $pid
wait $pid; rc=$?
refused 143 "stopped; nothing was written" && [ "$(ls "$tmp")" = "$(printf 'err\nin.gguf\nout')" ]
result "SIGTERM ends it, and nothing is left"
echo "1..$n"
