#!/bin/sh
# Typing while the real model answers on all cores: of 500 keys 99 % are on the screen in 16 ms.
model=${S3D_TEST_MODEL:-build/model/SmolLM2-135M-Instruct.Q4_1.gguf}
name="99th percentile of 500 keys to the grid is at most 16 ms"
if [ ! -f "$model" ]; then
	echo "ok 1 - $name # SKIP no model at $model (S3D_TEST_MODEL names another)"
	exit 0
fi
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
drive() {
	env -i PATH="$PATH" HOME="$dir" INPUTRC=/dev/null LC_ALL=C.UTF-8 \
		"${B:-build/release}/tests/tui_latency" "$model" 500 >"$dir/out" 2>&1
}
# With a sanitizer built in only its findings count: it slows everything down.
case ${B:-build/release} in
*release*) ;;
*)
	drive
	if grep -q '^keys 500' "$dir/out" && ! grep -q Sanitizer "$dir/out"; then
		echo "ok 1 - 500 keys while the model answers, without a finding of the sanitizer"
		exit 0
	fi
	echo "not ok 1 - 500 keys while the model answers"
	sed 's/^/# /' "$dir/out"
	exit 1
	;;
esac
# A machine that does other work too gets a second chance.
if drive || drive; then
	echo "ok 1 - $name"
	sed 's/^/# /' "$dir/out"
else
	echo "not ok 1 - $name"
	sed 's/^/# /' "$dir/out"
	exit 1
fi
