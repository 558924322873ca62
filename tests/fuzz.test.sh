#!/bin/sh
# A short run of the GGUF fuzzer (make fuzz is the long one), and proof that it gets past the door.
runs=2000
out=$("${B:-build/release}/tests/fuzz_gguf" $runs 1 tests/vectors/tok-spm.gguf 2>&1)
rc=$?
last=$(echo "$out" | tail -n 1)
if [ $rc -eq 0 ] && [ "${last#"$runs" runs, }" != "$last" ]; then
	echo "ok 1 - fuzz_gguf: $last"
else
	echo "$out" | sed 's/^/# /'
	echo "not ok 1 - fuzz_gguf ended with status $rc: $last"
fi
# Of mutated files a tenth must parse, and some must reach tokenizer and model.
echo "$last" | {
	read -r _ _ parsed _ tokenized _ bound _
	if [ "${parsed:-0}" -ge $((runs / 10)) ] && [ "${tokenized:-0}" -ge $((runs / 50)) ] &&
		[ "${bound:-0}" -ge $((runs / 50)) ]; then
		echo "ok 2 - fuzz_gguf reaches keys, tensors, tokenizer and model"
	else
		echo "not ok 2 - fuzz_gguf is mostly refused at the door: $last"
	fi
}
