#!/bin/sh
# cuda_build.test.sh - nvcc compiles the kernels of matrix products and of attention for every
# architecture that a release has code for, without a warning and without a register in memory
# (ptxas says so), and the shared object is whole: it needs no library of CUDA.
B=${B:-build/release}
nvcc=$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)
if [ -z "$nvcc" ] || [ ! -f "$B/s3dcuda.so" ]; then
	echo "ok 1 - cuda build # SKIP no nvcc, or no $B/s3dcuda.so"
	exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0
tell() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

spills() {
	for file in product attend; do
		"$nvcc" -std=c++17 -O3 -fmad=false -Werror all-warnings -I. \
			-DS3D_VERSION='"test"' -Xptxas -v -arch="sm_$1" -cubin \
			-o "$work/$1.cubin" "kernels/cuda/op/$file.cu" \
			>>"$work/$1.log" 2>&1 || return
	done
	echo done >>"$work/$1.log"
}
archs=$("$nvcc" --list-gpu-arch | sed -n 's/^compute_//p' | grep -xE '75|80|86|89|90|100|120')
for a in $archs; do echo "$a"; done >"$work/archs"
# two at a time
while read -r a; do
	spills "$a" &
	read -r b && spills "$b" &
	wait
done <"$work/archs"
for a in $archs; do
	kernels=$(grep -c 'bytes spill stores' "$work/$a.log")
	clean=$(grep -c ' 0 bytes spill stores, 0 bytes spill loads' "$work/$a.log")
	[ "$(tail -1 "$work/$a.log")" = done ] && [ "$kernels" -ge 8 ] && [ "$kernels" = "$clean" ]
	tell $? "sm_$a: no warnings, no spills in $kernels kernels"
done

ldd "$B/s3dcuda.so" >"$work/needs" 2>&1
! grep -qE 'cuda|cublas|nvidia|not found' "$work/needs"
tell $? "needs no library of CUDA to be loaded"
readelf -Ws --dyn-syms "$B/s3dcuda.so" | grep -q ' s3dcuda_open$'
tell $? "has its entry"
