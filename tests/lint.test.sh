#!/bin/sh
# lint.test.sh - lint finds an include that points up or past the rooms that a room may use, and
# calls that go round in a circle, unless a header private to the room says that the files are one.
lint=$PWD/tests/lint
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
n=0
tell() {
	n=$((n + 1))
	if [ "$1" -eq 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; sed 's/^/# /' log; fi
}

sed -n 's/^    "\([a-z/]*\)": f\{0,1\}".*/\1/p' "$lint" | xargs mkdir -p b
echo . >README.md
find . -mindepth 1 -type d -printf '`%P`\n' >ARCHITECTURE.md
printf '#!/bin/sh\n' >b/mandoc && chmod +x b/mandoc && PATH=$work/b:$PATH
guarded() { printf '/* of %s */\n#ifndef X\n#define X\n#endif\n' "$2" >"$1"; }
source() { file=$1 && shift && printf '/* . */\n' >"$file" && printf '%s\n' "$@" >>"$file"; }
says() { B=b "$lint" >log 2>&1 || [ "$1" ] && grep -q "${1:-nothing to say}" log; }
# What a build leaves: objects, and what they were made of.
build() {
	touch b/libapp.a
	for file in ui/cell/one ui/cell/two ui/cell/three; do
		mkdir -p "b/${file%/*}" && cc -MMD -I. -c -o "b/$file.o" "$file.c" || exit 1
	done
}

guarded engine/deep.h engine
guarded base/low.h base
cp ARCHITECTURE.md page
grep -v '^`engine/decode`' page >ARCHITECTURE.md
says 'engine/decode is not in the table'
tell $? "the page names every room"
echo '`engine/one.c:go`' | cat page - >ARCHITECTURE.md
says 'there is no go in engine/one.c'
tell $? "the page names what there is"
mv page ARCHITECTURE.md
source ui/cell/one.c '#include "base/low.h"'
says ''
tell $? "a room uses one below it"
source ui/cell/one.c '#include "engine/deep.h"'
says '^ui/cell/one.c:2: .*engine/deep.h'
tell $? "ui knows no engine"
source ui/cell/one.c
source engine/gguf/one.c '#include "engine/deep.h"'
says '^engine/gguf/one.c:2: .*engine/deep.h'
tell $? "a part of the engine does not know the whole"
rm engine/gguf/one.c
guarded kernels/seam.h kernels
source app/run/one.c '#include "kernels/seam.h"'
says '^app/run/one.c:2: .*kernels/seam.h'
tell $? "app reaches kernels through the engine"
rm app/run/one.c

says 'circles of calls not looked for'
tell $? "without objects it says that it saw none"
guarded ui/cell/own.h 'all of ui'
source ui/cell/one.c '#include "ui/cell/own.h"' 'int two(void), one(void);' \
	'int one(void) { return two(); }'
source ui/cell/two.c '#include "ui/cell/own.h"' 'int two(void), three(void);' \
	'int two(void) { return three(); }'
source ui/cell/three.c '#include "ui/cell/own.h"' 'int three(void);' \
	'int three(void) { return 0; }'
build
says ''
tell $? "calls that go one way"
source ui/cell/three.c '#include "ui/cell/own.h"' 'int three(void), one(void);' \
	'int three(void) { return one(); }'
build
says '^ui/cell/one.c:1: calls go round in a circle: .*three.c calls one of ui/cell/one.c'
tell $? "a circle of three"
guarded ui/cell/own.h 'one thing in three files, private to ui/cell'
build
says ''
tell $? "which a private header allows"
sed -i 's|ui/cell/own.h|./&|; $s|$| /usr/include/a.h|' b/ui/cell/*.d
says ''
tell $? "headers as nvcc names them"
