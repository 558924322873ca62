#!/bin/sh
# The full screen, driven by scripts: each tests/tui/NAME.script must print what NAME.screen holds.
# man/screen.svg is a picture of readme.script.
# `tests/tui.test.sh --record` writes the files anew; read the difference before believing it.
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
drive() {
	rm -rf "$dir/.local"
	script=$1
	shift
	env -i PATH="$PATH" HOME="$dir" INPUTRC=/dev/null LC_ALL=C.UTF-8 \
		"${B:-build/release}/tests/tui_driver" "$@" <"$script"
}
[ "$1" = --record ] && drive tests/tui/readme.script --svg dusk >man/screen.svg
n=0 screens=0 bad=0
for script in tests/tui/*.script; do
	name=$(basename "$script" .script)
	want=tests/tui/$name.screen
	[ "$1" = --record ] && drive "$script" >"$want"
	n=$((n + 1))
	count=$(grep -c '^== [^s].*x[0-9]*$\|^== s[^e].*x[0-9]*$' "$want")
	screens=$((screens + count))
	if drive "$script" >"$dir/got" 2>"$dir/err" && diff -u "$want" "$dir/got" >"$dir/diff"; then
		echo "ok $n - $name ($count screens)"
	else
		echo "not ok $n - $name"
		cat "$dir/err"
		head -60 "$dir/diff"
		bad=1
	fi
done
n=$((n + 1))
if [ "$screens" -ge 40 ]; then
	echo "ok $n - $screens screens"
else
	echo "not ok $n - only $screens screens"
	bad=1
fi
n=$((n + 1))
if drive tests/tui/readme.script --svg dusk >"$dir/svg" && cmp man/screen.svg "$dir/svg"; then
	echo "ok $n - man/screen.svg is what the program draws"
else
	echo "not ok $n - man/screen.svg is what the program draws (see --record)"
	bad=1
fi
exit $bad
