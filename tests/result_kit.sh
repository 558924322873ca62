# result_kit.sh - one line of TAP for each command of a test.  Included by scripts that count in n
# and keep what a command said in files of the folder tmp.

result() {      # result NAME: of the last command
	rc=$?
	n=$((n + 1))
	if [ "$rc" -eq 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		sed 's/^/# /' "$tmp/out" "$tmp/err" "$tmp/walk" 2>/dev/null
	fi
}
