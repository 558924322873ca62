#!/bin/sh
# warnings.test.sh - a compiler's warning is shown and ends a check, never a user's build, for C,
# C++ and CUDA; and a check compiles nothing again that was compiled without a warning.  On a
# little tree under the real Makefile, where stand-ins play nvcc and whatever else takes long.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES MAKECMDGOALS WERROR FLAVOUR CFLAGS
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
n=0
tell() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; sed 's/^/# /' log; fi
}

cp -r Makefile scripts "$work" && mkdir -p "$work/tests" && cp tests/tests.mk "$work/tests" &&
	cd "$work" || exit 1
mkdir -p app base engine/gguf kernels/cpu/isa kernels/cuda tests/emu man
for f in app/part engine/clean engine/warns kernels/cpu/isa/columns kernels/cpu/isa/packed \
		kernels/cpu/isa/table; do
	echo "int ${f##*/}_$$;" >"$f.c"
done
for f in base/util base/utf8 engine/gguf/quant kernels/bridge kernels/pass kernels/schedule \
		kernels/spread kernels/stage; do
	echo "int $f;" | tr / _ >"$f.c"
done
echo 'int emulation;' >tests/emu/emulation.cpp
echo 'int kernel;' >kernels/cuda/kernel.cu
echo 'int main(void) { return 0; }' | tee app/main.c >man/mangen.c
touch man/s3dchat.1 man/s3dchat.5
printf '#!/bin/sh\n' | tee tests/run >tests/lint
# Warns of what has the word in it, as nvcc does, and compiles nothing.
cat >nvcc <<'END'
#!/bin/sh
case " $* " in *" --list-gpu-arch "*) echo compute_75; exit ;; esac
out=$(echo " $*" | sed 's/.* -o \([^ ]*\).*/\1/')
for last; do :; done
if grep -qs unused "$last"; then
	echo "$last(1): warning #177-D: variable \"unused\" was declared but never referenced" >&2
	case " $* " in *" -Werror all-warnings "*) exit 2 ;; esac
fi
echo "$last" >>compiled
: >"$out"
END
chmod +x nvcc tests/run tests/lint
build() {
	make "$@" NVCC=./nvcc LDLIBS= TESTS= TOOLS= FAKES= SHELL_TESTS= EMULATED_TESTS= >log 2>&1
}
# Whether the one warning came, and ended the build (or did not).
warned() { grep -q "warning.*unused\|error.*unused" log; }

build all build/release/emu/s3dchat && grep -q 'cc .*engine/clean.c' log && ! warned
tell $? "what is clean builds"
build check && ! grep -q 'cc \|nvcc \|g++ ' log
tell $? "and is not compiled again for a check"
build lint && ! grep -q 'cc \|nvcc \|g++ ' log
tell $? "nor for lint"

for where in engine/warns.c tests/emu/emulation.cpp kernels/cuda/kernel.cu; do
	cp "$where" kept
	case $where in
	*.cu) echo 'int unused; /* of which only the stand-in for nvcc warns */' ;;
	*) echo 'void f(void); void f(void) { int unused = 1; }' ;;
	esac >>"$where"
	build all build/release/emu/s3dchat && warned
	tell $? "$where: a warning is told and does not end the build"
	[ -f build/release/s3dchat ] && ! build check && warned
	tell $? "$where: it ends the check of what was built"
	! build check && warned
	tell $? "$where: and the next one"
	rm -rf build && ! build check && warned
	tell $? "$where: and a check that builds for the first time"
	cp kept "$where"
	build check
	tell $? "$where: mended, the check passes"
done

echo 'void f(void); void f(void) { int unused = 1; }' >>engine/warns.c
build all && ! build lint && warned
tell $? "a warning in the user's build ends lint"
build check WERROR= && build all WERROR=
tell $? "WERROR= lets a check pass"
! build all WERROR=1 && warned
tell $? "WERROR=1 makes it an error in any build"
