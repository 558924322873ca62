#!/bin/sh
# arm.test.sh - the program for ARM, where a compiler for it and qemu-user are at hand: all of it
# compiles without a warning, its kernels compute the bits that they compute here, and pass their
# tests.  Not with the sanitizers, which would say nothing of it and take minutes.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES MAKECMDGOALS FLAVOUR CFLAGS
B=${B:-build/release}
target=aarch64-linux-gnu
arm=build/arm
skip() {
	echo "ok 1 - arm # SKIP $1"
	exit 0
}
case $B in *release) ;; *) skip "only with $arm's own flags" ;; esac
[ "$(uname -m)" != aarch64 ] || skip "this is one"
command -v $target-gcc >/dev/null || skip "no $target-gcc (package gcc-$target)"
command -v qemu-aarch64 >/dev/null || skip "no qemu-aarch64 (package qemu-user)"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log
n=0
tell() {
	n=$((n + 1))
	[ "$1" -eq 0 ] && echo "ok $n - $2" && return
	echo "not ok $n - $2"
	sed 's/^/# /' "$log"
}
build() {       # build LIBRARIES TARGET...
	libraries=$1 && shift
	make -s -j "$(nproc)" CC=$target-gcc B=$arm NVCC= WERROR=1 LDLIBS="$libraries" "$@" \
		>"$log" 2>&1
}
# The system's loader where it has one: a loader and a C library of two versions do not work.
run() {
	if [ -e /lib/ld-linux-aarch64.so.1 ]; then
		qemu-aarch64 "$@"
	else
		qemu-aarch64 -L /usr/$target "$@"
	fi
}
# Whether there is a library for it, and all that it needs.
has() {
	echo 'int main(void) { return 0; }' |
		$target-gcc -x c -o "$work/has" - -Wl,--no-as-needed "$1" 2>/dev/null &&
		run "$work/has" >"$log" 2>&1
}
bits() {        # bits OF PREFIX: of an instruction set, without its name
	sed -n "s/^$1 //p" "$work/$2"
}
same() {        # same HERE THERE
	bits "$1" here >"$work/a" && bits "$2" there >"$work/b"
	diff "$work/a" "$work/b" >"$log" && [ -s "$work/a" ]
}

build -lm $arm/libs3d.a $arm/libapp.a $arm/app/main.o $arm/tests/kernel_bits
tell $? "compiles without a warning"
"$B/tests/kernel_bits" >"$work/here" && run $arm/tests/kernel_bits >"$work/there" 2>"$log"
tell $? "kernels run"
same generic generic
tell $? "generic kernels compute the same bits as here"
if grep -q '^avx2 ' "$work/here"; then
	same avx2 neon
	tell $? "neon kernels compute the bits of avx2"
else
	n=$((n + 1))
	echo "ok $n - neon # SKIP no avx2 here to compare with"
fi
run -cpu cortex-a57 $arm/tests/kernel_bits >"$work/old" 2>"$log" &&
	[ "$(cut -d' ' -f1 "$work/old" | sort -u)" = generic ]
tell $? "a processor without dot products takes the generic ones"

for name in test_kernels test_quant; do
	if has -lcmocka; then
		build -lm "$arm/tests/$name" && run "$arm/tests/$name" >"$log" 2>&1
		tell $? "$name"
	else
		n=$((n + 1))
		echo "ok $n - $name # SKIP no libcmocka-dev:arm64"
	fi
done
