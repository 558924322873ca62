#!/bin/sh
# `s3dchat tokenize`: ids and text through pipes, and what it refuses.  Expected ids are those of
# tests/vectors/tokenizer-qwen2.txt (Hugging Face tokenizers) or spelled out as bytes.
B=${B:-build/release}
vocab=tests/vectors/tok-qwen2.gguf
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
n=0

ids() { "$B/s3dchat" tokenize -m "$vocab" "$@"; }
check() {       # NAME COMMAND...: the command must succeed
	name=$1; shift; n=$((n + 1))
	if "$@"; then echo "ok $n - $name"; else echo "not ok $n - $name"; fi
}
refuses() {     # INPUT WORD: exit status not 0, nothing on stdout, stderr has the word
	printf '%b' "$1" >"$tmp/in"
	! ids --decode <"$tmp/in" >"$tmp/out" 2>"$tmp/err" && [ ! -s "$tmp/out" ] &&
		grep -qF -- "$2" "$tmp/err"
}
first_line() { [ "$(printf 'Hello' | ids)" = "$(head -n 1 tests/vectors/tokenizer-qwen2.txt)" ]; }
empty() { [ "$(ids </dev/null | od -An -c | tr -d ' ')" = '\n' ]; }
one_line() { [ "$(ids <LICENSE | wc -l)" -eq 1 ]; }
round_trip() { ids <"$1" | ids --decode | cmp - "$1"; }
content() { [ "$(printf 'a<|im_end|>b' | ids | ids --decode)" = 'a<|im_end|>b' ]; }
special() {
	with=$(printf 'a<|im_end|>b' | ids --special)
	[ "$(echo "$with" | wc -w)" -eq 3 ] && [ "$(echo "$with" | ids --decode)" = ab ] &&
		[ "$(echo "$with" | ids --decode --special)" = 'a<|im_end|>b' ]
}
sentencepiece() {
	vocab=tests/vectors/tok-spm.gguf
	round_trip "$1"
	rc=$?
	vocab=tests/vectors/tok-qwen2.gguf
	return $rc
}
no_vocabulary() {
	! "$B/s3dchat" tokenize -m "$tmp/none.gguf" </dev/null >"$tmp/out" 2>"$tmp/err" &&
		[ ! -s "$tmp/out" ] && grep -q none.gguf "$tmp/err"
}

head -c 100000 "$B/s3dchat" >"$tmp/binary"
check "ids are those recorded" first_line
check "no text, no ids" empty
check "ids stand on one line" one_line
check "text comes back" round_trip LICENSE
check "bytes come back" round_trip "$tmp/binary"
printf 'Hello  world\n <b>x</b> \303\251\377' >"$tmp/text"
check "text comes back from SentencePiece" sentencepiece "$tmp/text"
printf '1\n' >"$tmp/digit"             # three ids of two bytes
check "a short text comes back from SentencePiece" sentencepiece "$tmp/digit"
check "content is no control token" content
check "--special lets control tokens through" special
check "a word is refused" refuses '1 two' '"two"'
check "a half number is refused" refuses '1x' '"1x"'
check "a negative id is refused" refuses '-1' '"-1"'
check "an id too high is refused" refuses '999999' 'no token 999999'
check "an id beyond all numbers is refused" refuses '99999999999999999999999' 'no token 9999'
check "a zero byte is refused" refuses '1\0002' 'not a token id'
check "a missing file is refused" no_vocabulary
echo "1..$n"
