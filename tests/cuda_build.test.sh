#!/bin/sh
# cuda_build.test.sh - nvcc compiles the kernels of matrix products and of attention for every
# architecture that a release has code for, without a warning and without a register in memory
# (ptxas says so; of those in the shared object it said so when that was built), and the shared
# object is whole: it needs no library of CUDA.
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

# Architectures whose code no line of the source tells apart are compiled as one, up to the last
# step, which is of each its own.
groups='75
80 86 89
90
100
120'
known=$("$nvcc" --list-gpu-arch | sed -n 's/^compute_//p')
built=$(grep -o 'code=sm_[0-9]*' "$B/cuda.mk" | sed 's/.*_//')
compile() {     # compile ARCH...
	codes=$(printf 'sm_%s,' "$@")
	for file in product attend; do
		"$nvcc" -std=c++17 -O3 -fmad=false -Werror all-warnings -I. \
			-DS3D_VERSION='"test"' -Xptxas -v -fatbin \
			-gencode "arch=compute_$1,code=[${codes%,}]" \
			-o "$work/$1.fatbin" "kernels/cuda/op/$file.cu" >>"$work/$1.log" 2>&1 ||
			return
	done
	echo complete >>"$work/$1.log"
}
# Those of a group that this nvcc knows and that are not in the shared object already.
wanted() {
	for a; do
		echo "$known" | grep -qx "$a" && ! echo "$built" | grep -qx "$a" && echo "$a"
	done | xargs
}
# shellcheck disable=SC2086
echo "$groups" | while read -r group; do wanted $group; done | grep . >"$work/groups"
# two at a time
while read -r one; do
	# shellcheck disable=SC2086
	compile $one &
	# shellcheck disable=SC2086
	read -r other && compile $other &
	wait
done <"$work/groups"

! grep -rh '__CUDA_ARCH__' kernels/cuda | grep -vE '^#if(def __CUDA_ARCH__|.* == (900|1200))$'
tell $? "what differs between architectures is what those of a group have in common"
for a in $built; do
	tell 0 "sm_$a: compiled with $B/s3dcuda.so, where a spill is an error"
done
while read -r first others; do
	for a in $first $others; do
		awk -v arch="'sm_$a'" '
			/Compiling entry function/ { now = $NF == arch }
			now && /bytes spill stores/ {
				n++
				clean += / 0 bytes spill stores, 0 bytes spill loads/
			}
			{ last = $0 }
			END { print n + 0; exit !(last == "complete" && n >= 8 && n == clean) }
			' "$work/$first.log" >"$work/kernels"
		tell $? "sm_$a: no warnings, no spills in $(cat "$work/kernels") kernels"
	done
done <"$work/groups"

ldd "$B/s3dcuda.so" >"$work/needs" 2>&1
! grep -qE 'cuda|cublas|nvidia|not found' "$work/needs"
tell $? "needs no library of CUDA to be loaded"
readelf -Ws --dyn-syms "$B/s3dcuda.so" | grep -q ' s3dcuda_open$'
tell $? "has its entry"
