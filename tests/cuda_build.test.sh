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

# Architectures whose code no line of a file tells apart are compiled as one, up to the last step,
# which is of each its own; and those that have another notation (100 and later) by themselves.
groups='product 75
product 80 86 89
product 90
product 100 120
attend 75
attend 80 86 89 90
attend 100
attend 120'
known=$("$nvcc" --list-gpu-arch | sed -n 's/^compute_//p')
built=$(grep -o 'code=sm_[0-9]*' "$B/cuda.mk" | sed 's/.*_//')
compile() {     # compile FILE ARCH...
	file=$1
	shift
	codes=$(printf 'sm_%s,' "$@")
	"$nvcc" -std=c++17 -O3 -fmad=false -Werror all-warnings -I. -DS3D_VERSION='"test"' \
		-Xptxas -v -fatbin -gencode "arch=compute_$1,code=[${codes%,}]" \
		-o "$work/$file.$1.fatbin" "kernels/cuda/op/$file.cu" >"$work/$file.$1.log" 2>&1 &&
		echo complete >>"$work/$file.$1.log"
}
# Those of a group that this nvcc knows and that are not in the shared object already.
wanted() {
	for a; do
		echo "$known" | grep -qx "$a" && ! echo "$built" | grep -qx "$a" && echo "$a"
	done | xargs
}
echo "$groups" | while read -r file group; do
	# shellcheck disable=SC2086
	some=$(wanted $group)
	[ -z "$some" ] || echo "$file $some"
done >"$work/groups"
# two at a time
while read -r one; do
	# shellcheck disable=SC2086
	compile $one &
	# shellcheck disable=SC2086
	read -r other && compile $other &
	wait
done <"$work/groups"

! grep -h '__CUDA_ARCH__' kernels/cuda/*.cu* kernels/cuda/op/*.cuh kernels/cuda/op/product.cu |
	grep -vE '^#if(def __CUDA_ARCH__|.* == 900)$' &&
	! grep -h '__CUDA_ARCH__' kernels/cuda/op/attend.cu | grep -vE '^#if.* == 1200$'
tell $? "what differs between architectures is what those of a group have in common"
for a in $built; do
	tell 0 "sm_$a: compiled with $B/s3dcuda.so, where a spill is an error"
done
# Of each architecture in both files: kernels, and those that have no spill.
for a in $(cut -d' ' -f2- "$work/groups" | tr ' ' '\n' | sort -nu); do
	for file in product attend; do
		first=$(sed -n "s/^$file //p" "$work/groups" | grep -w "$a" | cut -d' ' -f1)
		cat "$work/$file.$first.log"
	done >"$work/log"
	awk -v arch="'sm_$a'" '
		/Compiling entry function/ { now = $NF == arch }
		now && /bytes spill stores/ {
			n++
			clean += / 0 bytes spill stores, 0 bytes spill loads/
		}
		$0 == "complete" { complete++ }
		END { print n + 0; exit !(complete == 2 && n >= 8 && n == clean) }
		' "$work/log" >"$work/kernels"
	tell $? "sm_$a: no warnings, no spills in $(cat "$work/kernels") kernels"
done

ldd "$B/s3dcuda.so" >"$work/needs" 2>&1
! grep -qE 'cuda|cublas|nvidia|not found' "$work/needs"
tell $? "needs no library of CUDA to be loaded"
readelf -Ws --dyn-syms "$B/s3dcuda.so" | grep -q ' s3dcuda_open$'
tell $? "has its entry"
