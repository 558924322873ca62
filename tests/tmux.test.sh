#!/bin/sh
# The full screen in a real terminal (tmux) with the real default model: asked, steered, stopped,
# resized, pasted into, left and killed.  Every time the terminal's modes must be what they were.
program=$PWD/${B:-build/release}/s3dchat
model=${S3D_TEST_MODEL:-build/model/SmolLM2-135M-Instruct.Q4_1.gguf}
case $model in /*) ;; *) model=$PWD/$model ;; esac
if ! command -v tmux >/dev/null; then
	echo "ok 1 - full screen in tmux # SKIP there is no tmux"
	exit 0
elif [ ! -f "$model" ]; then
	echo "ok 1 - full screen in tmux # SKIP no model at $model (S3D_TEST_MODEL names another)"
	exit 0
fi
# A signal of death is the program's to meet, not a sanitizer's.
export ASAN_OPTIONS="handle_segv=0:${ASAN_OPTIONS-}" TSAN_OPTIONS="handle_segv=0:${TSAN_OPTIONS-}"
work=$(mktemp -d)
export TMUX_TMPDIR="$work" HOME="$work" INPUTRC=/dev/null LC_ALL=C.UTF-8
unset TMUX XDG_DATA_HOME XDG_STATE_HOME XDG_CONFIG_HOME
trap 'tm kill-server 2>/dev/null; sleep 0.5; rm -rf "$work"' EXIT
n=0 failed=0 server=0

# A server for each start: one that is being killed would take the next client down with it.
tm() { tmux -L "s3dchat-$server" -f /dev/null "$@"; }
screen() { tm capture-pane -p -t chat >"$work/screen" 2>/dev/null; }
keys() { tm send-keys -t chat "$@"; }
has() { screen && grep -qF -- "$1" "$work/screen"; }
wait_for() {
	for _ in $(seq 200); do
		has "$1" && return 0
		sleep 0.05
	done
	echo "# never seen: $1"
	return 1
}
wait_gone() {
	for _ in $(seq 200); do
		has "$1" || return 0
		sleep 0.05
	done
	echo "# still there: $1"
	return 1
}
t() {
	n=$((n + 1))
	if "$2"; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		sed 's/^/# /' "$work/screen"
		failed=1
	fi
}
# The program in a shell that notes the terminal's modes before and after.
start() {
	tm kill-server 2>/dev/null
	server=$((server + 1))
	rm -f "$work/before" "$work/after" "$work/pid"
	cat >"$work/run" <<-EOF
		stty -g >before
		EDITOR=$work/editor sh -c 'echo \$\$ >pid;
			exec $program -m $1 -md ${2:-none} --seed 7 --temp 0 $3'
		echo "st=\$?"
		stty -g >after
	EOF
	tm new-session -d -s chat -x 100 -y 30 "cd '$work' && exec bash --norc" &&
		keys ". ./run" Enter
}
ended() {        # ended STATUS: and the terminal is as it was
	wait_for "st=$1" && sleep 0.2 && cmp "$work/before" "$work/after"
}
ask() { keys "Tell me a very long story about a cat." Enter && wait_for answering; }

starts() { start "$model" && wait_for "is ready" && has "auto (exact)"; }
asks() { ask && wait_for "model " && wait_for " now" && wait_gone "first token             -"; }
switches() { keys F6 && wait_for "ngram (exact)" && has answering; }
typing_kept() { keys "my next question" && wait_for "> my next question" && has answering; }
stops() { keys Escape && wait_for "(stopped; /continue goes on)" && has "> my next question"; }
ticks() { awk '{ print $14 + $15 }' "/proc/$(cat "$work/pid")/stat"; }
rests() {       # under half a percent of a core: at most 2 hundredths of a second in 4 seconds
	sleep 1
	before=$(ticks)
	sleep 4
	used=$(($(ticks) - before))
	echo "# $used hundredths of a second in 4 s"
	[ "$used" -le 2 ]
}
resizes() {
	tm resize-window -t chat -x 40 -y 12 && wait_for " t/s " && wait_gone "speed-up" &&
	[ "$(wc -L <"$work/screen")" -le 40 ] && has "> my next question" &&
	tm resize-window -t chat -x 100 -y 30 && wait_for "speed-up" && has "> my next question"
}
pastes() {
	keys C-u && wait_gone "my next" &&
	tm set-buffer "$(printf 'one\ntwo\n/three')" && tm paste-buffer -p -t chat &&
	wait_for "> one" && has "  two" && has "  /three" && ! has answering
}
scrolls() {
	tm resize-window -t chat -x 50 -y 10 && wait_for " t/s " &&
	keys PPage && wait_for "rows below" && keys C-Home && wait_for "is ready" &&
	keys C-End && wait_gone "rows below" && has "(stopped;" &&
	tm resize-window -t chat -x 100 -y 30 && wait_for "speed-up"
}
not_there() { keys F7 && wait_for "draft needs a little model"; }
# With a little model: every strategy, and the thresholds of bild, in the middle of one answer.
little=$PWD/models/SmolLM2-135M-Instruct.little.gguf
[ -f "$little" ] || little=$model
alt() { keys "M-$1" && wait_for "$2" && has answering; }
steers() {
	start "$model" "$little" "-c 8192" && wait_for "is ready" && ask && wait_for " now" &&
	keys F7 && wait_for "draft (exact)" && wait_for "by position" && has answering &&
	keys F8 && wait_for "bild (approximate)" && has answering &&
	alt , "fallback                 0.55" && alt . "fallback                 0.60" &&
	alt '\;' "rollback                  2.5" && alt "'" "rollback                  3.0" &&
	keys F4 && wait_for "auto (exact)" && has answering &&
	keys F6 && wait_for "ngram (exact)" && has answering &&
	keys F5 && wait_for "plain (exact)" && has answering &&
	keys C-t && wait_for "ngram (exact)" && has answering &&
	keys Escape && wait_for "(stopped;" && keys C-d && ended 0
}
helps() { keys F1 && wait_for "begin a new line" && keys Escape && wait_gone "begin a new line"; }
branches() {
	keys C-c && wait_gone "/three" && keys "/edit 1 Name one river." Enter &&
	wait_gone "very long story" && has "Name one river." && wait_gone answering
}
leaves() { keys C-d && ended 0; }
resumes() {
	start "$model --resume" && wait_for "is ready" && has "Name one river." &&
	! has "very long story" && keys "And one lake." Enter && wait_for answering &&
	wait_gone answering && has "And one lake." && keys C-d && ended 0
}

suspends() {
	start "$model" && wait_for "is ready" && keys "typed" && wait_for "> typed" &&
	keys C-z && wait_for "Stopped" && keys "stty -g | cmp - before && echo sa''me" Enter &&
	wait_for "same" && keys "fg" Enter && wait_for "> typed"
}
edits() {
	printf '#!/bin/sh\nsleep 0.2\nprintf "from the editor\\nline two\\n" >>"$1"\n' \
		>"$work/editor" && chmod +x "$work/editor" &&
	keys C-o && wait_for "line two" && has "> typedfrom the editor" &&
	keys C-c && wait_gone "line two"
}
interrupted_twice() {
	keys C-c && wait_for "once more" && keys C-c && wait_for 'bash-' &&
	keys "clear; stty -g | cmp - before && echo sa''me" Enter && wait_for "same"
}
killed() {
	start "$model" && wait_for "is ready" && ask && wait_for " now" &&
	kill -TERM "$(cat "$work/pid")" && ended 143 && has "saved as" &&
	grep -q "story about a cat" "$work"/.local/share/s3dchat/chats/*.jsonl
}
crashed() {
	start "$model" && wait_for "is ready" && ask && kill -SEGV "$(cat "$work/pid")" && ended 139
}
hung_up() {
	rm -rf "$work/.local"
	start "$model" && wait_for "is ready" && ask && pid=$(cat "$work/pid") &&
	tm kill-server && for _ in $(seq 100); do
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.05
	done
	! kill -0 "$pid" 2>/dev/null &&
	grep -q "story about a cat" "$work"/.local/share/s3dchat/chats/*.jsonl
}
# What is wrong in the configuration is said in the conversation, where it can be read.
warns() {
	mkdir -p "$work/.config/s3dchat" &&
	printf 'set temp 0.5\nset temp hot\nbind F4 dance\n' >"$work/.config/s3dchat/config" &&
	start "$model" && wait_for "is ready" && has "config:2: temp: 'hot'" && has "config:3:" &&
	keys C-d && ended 0 && ! has "config:2" && rm -r "$work/.config"
}
bad_model() {
	echo "not a model" >"$work/bad.gguf"
	start "$work/bad.gguf" && wait_for "no model" && wait_for "GGUF" && keys C-d && ended 1
}

t "starts, loads the model" starts
t "a question is answered while the numbers move" asks
t "F6 switches the strategy in mid-answer" switches
t "typing while the model answers is kept" typing_kept
t "Esc stops the answer and keeps it" stops
case $program in
*/tsan/*) n=$((n + 1)) && \
	echo "ok $n - rests # SKIP the thread sanitizer has a thread that does not" ;;
*) t "a waiting chat uses no processor" rests ;;
esac
t "40x12 and back" resizes
t "three pasted lines wait to be sent" pastes
t "scrolls back and on" scrolls
t "a strategy that is not there says so" not_there
t "F1 shows help, Esc closes it" helps
t "/edit changes the first prompt and goes on from there" branches
t "Ctrl+D leaves; the terminal is as it was" leaves
t "--resume goes on with the saved conversation" resumes
t "with a little model F4 to F8, Ctrl+T and the thresholds work in mid-answer" steers
t "Ctrl+Z gives the terminal back, fg takes it again" suspends
t "Ctrl+O edits the prompt in EDITOR" edits
t "Ctrl+C twice leaves" interrupted_twice
t "SIGTERM saves the conversation and restores the terminal" killed
t "a crash restores the terminal" crashed
t "a terminal that vanishes: the conversation is saved" hung_up
t "mistakes in the configuration are shown in the conversation" warns
t "a model that cannot be loaded: said, and status 1" bad_model
exit $failed
