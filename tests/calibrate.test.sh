#!/bin/bash
# s3dchat calibrate from outside: progress, table, signals, restart, and mistakes.
B=${B:-build/release}
s3dchat=$PWD/$B/s3dchat
n=0
tmp=$(mktemp -d) && trap 'rm -rf "$tmp"' EXIT
export HOME=$tmp/home XDG_DATA_HOME=$tmp/data LC_ALL=C.UTF-8
mkdir -p "$HOME" "$tmp/models"
model=$tmp/models/tiny.gguf side=$tmp/models/tiny.s3d.gguf

t() {           # t NAME COMMAND...
	name=$1
	shift
	n=$((n + 1))
	if "$@"; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$tmp/out" "$tmp/err" 2>/dev/null | cat -v | tail -20
	fi
}

run() {         # run STATUS ARGS...
	want=$1
	shift
	timeout 120 "$s3dchat" calibrate -t 1 --backend cpu "$@" >"$tmp/out" 2>"$tmp/err"
	got=$?
	[ "$got" -eq "$want" ] || { echo "# status $got instead of $want: $*"; return 1; }
}
says() { grep -qF -- "$1" "$tmp/err"; }

"$B/tests/mkmodel" "$model" || exit 1

table() {
	run 0 -m "$model" --minutes 0.05 && [ -s "$side" ] && [ ! -e "$side.part" ] &&
		says 'minutes and' && says 'MiB of memory' &&
		grep -q '^ *1 *2 *2 .*<- chosen$' "$tmp/out" &&
		grep -q 'positions summed up' "$tmp/out" &&
		grep -qF "written: $side" "$tmp/out" && ! grep -q "$(printf '\033')" "$tmp/err"
}
t "a table, and the sidecar beside the model" table

progress() {    # lines for programs, whose numbers rise
	run 0 -m "$model" --minutes 0.05 --progress -o "$tmp/other.gguf" &&
	awk '/^progress / {
			if (NF != 4 || $2 < most || $2 >= 1) exit 1
			if ($3 != "seconds-left" || $4 < 1) exit 1
			most = $2; n++ }
		END { exit n < 3 }' "$tmp/out" && [ -s "$tmp/other.gguf" ]
}
t "--progress" progress

stops() {       # stops SIGNAL STATUS: the text so far stays, and the next run goes on
	rm -f "$side" "$side.part"      # a new one shows that it has begun
	"$s3dchat" calibrate -t 1 --backend cpu -m "$model" --minutes 10 >"$tmp/out" 2>"$tmp/err" &
	pid=$!
	for _ in $(seq 600); do
		[ "$(stat -c %s "$side.part" 2>/dev/null || echo 0)" -gt 20000 ] && break
		sleep 0.1
	done
	kill -"$1" $pid
	wait $pid
	[ $? -eq "$2" ] && says 'goes on from there' && says "$side.part" && [ -s "$side.part" ] &&
		[ ! -e "$side" ]
}
# in the background SIGINT is ignored unless job control is on
set -m
t "SIGINT" stops INT 130
t "SIGTERM" stops TERM 143
set +m

goes_on() {
	cp "$side.part" "$tmp/part" && run 0 -m "$model" --minutes 0.05 --progress &&
	[ -s "$side" ] && [ ! -e "$side.part" ]
}
t "the next run goes on" goes_on

stranger() {    # a file of somebody else keeps nothing of ours, and nothing is promised
	rm -f "$side" "$side.part" "$tmp/out"       # an old one would not be waited for
	echo mine >"$side.part"
	"$s3dchat" calibrate -t 1 --backend cpu -m "$model" --minutes 10 --progress >"$tmp/out" \
		2>"$tmp/err" &
	pid=$!
	for _ in $(seq 600); do
		[ -s "$tmp/out" ] && break
		sleep 0.1
	done
	kill -TERM $pid
	wait $pid
	[ $? -eq 143 ] && says 'left alone' && says 'nothing is kept' && ! says 'goes on from' &&
		[ "$(cat "$side.part")" = mine ]
	rc=$?
	rm -f "$side.part"
	return $rc
}
t "a stranger's file in the place of ours" stranger

unheard() {     # the file that is kept does not get the number of standard error, and what is said
	rm -f "$side" "$side.part" "$tmp/out"
	"$s3dchat" calibrate -t 1 --backend cpu -m "$model" --minutes 10 --progress \
		>"$tmp/out" 2>&- &
	pid=$!
	for _ in $(seq 600); do
		[ -s "$tmp/out" ] && break
		sleep 0.1
	done
	said=$(readlink /proc/$pid/fd/2)
	kill -TERM $pid
	wait $pid
	[ $? -eq 143 ] && [ "$said" = /dev/null ]
	rc=$?
	rm -f "$side.part"
	return $rc
}
t "closed standard error" unheard

elsewhere() {   # named without a folder
	ln -s "$model" "$HOME/link.gguf" && (cd "$HOME" && run 0 -m link.gguf --minutes 0.05) &&
	[ -s "$HOME/link.s3d.gguf" ]
}
t "a model in the working folder" elsewhere

mistakes() {
	run 1 -m "$model" -o "$tmp/none/x.gguf" && says "cannot write" &&
	run 1 -m "$tmp/none.gguf" && says none.gguf &&
	run 1 -m "$model" --text "$tmp/none.txt" && says none.txt &&
	run 2 -m "$model" --minutes none && says minutes &&
	run 2 -m "$model" --temp 1 && says temp && [ ! -s "$tmp/out" ]
}
t "mistakes" mistakes

text() {
	run 0 -m "$model" --text LICENSE --minutes 0.05 && [ ! -e "$side.part" ] &&
	grep -q 'positions summed up' "$tmp/out"
}
t "--text" text

full() {        # a disk of 8 KiB: one warning, then the reason, and nothing half written
	rm -f "$side" "$side.part"      # a new one shows that it has begun
	(ulimit -f 8; trap '' XFSZ; run 1 -m "$model" --minutes 0.05) && says "cannot write" &&
	[ ! -e "$side" ] && ! ls "$side".?* 2>/dev/null | grep -v part
}
t "a full disk" full
echo "1..$n"
