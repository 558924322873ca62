#!/bin/sh
# The real terminal, in tmux: what tests/term_probe shows and reads, and that the modes (stty -g)
# and the screen are as before after every way to end, a crash included.
B=${B:-build/release}
probe=$(realpath "$B/tests/term_probe")
if ! command -v tmux >/dev/null; then
	echo "ok 1 - terminal # SKIP tmux is not installed"
	exit 0
fi
tmp=$(mktemp -d)
window=0
tm() { tmux -L "s3d-term-$$-$window" -f /dev/null "$@"; }
trap 'tm kill-server 2>/dev/null; rm -rf "$tmp"' EXIT
n=0

check() {       # NAME COMMAND...: the command must succeed
	name=$1; shift; n=$((n + 1))
	if "$@"; then echo "ok $n - $name"; else
		echo "not ok $n - $name"
		tm capture-pane -p 2>/dev/null | sed 's/^/# /'
	fi
}
soon() {        # COMMAND...: succeeds within five seconds
	for _ in $(seq 100); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	return 1
}
shows() { tm capture-pane -p | grep -qF -- "$1"; }
hides() { ! shows "$1"; }
keys() { tm send-keys "$@"; }
line() { keys -l "$1"; keys Enter; }
# A shell in a fresh window, with the modes noted.
window() {
	tm kill-server 2>/dev/null
	window=$((window + 1))
	rm -rf "$tmp"/*
	LC_ALL=C.UTF-8 TERM=xterm tm new-session -d -x 80 -y 24 \
		env ENV= PS1='> ' LC_ALL=C.UTF-8 sh -i
	tm set-option -g default-terminal tmux-256color
	soon shows '>'
	line "TERM=${1:-tmux-256color}; export TERM"
	line "echo be''fore; stty -g >$tmp/before"
	soon test -s "$tmp/before" && soon shows before
}
run() {
	line "$probe; echo status=\$? >$tmp/status; stty -g >$tmp/after"
	soon shows 'probe 24 x 80'
}
pid() { tm capture-pane -p | sed -n 's/^pid //p'; }
same_modes() { soon test -s "$tmp/after" && cmp -s "$tmp/before" "$tmp/after"; }
# Modes as before, the screen too, with the exit status given.
restored() {
	same_modes && soon hides 'probe 24' && shows before && grep -qx "status=$1" "$tmp/status"
}
ends_with_q() { window && run && keys q && restored 0; }
ends_with_term() { window && run && kill -TERM "$(pid)" && restored 143; }
ends_with_crash() { window && run && keys x && restored 139; }
# Ctrl+C and Ctrl+Z are keys: they neither end nor stop it.
control_keys() {
	window && run && keys C-c C-z && soon shows 'Ctrl+C Ctrl+Z' && keys q && restored 0
}
suspends() {
	window && run && keys z && soon hides 'probe 24' && line "stty -g >$tmp/during" &&
		soon test -s "$tmp/during" && cmp -s "$tmp/before" "$tmp/during" &&
		line fg && soon shows 'probe 24' && keys F5 && soon shows 'z F5' && keys q &&
		line "stty -g >$tmp/after" && same_modes && soon hides 'probe 24'
}
stopped_outside() {
	window && run && kill -STOP "$(pid)" && soon shows 'Stopped' && keys -l fg && keys C-j &&
		soon hides Stopped && keys F6 && soon shows F6 && keys q &&
		soon hides F6 && line "stty -g >$tmp/after" && same_modes
}
is_gone() { ! kill -0 "$1"; }
vanishes() {
	window && run && p=$(pid) && kill -0 "$p" && tm kill-server && soon is_gone "$p"
}
resizes() {
	window && run && tm resize-window -x 40 -y 12 && soon shows 'probe 12 x 40' &&
		tm resize-window -x 100 -y 30 && soon shows 'probe 30 x 100' && keys q && same_modes
}
reads_keys() {
	window && run && keys F1 M-Enter C-t BTab PPage C-Home M-, && soon shows \
		'F1 Alt+Enter Ctrl+T Shift+Tab PgUp Ctrl+Home Alt+,'
}
reads_paste() {
	window && run && printf 'a\nb' | tm load-buffer - && tm paste-buffer -p &&
		soon shows '<paste a' && shows 'b paste>'
}
wide_text() { window && run && shows "$(printf '漢字|e\314\201|')"; }
# Nothing of a grapheme is lost, and what comes after it stands where the grid has it: tmux joins a
# family in 2 of its 6 columns, and shows the heart in one of its two.
graphemes() {
	window && run &&
		shows 'कि|की|नमस्ते|மொழி|ကြောင်း|👍🏽|👨‍👩‍👧    |❤️ |1️⃣ |🇩🇪|🧑🏻‍💻  |' &&
		shows "$(printf '|x\314\201\314\202\314\203\314\204\314\205\314\206|')"
}
redraws_graphemes() {
	window && run && keys a b && soon shows 'a b' && tm resize-window -x 60 -y 20 &&
		soon shows 'probe 20 x 60' && tm resize-window -x 80 -y 24 &&
		soon shows 'probe 24' &&
		shows 'कि|की|नमस्ते|மொழி|ကြောင်း|👍🏽|👨‍👩‍👧    |❤️ |1️⃣ |🇩🇪|'
}
# What is no longer there is not seen any more, either.
takes_graphemes() {
	window && run && shows '|👍🏽|there' && keys c && soon shows taken && shows '|    |taken'
}
# Not all of these have a second screen to come back from.
colours() { window "$1" && run && shows "$2 colours" && keys q && same_modes; }
# A terminal that takes any colour, described here since few systems bring one along.
direct_colour() {
	command -v tic >/dev/null && command -v infocmp >/dev/null || return 1
	window && {
		echo 's3d-direct|any colour,'
		echo '	RGB, ccc@, colors#0x1000000, initc@, pairs#0x10000,'
		echo '	setaf=\E[%?%p1%{8}%<%t3%p1%d%e38;2;%p1%{65536}%/%d;%p1%{256}%/%{255}%&%d;'\
'%p1%{255}%&%d%;m,'
		echo '	use=tmux-256color,'
	} >"$tmp/ti" && tic -x -o "$tmp" "$tmp/ti" &&
		line "TERM=s3d-direct TERMINFO=$tmp; export TERM TERMINFO" && run &&
		shows '16777216 colours' && tm capture-pane -pe >"$tmp/screen" &&
		grep -q '38;2;18;171;239m.*pid' "$tmp/screen"
}
refuses() {     # TERM WORD
	window "$1" && line "$probe 2>$tmp/err; stty -g >$tmp/after" && same_modes &&
		grep -qF -- "$2" "$tmp/err"
}
no_terminal() { ! "$probe" </dev/null >"$tmp/out" 2>"$tmp/err" && [ ! -s "$tmp/out" ] &&
	grep -qF -- --line "$tmp/err"; }

check "q gives the terminal back" ends_with_q
check "SIGTERM gives the terminal back" ends_with_term
check "a crash gives the terminal back" ends_with_crash
check "Ctrl+C and Ctrl+Z are keys" control_keys
check "suspended: modes as before; fg: all is drawn again" suspends
check "stopped from outside and continued" stopped_outside
check "ends when the terminal vanishes" vanishes
check "follows the window's size" resizes
check "keys come through" reads_keys
check "a paste comes between marks" reads_paste
check "wide and combined characters stand in place" wide_text
check "vowel signs, skin tones, families and hearts are whole and in place" graphemes
check "they are drawn again with all else" redraws_graphemes
check "and go when they are taken away" takes_graphemes
check "256 colours" colours tmux-256color 256
check "any colour" direct_colour
check "8 colours" colours linux 8
check "no colours" colours vt100 0
check "a dumb terminal is refused" refuses dumb dumb
check "an unknown terminal is refused" refuses nonesuch TERM
check "no terminal is refused" no_terminal
echo "1..$n"
