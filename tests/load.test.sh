#!/bin/bash
# load.test.sh - where the program looks for s3dcuda.so, and what it says when that does not work.
B=${B:-build/release}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work/home XDG_DATA_HOME=$work/data LC_ALL=C.UTF-8
mkdir -p "$work/prefix/bin" "$work/prefix/lib/s3dchat" "$HOME"
"$B"/tests/mkmodel "$work/tiny.gguf" || exit 1
cp "$B/s3dchat" "$work/prefix/bin"
ln -s "$work/prefix/bin/s3dchat" "$work/linked"
n=0
t() {
	name=$1; shift; n=$((n + 1))
	if "$@"; then echo "ok $n - $name"; else
		echo "not ok $n - $name"
		sed 's/^/# /' "$work/out" "$work/err" | cat -v | head -20
	fi
}
# run STATUS ARGS...: an answer of the copied program, called through a link.
run() {
	want=$1; shift
	timeout 60 "$work/linked" -m "$work/tiny.gguf" -t 1 "$@" >"$work/out" 2>"$work/err"
	got=$?
	[ "$got" -eq "$want" ] || { echo "# status $got instead of $want: $*"; return 1; }
}
says() { grep -qF -- "$1" "$work/err"; }
place() {
	rm -f "$work"/prefix/*/s3dcuda.so "$work"/prefix/lib/s3dchat/*
	if [ "$1" ]; then cp "$B/tests/fake_$1.so" "$work/prefix/$2/s3dcuda.so"; fi
}
with_cpu() { run 0 -p hi -n 2 && [ -s "$work/out" ] && [ ! -s "$work/err" ]; }
refuses() {
	run 1 --backend cuda -p hi && says "$1" && says "--backend cpu" && [ ! -s "$work/out" ]
}
tells() { run 0 --line <<<"/show model" && grep -q "^cuda  *- ($1" "$work/out" &&
	grep -q '^device  *cpu' "$work/out"; }

none() { place "" && with_cpu && refuses "no cuda backend" && tells "this build has no cuda"; }
t "no file: the cpu answers, --backend cuda says why it cannot" none
installed() { place refuses lib/s3dchat && with_cpu && refuses "no NVIDIA driver" &&
	tells "no NVIDIA driver is installed)"; }
t "the installed place" installed
beside() { place refuses lib/s3dchat && cp "$B/tests/fake_old.so" "$work/prefix/bin/s3dcuda.so" &&
	with_cpu && refuses "built for s3dchat 0.0.1"; }
t "beside the program goes first" beside
broken() { place "" && echo nothing >"$work/prefix/bin/s3dcuda.so" && with_cpu &&
	refuses "s3dcuda.so" && tells ".*s3dcuda.so"; }
t "a file that is no library" broken
asked() { run 0 --backend cpu --line <<<"/show model" && ! grep -q '^cuda' "$work/out"; }
t "who asks for the cpu is not told of cuda" asked
