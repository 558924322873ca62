#!/bin/sh
# bench_stages.test.sh - what s3dchat bench says of the default model beside its strategies: probes,
# and the times of stages, which are held against a step of the same run.
B=${B:-build/release}
n=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
model=${S3D_TEST_MODEL:-build/model/SmolLM2-135M-Instruct.Q4_1.gguf}

. tests/result_kit.sh

if [ ! -f "$model" ]; then
	echo "ok 1 - bench # SKIP no model at $model (S3D_TEST_MODEL names another)"
	exit 0
fi
if [ "$(basename "$B")" != release ]; then
	echo "ok 1 - bench # SKIP only where nothing else takes time: a build for release"
	exit 0
fi

# One token needs what the file holds less its metadata: 96.6 of 98.4 MB.
"$B/s3dchat" bench -m "$model" --backend cpu --reps 1 --quick --stages --csv --probes \
	>"$tmp/out" 2>"$tmp/err" && awk -F, '
	{ value[$1] = $3 }
	END {
		exit !(!("plain@0/speed" in value) &&
			value["token_bytes"] > 96e6 && value["token_bytes"] < 98362432 &&
			value["load"] > 0 && value["stream"] > 0 &&
			value["prompt@512"] > 0 &&
			value["decode@0"] > 0 && value["decode@1024"] > 0 &&
			!("decode@4096" in value) && value["R1"] == 1 && value["R8"] > 0)
	}' "$tmp/out"
result "what does not depend on the strategy, as CSV"

# Stages of one row: their bytes are the weights in packed form and 257 rows of 30 x 768
# bytes of cache, their times are less than twice a decode step of the same run.
awk -F, '
	$1 ~ /^stage\/.*@1\/bytes$/ { mb += $3 }
	$1 ~ /^stage\/.*@1\/time$/ { us += $3; n++ }
	$1 ~ /^stage\/.*@8\/time$/ { rows8++ }
	$1 == "token_bytes" { weights = $3 / 1e6 }
	$1 == "decode@0" { step = 1e6 / $3 }
	END {
		cache = 257 * 30 * 768 / 1e6
		exit !(n == 7 && rows8 == 7 && us > step / 2 && us < step * 2 &&
			mb > weights + cache - 0.2 && mb < weights + cache + 0.2)
	}' "$tmp/out"
result "stages of the forward pass"
