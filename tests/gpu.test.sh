#!/bin/bash
# gpu.test.sh - the whole program with the cuda backend, on the emulated device of tests/emu: what
# it says of memory, -ngl, --vram, and that where the weights are changes nothing that is written.
B=${B:-build/release}
program=$B/emu/s3dchat
if [ ! -x "$program" ]; then
	echo "ok 1 - gpu # SKIP there is no $program"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work/home XDG_DATA_HOME=$work/data XDG_STATE_HOME=$work/state LC_ALL=C.UTF-8
mkdir -p "$HOME"
"$B"/tests/mkmodel "$work/tiny.gguf" || exit 1
"$B"/tests/mkmodel "$work/tiny.little.gguf" || exit 1
n=0
t() {
	name=$1; shift; n=$((n + 1))
	if "$@"; then echo "ok $n - $name"; else
		echo "not ok $n - $name"
		sed 's/^/# /' "$work/out" "$work/err" | cat -v | head -20
	fi
}
# run STATUS ARGS...
run() {
	want=$1; shift
	command=()
	if [ "$1" = eval ]; then command=(eval); shift; fi
	timeout 600 "$program" "${command[@]}" -m "$work/tiny.gguf" -t 1 "$@" \
		>"$work/out" 2>"$work/err"
	got=$?
	[ "$got" -eq "$want" ] || { echo "# status $got instead of $want: $*"; return 1; }
}
says() { grep -qF -- "$1" "$work/err"; }
shows() { grep -qE -- "$1" "$work/out"; }
answer() { run 0 -p "hello there" -s 4 -n 12 "$@" && [ -s "$work/out" ]; }

auto() {
	run 0 --line <<<"/show" && shows '^device +cuda: ' && ! shows '^cuda ' &&
	shows '^over the bus +0.0 MiB in every pass: 0 of 3 layers' &&
	shows '^little model +[0-9]' && shows '^may be taken +[0-9.]+ MiB' &&
	shows '^free before +[0-9.]+ MiB'
}
t "auto takes the GPU; /show tells of its memory" auto

same_text() {
	for more in "" "-ngl 0" "-ngl 2" "-ngl 99" "-md none" "--strategy draft" "--vram 64"; do
		# shellcheck disable=SC2086
		answer $more || return 1
		[ -f "$work/first" ] || cp "$work/out" "$work/first"
		cmp -s "$work/out" "$work/first" || { echo "# another text: $more"; return 1; }
	done
}
t "the same text wherever the weights are, and with drafts" same_text

layers() {
	run 0 -ngl 1 --line <<<"/show memory" &&
	shows '[1-9] MiB in every pass: 2 of 3 layers' &&
	run 0 -ngl 1 -v -p x -n 2 && says "2 of 3 layers stay in host memory"
}
t "-ngl keeps layers in host memory, and tells" layers

# Where layers are cut decides what is rounded where: each cut has a text of its own, whatever the
# strategy.
on_cpu() {
	for ngl in 0 1 2; do
		rm -f "$work/first"
		for more in "" "--strategy ngram" "--strategy draft" "-t 2"; do
			# shellcheck disable=SC2086
			answer -ngl "$ngl" --host-layers cpu $more || return 1
			[ -f "$work/first" ] || cp "$work/out" "$work/first"
			cmp -s "$work/out" "$work/first" ||
				{ echo "# another text: -ngl $ngl $more"; return 1; }
		done
	done
	answer && cp "$work/out" "$work/first" && answer -ngl 3 --host-layers cpu &&
	cmp -s "$work/out" "$work/first"
}
t "layers by the CPU: the same text, and with drafts" on_cpu
tells_cpu() {
	run 0 -ngl 1 --host-layers cpu --line <<<"/show" &&
	shows '^by the CPU +[0-9.]*[1-9] MiB for 2 of 3 layers' &&
	shows '^device +cuda: .*2 of 3 layers: cpu, ' &&
	run 0 -ngl 2 --host-layers cpu -v -p x -n 2 &&
	says "1 of 3 layers is computed by the CPU" &&
	run 2 --host-layers both -p x && says "bus|cpu|auto"
}
t "and it tells" tells_cpu

# Measured once; then by what was measured.
kept=$work/state/s3dchat/host-layers
faster() {
	run 0 -ngl 1 --host-layers auto --line <<<"/show memory" &&
	shows '^faster +layers ..\..+: bus [0-9.]+ GB/s, CPU [0-9.]+ GB/s, measured 20..-..-..$' &&
	[ "$(wc -l <"$kept")" -eq 2 ] && cp "$kept" "$work/kept" &&
	run 0 -ngl 2 --host-layers auto -p x -n 2 && cmp "$kept" "$work/kept"
}
t "--host-layers auto measures, and tells" faster
# by_speeds BUS CPU WHO: MB/s
by_speeds() {
	sed -E -i "s/ auto [0-9]+ [0-9]+ / auto $1 $2 /" "$kept" &&
	answer -ngl 1 --host-layers auto --json && mv "$work/out" "$work/json" &&
	grep -qF "\"host_layers\":{\"count\":2,\"by\":\"$3\",\"bus_speed\":${1}000000," \
		"$work/json" &&
	grep -qE "\"cpu_speed\":${2}000000,\"measured\":\"20..-..-..\"" "$work/json" &&
	grep -q '"host_weights":[1-9]' "$work/json" &&
	answer -ngl 1 --host-layers auto && cp "$work/out" "$work/first" &&
	answer -ngl 1 --host-layers "$3" && cmp "$work/out" "$work/first"
}
t "and goes by it: the CPU" by_speeds 6100 18000 cpu
t "and the bus" by_speeds 25000 18000 bus

# Groups that both compute, by speeds that make it worth it, or not.
shared() {
	run 0 -ngl 2 --host-layers cpu --cqil 1:3:2 -p x -n 2 && [ "$(wc -l <"$kept")" -ge 2 ] &&
	sed -E -i 's/ auto [0-9]+ [0-9]+ [0-9]+ [0-9]+ / auto 6100 18 300000 1 /' "$kept" &&
	run 0 -ngl 2 --host-layers cpu --cqil 1:3:2 --line <<<"/show memory" &&
	shows '^as asked +layers 1 by the CPU: bus 6.1 GB/s, CPU 0.0 GB/s' &&
	shows '^groups +of 2 layers 1 by the CPU in [0-9.]+ ms, 1 by the GPU in .*: at once$' &&
	answer -ngl 2 --host-layers cpu --cqil 1:3:2 --json &&
	shows '"layers":"1","groups":\{"at_once":true,"layers":2,"cpu_layers":1,"cpu_sec' &&
	shows '"gpu_speed":300000000000' && rm -f "$work/first" || return 1
	for more in "" "--strategy ngram" "--strategy draft" "-t 2"; do
		# shellcheck disable=SC2086
		[ "$more" = "-t 2" ] && sed -E -i 's/ 1 auto / 2 auto /' "$kept"
		# shellcheck disable=SC2086
		answer -ngl 2 --host-layers cpu --cqil 1:3:2 $more || return 1
		[ -f "$work/first" ] || cp "$work/out" "$work/first"
		cmp -s "$work/out" "$work/first" || { echo "# another text: $more"; return 1; }
	done
}
t "groups by CPU and GPU at once: told, and the same text" shared
not_shared() {
	sed -E -i 's/ [0-9] (auto 6100 18 300000) 1 / 1 \1 900000000 /' "$kept" &&
	run 0 -ngl 2 --host-layers cpu --cqil 1:3:2 --line <<<"/show memory" &&
	shows '^as asked +layers 0 by the CPU' &&
	shows '^groups .*handing over 1800.000 ms: not worth it$'
}
t "and where handing over takes longer the first layers are the CPU's" not_shared
# Behind the tokens: layer 0, the group, the output.
crosses() {
	sed -E -i 's/ 1 auto 6100 18 300000 [0-9]+ / 1 auto 6100 18 300000 1 /' "$kept" &&
	timeout 600 "$program" bench -m "$work/tiny.gguf" -md none -t 1 --backend cuda -ngl 2 \
		--host-layers cpu --cqil 1:3:2 --probes --quick --csv >"$work/out" 2>"$work/err" &&
	shows '^decode_crossings,crossings,5,' && shows '^decode_handed,bytes,1280,' &&
	shows '^group_layers,layers,1,' && shows '^group_cpu,us,' &&
	shows '^decode_launches,launches,1[0-9],'
}
t "bench --probes counts what is handed over in a step" crosses

small() {
	run 1 --backend cuda --vram 2 -p x && says "are missing" && says "--backend cpu" &&
	says "--vram " && [ ! -s "$work/out" ]
}
t "what does not fit is refused, with what would" small
advised() {
	vram=$(sed -n 's/.*--vram \([0-9]*\).*/\1/p' "$work/err") && [ "$vram" -gt 2 ] &&
	answer --backend cuda --vram "$vram" -md none &&
	run 1 --backend cuda --vram "$((vram - 1))" -p x
}
t "--vram as advised is enough, and one less is not" advised

auto_small() { answer --vram 2 && says "going on with the cpu"; }
t "auto goes on with the cpu, and tells" auto_small

json() {
	run 0 --json -p x -n 3 -ngl 2 && shows '"gpu_budget":[1-9]' &&
	shows '"host_weights":[1-9]' &&
	run 0 --json -p x -n 3 --backend cpu && shows '"gpu_budget":null' && shows '"gpu_used":null'
}
t "--json has it too" json

evaluate() {
	seq 1 400 >"$work/text" && run 0 eval -c 64 --chunks 2 -ngl 1 "$work/text" &&
	shows '^perplexity [0-9]' && cp "$work/out" "$work/first" &&
	run 0 eval -c 64 --chunks 2 "$work/text" && cmp -s "$work/out" "$work/first"
}
t "eval, with and without layers in host memory" evaluate

# Six layers of seven see 32 positions: their caches are rings of 2432, which go back by a
# turn, not of 4096.
rings() {
	mv "$work/window.gguf" "$work/tiny.gguf" && rm -f "$work/first" &&
	run 0 -c 4096 --line <<<"/show memory" && shows '^KV cache +2\.3 MiB' || return 1
	for more in "" "-ngl 3 --strategy ngram"; do
		# shellcheck disable=SC2086
		answer -md none -c 4096 $more -p "$(seq 1 640)" || return 1
		[ -f "$work/first" ] || cp "$work/out" "$work/first"
		cmp -s "$work/out" "$work/first" || { echo "# another text: $more"; return 1; }
	done
}
"$B"/tests/mkmodel --shape tiny-gemma3 --type q8_0 "$work/window.gguf" || exit 1
t "layers that see a window, behind texts longer than their caches" rings

perplexity() {
	run 0 eval -c 1024 --chunks 1 --backend "$1" "$work/text" &&
	sed -n 's/^perplexity \([0-9.]*\).*/\1/p' "$work/out"
}
same_perplexity() {
	seq 1 400 >"$work/text"
	awk -v a="$(perplexity cpu)" -v b="$(perplexity cuda)" \
		'BEGIN { exit !(a > 0 && a / b > 0.99 && a / b < 1.01) }'
}
t "such a model's perplexity is the CPU's" same_perplexity
