#!/bin/sh
# That the AMX kernels are made of tile instructions, and that nothing else of the library is, and
# likewise those of AVX-VNNI: emulation proves what they compute, not what the object holds.
B=${B:-build/release}
objects=$B/kernels/cpu
n=0

if [ ! -f "$objects/isa/packed.amx.o" ]; then
	echo "ok 1 - amx # SKIP not built for this processor"
	exit 0
fi
if ! command -v objdump >/dev/null; then
	echo "ok 1 - amx # SKIP no objdump"
	exit 0
fi

count() {       # count INSTRUCTIONS OBJECT
	objdump -d --no-show-raw-insn "$2" | grep -cwE "$1"
}
check() {       # check NAME TEST...
	name=$1 && shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
	fi
}

tiles='ldtilecfg|sttilecfg|tilerelease|tilezero|tileloadd|tileloaddt1|tilestored|tdp[a-z0-9]+'
for i in tdpbssd tileloadd tilestored ldtilecfg tilerelease; do
	check "packed kernels: $i" [ "$(count $i "$objects/isa/packed.amx.o")" -ge 1 ]
	check "trial: $i" [ "$(count $i "$objects/amx.o")" -ge 1 ]
done
for o in "$objects"/isa/*.o "$objects"/*.o; do
	case $o in
	*/packed.amx.o | */amx.o) ;;
	*) check "no tiles: ${o##*/}" [ "$(count "$tiles" "$o")" -eq 0 ] ;;
	esac
done
check "packed kernels: vpdpbusd" [ "$(count vpdpbusd "$objects/isa/packed.avxvnni.o")" -ge 1 ]
check "avxvnni: nothing of AVX-512" [ "$(objdump -d --no-show-raw-insn \
	"$objects/isa/packed.avxvnni.o" | grep -c '%zmm\|%k[0-7]')" -eq 0 ]
check "avx2: no vpdpbusd" [ "$(count vpdpbusd "$objects/isa/packed.avx2.o")" -eq 0 ]
