#!/bin/bash
# loading.test.sh - what ends the program while a model loads that takes half a minute: at once,
# with the status of the signal, in every way to chat.
B=${B:-build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work/home XDG_DATA_HOME=$work/data LC_ALL=C.UTF-8 TERM=xterm
mkdir -p "$work/bin" "$HOME"
"$B"/tests/mkmodel "$work/tiny.gguf" || exit 1
cp "$B/s3dchat" "$work/bin"
cp "$B/tests/fake_slow.so" "$work/bin/s3dcuda.so"
n=0
t() {
	name=$1; shift; n=$((n + 1))
	if "$@"; then echo "ok $n - $name"; else
		echo "not ok $n - $name"
		sed 's/^/# /' "$work/out" | cat -v | head -20
	fi
}
# within STATUS COMMAND...: it ends with this status, long before the model is there.
within() {
	want=$1; shift
	began=$(date +%s)
	"$@" >"$work/out" 2>&1
	got=$?
	took=$(($(date +%s) - began))
	[ "$got" -eq "$want" ] && [ "$took" -lt 10 ] ||
		{ echo "# status $got instead of $want after $took s"; return 1; }
}
chat() { "$work/bin/s3dchat" -m "$work/tiny.gguf" -t 1 "$@"; }
# A signal after a second; timeout puts the chat into the foreground, where SIGINT counts.
signalled() {
	sig=$1; shift
	timeout --preserve-status --foreground -s "$sig" 1 \
		"$work/bin/s3dchat" -m "$work/tiny.gguf" -t 1 "$@"
}
piped() { sleep 3 | signalled "$@"; }
for s in INT:130 TERM:143; do
	t "-p: SIG${s%:*}" within "${s#*:}" signalled "${s%:*}" -p hello
	t "--json: SIG${s%:*}" within "${s#*:}" signalled "${s%:*}" --json -p hello
	t "--line: SIG${s%:*}" within "${s#*:}" piped "${s%:*}" --line
done
# typed KEYS COMMAND...: on a terminal, which must be as it was in the end.
typed() {
	keys=$1; shift
	run="$* $work/bin/s3dchat -m $work/tiny.gguf -t 1"
	{ sleep 1.5; printf "$keys"; sleep 1; } | script -qefc \
		"$run; s=\$?; stty -a | grep -q ' icanon' && exit \$s" /dev/null
}
t "full screen: Ctrl+C" within 130 typed '\003'
t "full screen: Ctrl+D" within 0 typed '\004'
t "full screen: SIGTERM" within 143 typed '' timeout --preserve-status --foreground 1
echo "1..$n"
