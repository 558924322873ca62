#!/bin/bash
# gpu_faults.test.sh - the whole program while the emulated GPU (tests/emu) fails at each of its
# calls in turn: an answer or a text that names the way out, never a signal; a chat keeps every turn
# that was finished and goes on.
B=${B:-build/release}
program=$B/emu/s3dchat
if [ ! -x "$program" ]; then
	echo "ok 1 - gpu faults # SKIP there is no $program"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work/home XDG_DATA_HOME=$work/data XDG_STATE_HOME=$work/state LC_ALL=C.UTF-8
mkdir -p "$HOME"
"$B"/tests/mkmodel "$work/tiny.gguf" || exit 1
one=(timeout 60 "$program" -m "$work/tiny.gguf" -md none --backend cuda -t 1 -s 4 -n 6)

calls() { grep -c '^emu: [0-9]' "$1"; }

EMU_TRACE=1 "${one[@]}" -p hello >"$work/want" 2>"$work/trace"
all=$(calls "$work/trace")
bad=0 texts=0
for error in "" ":700"; do
	for ((i = 1; i <= all; i++)); do
		EMU_FAIL=$i$error "${one[@]}" -p hello >"$work/out" 2>"$work/err"
		status=$?
		if [ "$status" -eq 0 ]; then    # not needed, or only at the end
			cmp -s "$work/out" "$work/want" && continue
		elif [ "$status" -eq 1 ] && grep -q -- '--backend cpu' "$work/err"; then
			texts=$((texts + 1))
			continue
		fi
		bad=$((bad + 1))
		echo "# call $i$error: status $status, $(tail -1 "$work/err")"
	done
done
echo "# $all calls, twice: $texts times a text, else the same answer"
if [ "$all" -gt 100 ] && [ "$bad" -eq 0 ] && [ "$texts" -gt 100 ]; then
	echo "ok 1 - one answer, a failure at each call"
else
	echo "not ok 1 - one answer, a failure at each call"
fi

chat() { printf 'one\ntwo\nthree\n' | "${one[@]}" "$@" --line >"$work/out" 2>"$work/err"; }
# goes_on NUMBER NAME OPTIONS...: a chat, a failure at every ninth call from the first answer on.
goes_on() {
	number=$1 name=$2
	shift 2
	EMU_TRACE=1 chat "$@"
	all=$(calls "$work/err")
	first=$(grep -m 1 -n 'cudaGraphLaunch' "$work/err" | cut -d: -f1)
	bad=0 went_on=0
	for ((i = first; i <= all; i += 9)); do
		rm -rf "$work/data"
		EMU_FAIL=$i:700 chat "$@"
		status=$?
		turns=$(cat "$work"/data/s3dchat/chats/*.jsonl | grep -o '"user"' | wc -l)
		grep -q 'going on with' "$work/err" && went_on=$((went_on + 1))
		if [ "$status" -ne 0 ] || [ "$turns" -ne 3 ]; then
			bad=$((bad + 1))
			echo "# call $i: status $status, $turns turns, $(tail -1 "$work/err")"
		fi
	done
	echo "# three questions, $all calls, every ninth from $first on: went on $went_on times"
	if [ "$bad" -eq 0 ] && [ "$went_on" -gt 10 ]; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
	fi
}
goes_on 2 "a chat goes on, and keeps all its turns"
goes_on 3 "and where the CPU computes layers too" -ngl 2 --host-layers cpu
# By speeds that make both compute a group: measured first, and then said.
groups=(-ngl 2 --host-layers cpu --cqil 1:3:2)
"${one[@]}" "${groups[@]}" -p hello >"$work/out" 2>"$work/err"
sed -E -i 's/ auto [0-9]+ [0-9]+ [0-9]+ [0-9]+ / auto 6100 18 300000 1 /' \
	"$XDG_STATE_HOME/s3dchat/host-layers"
if "${one[@]}" "${groups[@]}" -p hello --json 2>"$work/err" | grep -q '"at_once":true'; then
	goes_on 4 "and where both compute a group" "${groups[@]}"
else
	echo "not ok 4 - and where both compute a group: they do not"
fi
