#!/bin/sh
# A reader that has seen enough (| head) is no error: no word about it, and the status of a program
# that SIGPIPE ended.  The reader is gone before the first byte is written.
B=${B:-build/release}
n=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
export HOME="$tmp" LC_ALL=C.UTF-8
unset XDG_DATA_HOME XDG_STATE_HOME XDG_CONFIG_HOME
model=$tmp/tiny.gguf
"$B/tests/mkmodel" --shape tiny-gemma3 "$model" >/dev/null 2>&1
mkdir "$tmp/hi" && echo hi >"$tmp/hi/hi.txt"
echo "A text that is long enough for a chunk or two." >"$tmp/text"

quiet() {       # quiet NAME INPUT ARG...
	name=$1 input=$2
	shift 2
	n=$((n + 1))
	{
		sleep 0.3
		"$B/s3dchat" "$@" <"$input" 2>"$tmp/err"
		echo $? >"$tmp/status"
	} | :
	if [ "$(cat "$tmp/status")" -eq 141 ] &&
		! grep -q 'cannot write\|Broken pipe\|writing the result' "$tmp/err"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$tmp/status" "$tmp/err"
	fi
}

printf '1 2 3' >"$tmp/ids"
printf '/help\n' >"$tmp/help"
tiny="-m $model --backend cpu -t 1"
quiet "--help" /dev/null --help
quiet "--version" /dev/null --version
quiet "tokenize" "$tmp/text" tokenize -m "$model"
quiet "tokenize --decode" "$tmp/ids" tokenize --decode -m "$model"
quiet "bench" /dev/null bench $tiny --quick --strategies --prompts "$tmp/hi"
quiet "bench --csv" /dev/null bench $tiny --quick --strategies --csv --prompts "$tmp/hi"
quiet "eval" /dev/null eval $tiny -c 8 "$tmp/text"
quiet "one answer" /dev/null $tiny -p hi -n 4
quiet "one answer as JSON" /dev/null $tiny -p hi -n 4 --json
quiet "line chat" "$tmp/help" $tiny --line
exit 0
