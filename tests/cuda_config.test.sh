#!/bin/sh
# cuda_config.test.sh - what make learns of an nvcc, here a stand-in: one of CUDA 12 or later is
# used, and an older one, or one that does not work, leaves the backend out with a reason and
# without ending the build.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0
tell() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; fi
}

# nvcc RELEASE TRIAL: how the stand-in calls itself, and how it ends when it compiles.
nvcc() {
	cat >"$work/nvcc" <<END
#!/bin/sh
case \$1 in
--version) echo "Cuda compilation tools, release $1, V$1.89" ;;
--list-gpu-arch) echo compute_75 ;;
*) [ $2 -eq 0 ] || echo "a reason of its own" >&2; exit $2 ;;
esac
END
	chmod +x "$work/nvcc"
	scripts/cuda-config "$work/nvcc" 75 >"$work/out" 2>"$work/err"
}
left_out() {
	! grep -qv '^#' "$work/out" &&
		[ "$(grep -c "left out: .*$1" "$work/err")" -eq 1 ]
}

for release in 9.2 10.2 11.5 11.8; do
	nvcc "$release" 0 && left_out "CUDA $release; it takes CUDA 12 or later"
	tell $? "CUDA $release is left out, and the reason told"
done
for release in 12.0 12.8 13.0 20.1; do
	nvcc "$release" 0 && grep -qx "CUDA_NVCC := $work/nvcc" "$work/out" && [ ! -s "$work/err" ]
	tell $? "CUDA $release is used"
done
nvcc 12.0 1 && left_out "a reason of its own"
tell $? "what does not work is left out with what it said"
