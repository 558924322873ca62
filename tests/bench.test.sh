#!/bin/sh
# s3dchat bench on the default model: that every figure is there and is possible, that exact
# strategies wrote what plain wrote, and that mistakes are refused.  Speeds are not judged here, so
# one thread does it beside other tests; times are held against others in bench_stages.test.sh.
B=${B:-build/release}
n=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
model=${S3D_TEST_MODEL:-build/model/SmolLM2-135M-Instruct.Q4_1.gguf}

. tests/result_kit.sh

bench() {
	"$B/s3dchat" bench -m "$model" --backend cpu -t 1 --reps 1 "$@" >"$tmp/out" 2>"$tmp/err"
}

# Of a model whose layers see a window the cache forgets what is far behind; the probes go back.
"$B/tests/mkmodel" --shape tiny-gemma3 "$tmp/window.gguf" &&
	"$B/s3dchat" bench -m "$tmp/window.gguf" --backend cpu -t 1 --reps 1 --quick --probes \
		--csv >"$tmp/out" 2>"$tmp/err" && grep -q '^decode@1024,' "$tmp/out" &&
	grep -q '^R8,' "$tmp/out"
result "probes of a model with a window"

# How often each is measured: three times, a quick bench once, or as -r says.
mkdir "$tmp/hi" && echo hi >"$tmp/hi/hi.txt"
"$B/tests/mkmodel" --shape tiny-gemma3 "$tmp/tiny.gguf" 2>/dev/null
for args in "3" "1 --quick" "2 --quick -r 2"; do
	"$B/s3dchat" bench -m "$tmp/tiny.gguf" --backend cpu -t 1 --strategies --csv \
		--prompts "$tmp/hi" ${args#?} >"$tmp/out" 2>"$tmp/err" &&
		awk -F, -v want="${args%% *}" '/^plain@0\/speed/ { n++; bad += $6 != want }
			END { exit !(n == 1 && !bad) }' "$tmp/out" || break
done
result "repetitions of a bench and of a quick one"

if [ ! -f "$model" ]; then
	echo "ok $((n + 1)) - bench # SKIP no model at $model (S3D_TEST_MODEL names another)"
	exit 0
fi

mkdir "$tmp/set"
cp tests/prompts/chat-02.txt tests/prompts/edit-03.txt "$tmp/set"

# The same figures must be there for both strategies and temperatures, each once, none negative.
bench --quick --strategies --csv --prompts "$tmp/set" && awk -F, '
	$1 !~ /log_p$/ && $3 + 0 < 0 { exit bad = 1 }
	{ count[$1]++; value[$1] = $3 }
	END {
		if (bad || count["load"] || count["stream"]) exit 1
		for (s = 0; s < 2; s++) for (t = 0; t < 2; t++) {
			p = (s ? "ngram" : "plain") "@" (t ? "0.7" : "0")
			if (count[p "/speed"] != 1 || value[p "/speed"] <= 0) exit 1
			if (value[p "/prompts"] != 2 || value[p "/identical"] != 2) exit 1
			if (value[p "/tokens"] < 3 || value[p "/tokens"] > 96) exit 1
		}
		if (value["plain@0/per_round"] != 1 || value["ngram@0/per_round"] <= 1) exit 1
		if (value["plain@0/ratio"] != 1 || count["plain@0/acceptance"]) exit 1
		exit !(value["ngram@0/acceptance"] > 0 && value["ngram@0/acceptance"] <= 100)
	}' "$tmp/out"
result "strategies on a folder of prompts, as CSV"

bench --quick --strategies --prompts tests/prompts/list-01.txt &&
	grep -q '^ngram  *0\.0 .*  1 of 1$' "$tmp/out" && ! grep -q "$(printf '\033')" "$tmp/out"
result "a table for one prompt file"

# The model as its own little one: bild may change nothing, whatever the thresholds, and every token
# is the big model's first choice; its log-probability is the same however it was found.
bench --quick --bild-grid --csv -md "$model" --prompts tests/prompts/chat-02.txt && awk -F, '
	$1 ~ /^bild .*\/differ$/ { n++; bad += $3 != 0 }
	$1 ~ /\/first_choice$/ { first++; bad += $3 != 100 }
	$1 ~ /\/log_p$/ { if (p++ && $3 != last) bad++; last = $3 }
	END { exit !(n == 25 && first == 26 && p == 26 && !bad && last < 0 && last > -3) }
	' "$tmp/out"
result "the grid of thresholds, as CSV"

! bench --probes --strategies && grep -q 'leave nothing to do' "$tmp/err"
result "nothing to measure is refused"

! bench --bild-grid -md "$tmp/none.gguf" --sidecar none --prompts tests/prompts/chat-02.txt &&
	grep -q 'needs a little model' "$tmp/err"
result "the grid without a little model and a sidecar is refused"

mkdir "$tmp/empty"
! bench --prompts "$tmp/empty" && grep -q 'no \*.txt files' "$tmp/err" && [ ! -s "$tmp/out" ]
result "a folder without prompts is refused"

: >"$tmp/set/a.txt"
! bench --prompts "$tmp/set" && grep -q 'prompt a.txt is empty' "$tmp/err" && [ ! -s "$tmp/out" ]
result "an empty prompt is refused"

! bench --strategies -c 64 && grep -q 'give a larger -c' "$tmp/err" && [ ! -s "$tmp/out" ]
result "a context that a prompt does not fit in is refused"
