#!/bin/sh
# train/selfchat with a tiny model: its file holds whole records that fit its description, and goes
# on where an interruption left it.
B=${B:-build/release}
n=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT

. tests/result_kit.sh

selfchat() {    # selfchat OUT TOKENS
	"$B/train/selfchat" -m "$tmp/m.gguf" -w "$tmp/words" -o "$1" -n "$2" -s 7 -t 1 2>"$tmp/err"
}

# Goes over the 16-bit words of a file: a line per record; fails when a record is not whole, an id
# is none of the vocabulary's 272, or a greedy answer is not the likeliest token.
walk() {
	od -An -v -tu2 -w2 "$1" | awk '
	{ w[NR] = $1 }
	END {
		at = 8
		if (w[5] != 20 || w[7] != 272) exit 1
		while (at < NR) {
			np = w[at + 1]; na = w[at + 3]; greedy = w[at + 7]
			print "record", w[at + 5], np, na, greedy
			ids = at + 8 + np; top = ids + na
			for (i = 1; i <= na; i++) {
				if (w[ids + i] >= 272) exit 2
				if (greedy && w[ids + i] != w[top + 20 * (i - 1) + 1]) exit 3
			}
			at = top + 40 * na
		}
		exit at != NR
	}' >"$tmp/walk"
}

same_start() {  # same_start FILE FILE BYTES
	head -c "$3" "$1" >"$tmp/a" && head -c "$3" "$2" | cmp -s - "$tmp/a"
}

"$B/tests/mkmodel" "$tmp/m.gguf" && printf '\nWhat\nTell me\n' >"$tmp/words"
selfchat "$tmp/one" 2000 && walk "$tmp/one"
result "whole records, greedy answers are the likeliest tokens"
grep -q ' 1$' "$tmp/walk" && grep -q ' 0$' "$tmp/walk"
result "greedy and sampled answers"

size=$(wc -c <"$tmp/one")
head -c $((size - 1001)) "$tmp/one" >"$tmp/two"
selfchat "$tmp/two" 4000 && walk "$tmp/two" && same_start "$tmp/one" "$tmp/two" $((size / 2))
result "an interrupted file goes on"
[ "$(sort -u "$tmp/walk" | wc -l)" -eq "$(wc -l <"$tmp/walk")" ] &&
	[ "$(awk '{ print $2 }' "$tmp/walk" | sort | uniq -d | wc -l)" -eq 0 ]
result "no conversation twice"

cp "$tmp/two" "$tmp/three" && selfchat "$tmp/three" 1 && cmp -s "$tmp/two" "$tmp/three"
result "nothing to do, nothing changed"
printf 'something else entirely' >"$tmp/four"
cp "$tmp/four" "$tmp/five"
! selfchat "$tmp/four" 10 && grep -q 'something else' "$tmp/err" && cmp -s "$tmp/four" "$tmp/five"
result "a foreign file is left alone"
echo "1..$n"
